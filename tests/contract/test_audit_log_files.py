"""LogFiles, Registers and Checkpoints: one suite on the fake and on Blob storage."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from shared.adapters.blob import BlobConnection
from shared.adapters.blob_audit_log import (
    CHECKPOINT_CONTAINER,
    SIZE_MAX,
    STATE_CONTAINER,
    BlobCheckpoints,
    BlobLogFiles,
    BlobRegisters,
)
from shared.domain.signed_notes import Checkpoint, read_checkpoint, read_note
from shared.errors import InvariantBroken, Unavailable
from shared.ports.audit_log import Checkpoints, LogFiles, Registers
from tests.contract import blob_account
from tests.fakes.audit_log_files import FakeLogStores, FakeNoteSigner

blobs = blob_account.blobs  # fixtures, found by their names
silent_blobs = blob_account.silent_blobs


@dataclass
class Stores:
    """The three ports of one log."""

    files: LogFiles
    registers: Registers
    checkpoints: Checkpoints


@pytest_asyncio.fixture(params=["fake", "blob"])
async def stores(request: pytest.FixtureRequest, blobs: BlobConnection) -> AsyncIterator[Stores]:
    if request.param == "fake":
        fake = FakeLogStores()
        yield Stores(fake, fake, fake)
        return
    container: Any = blobs.service().get_container_client(CHECKPOINT_CONTAINER)
    async for name in container.list_blob_names():
        await container.delete_blob(name)
    yield Stores(
        BlobLogFiles(blobs),
        BlobRegisters(blobs, STATE_CONTAINER),
        BlobCheckpoints(blobs),
    )


SIGNER = FakeNoteSigner("log.example/contract")
LOG = SIGNER.key


async def signed(size: int, root: bytes = b"root", signer: FakeNoteSigner = SIGNER) -> str:
    text = Checkpoint(LOG.name, size, hashlib.sha256(root).digest()).text
    return f"{text}\n{signer.key.line(await signer.sign(text.encode()))}"


def name() -> str:
    """A file nobody else writes."""
    return f"tile/0/{uuid.uuid4().hex}"


async def test_a_file_reads_back_and_is_written_once(stores: Stores) -> None:
    file = name()
    assert await stores.files.read(file) is None
    await stores.files.create(file, b"content")
    await stores.files.create(file, b"content")
    assert await stores.files.read(file) == b"content"


async def test_a_file_with_another_content_stays_and_is_told(stores: Stores) -> None:
    file = name()
    await stores.files.create(file, b"one")
    with pytest.raises(InvariantBroken):
        await stores.files.create(file, b"two")
    assert await stores.files.read(file) == b"one"


async def test_a_register_is_replaced_by_whoever_has_read_it(stores: Stores) -> None:
    key = name()
    assert await stores.registers.load(key) is None
    assert await stores.registers.save(key, b"one", None)
    assert not await stores.registers.save(key, b"other", None)
    held = await stores.registers.load(key)
    assert held is not None and held.content == b"one"
    assert await stores.registers.save(key, b"two", held.version)
    assert not await stores.registers.save(key, b"three", held.version)
    held = await stores.registers.load(key)
    assert held is not None and held.content == b"two"


async def test_of_many_savers_one_wins(stores: Stores) -> None:
    key = name()
    await stores.registers.save(key, b"", None)
    held = await stores.registers.load(key)
    assert held is not None
    saves = [stores.registers.save(key, bytes([n]), held.version) for n in range(8)]
    assert sum(await asyncio.gather(*saves)) == 1


async def test_a_register_that_is_not_there_cannot_be_replaced(stores: Stores) -> None:
    key = name()
    await stores.registers.save(key, b"one", None)
    held = await stores.registers.load(key)
    assert held is not None
    assert not await stores.registers.save(f"{key}x", b"two", held.version)


async def test_the_newest_checkpoint_has_the_largest_size(stores: Stores) -> None:
    assert await stores.checkpoints.newest(LOG) is None
    for size in (0, 5, 900, 30, 10**12, 7):
        note = await signed(size)
        assert await stores.checkpoints.keep(LOG, size, note) == note
    newest = await stores.checkpoints.newest(LOG)
    assert newest is not None and read_checkpoint(read_note(newest)).size == 10**12


async def test_the_first_checkpoint_of_a_size_stands(stores: Stores) -> None:
    first, second = await signed(5), await signed(5, b"another")
    assert await stores.checkpoints.keep(LOG, 5, first) == first
    assert await stores.checkpoints.keep(LOG, 5, second) == first
    assert await stores.checkpoints.newest(LOG) == first


async def test_blobs_that_the_log_has_not_signed_are_passed_over(blobs: BlobConnection) -> None:
    container: Any = blobs.service().get_container_client(CHECKPOINT_CONTAINER)
    async for blob_name in container.list_blob_names():
        await container.delete_blob(blob_name)
    checkpoints = BlobCheckpoints(blobs)
    genuine = await signed(7)
    other = await signed(10**15, signer=FakeNoteSigner(LOG.name, seed=5))
    strays = {
        "!": b"",
        "0": b"not a note",
        "0" * 19: b"\xff" * 100,
        f"{SIZE_MAX - 10**15:019d}": other.encode(),
        f"{SIZE_MAX - 10**16:019d}": genuine.encode(),  # signed, but not for this size
        f"{SIZE_MAX - 7:019d}": b"x" * 100_000,
        f"{SIZE_MAX - 7:019d}.1": other.encode(),
        "z": b"",
    }
    for stray, content in strays.items():
        await container.upload_blob(stray, content)
    assert await checkpoints.newest(LOG) is None
    assert await checkpoints.keep(LOG, 7, genuine) == genuine
    assert await checkpoints.newest(LOG) == genuine
    assert await checkpoints.keep(LOG, 7, await signed(7, b"another")) == genuine
    assert await checkpoints.keep(LOG, 8, await signed(8)) == await checkpoints.newest(LOG)


async def test_an_account_that_does_not_answer_is_unavailable(
    silent_blobs: BlobConnection,
) -> None:
    calls = (
        BlobLogFiles(silent_blobs).read("x"),
        BlobLogFiles(silent_blobs).create("x", b""),
        BlobRegisters(silent_blobs, STATE_CONTAINER).load("x"),
        BlobRegisters(silent_blobs, STATE_CONTAINER).save("x", b"", "version"),
        BlobCheckpoints(silent_blobs).newest(LOG),
        BlobCheckpoints(silent_blobs).keep(LOG, 1, ""),
    )
    for call in calls:
        with pytest.raises(Unavailable):
            await call
