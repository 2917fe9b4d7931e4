"""A log of 1,000 events in a folder, and forgeries of it that are carried through ever further."""

import asyncio
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from shared.domain.log_tiles import (
    TILE_WIDTH,
    Edge,
    bundle_name,
    encode_bundle,
    files_of,
    grow,
)
from shared.domain.merkle import leaf_hash, root_from_leaves
from shared.domain.signed_notes import Checkpoint
from shared.domain.witnessing import Cosigned
from tests.fakes.audit_log_files import FakeLogStores, FakeNoteSigner
from tests.proofs.audit_log_world import (
    LOG_KEY,
    ORIGIN,
    WITNESS_KEY,
    entries_of,
    newest,
    records,
    sequencer,
    witness,
)

EVENTS = 1_000
STRANGER = FakeNoteSigner(ORIGIN, seed=7)  # the log's name, and another key
# How far a forger goes: each step includes those before it.
DEPTHS = ("entries", "leaf tiles", "all tiles", "checkpoint by a stranger", "checkpoint by the log")


@cache
def genuine() -> tuple[FakeLogStores, str]:
    """The log, and its checkpoint with both signatures."""
    stores = FakeLogStores(records=records(0, EVENTS))
    asyncio.run(sequencer(stores).run())
    answer = asyncio.run(witness(FakeLogStores()).look(stores, stores))
    assert isinstance(answer, Cosigned)
    return stores, answer.note


@cache
def entries() -> tuple[bytes, ...]:
    return tuple(entries_of(genuine()[0]))


def export(folder: Path) -> Path:
    """The genuine log, as the export command writes it."""
    stores, note = genuine()
    for name in files_of(newest(stores).size):
        write(folder, name, stores.contents[name])
    write(folder, "checkpoint", note.encode())
    return folder


def write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def forge(folder: Path, forged: Sequence[bytes], depth: str) -> Path:
    """The log with these entries; what the forger does not reach stays as it was."""
    reach = DEPTHS.index(depth)
    for made_anew in ("tile/entries", "tile/0", "tile")[: reach + 1]:
        shutil.rmtree(folder / made_anew, ignore_errors=True)
    for number in range(-(-len(forged) // TILE_WIDTH)):
        part = forged[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
        write(folder, bundle_name(number, len(part)), encode_bundle(part))
    leaves = [leaf_hash(entry) for entry in forged]
    for name, content in grow(Edge(), leaves).tiles.items():
        if reach >= 2 or (reach == 1 and name.startswith("tile/0/")):
            write(folder, name, content)
    if reach >= 3:
        signer = STRANGER if depth == "checkpoint by a stranger" else LOG_KEY
        note = signed(signer, len(forged), root_from_leaves(leaves))
        write(folder, "checkpoint", note.encode())
    return folder


def signed(signer: FakeNoteSigner, size: int, root: bytes, origin: str = ORIGIN) -> str:
    """A checkpoint with one signature."""
    text = Checkpoint(origin, size, root).text
    signature = asyncio.run(signer.sign(text.encode()))
    return f"{text}\n{signer.key.line(signature)}"


def keys() -> tuple[str, str]:
    """The public keys of the log and of the witness."""
    return LOG_KEY.key.text, WITNESS_KEY.key.text
