"""A log with feed, sequencer and witness in memory, and its derivation from the events alone."""

import asyncio
import json
import random

from shared.domain.audit_entries import AuditRecord, entry_of
from shared.domain.log_tiles import (
    TILE_WIDTH,
    Edge,
    bundle_name,
    decode_bundle,
    encode_bundle,
    files_of,
    grow,
    is_file_name,
)
from shared.domain.merkle import leaf_hash, root_from_leaves
from shared.domain.sequencing import read_signed_state, read_state
from shared.domain.signed_notes import Checkpoint, read_checkpoint, read_note
from shared.ports.audit_log import FeedPage
from shared.services.audit_sequencer import STATE, AuditSequencer
from shared.services.audit_witness import AuditWitness
from tests import builders
from tests.fakes.audit_log_files import FakeLogStores, FakeNoteSigner
from tests.fakes.clock import FakeClock

ORIGIN = "log.example/audit"
TEXT_KEY = b"a key of tests"
LOG_KEY = FakeNoteSigner(ORIGIN)
WITNESS_KEY = FakeNoteSigner("witness.example")


def records(first: int, last: int, partition_key: str = "design|202611") -> list[AuditRecord]:
    """Audit documents `first` to `last`, last exclusive."""
    found = []
    for number in range(first, last):
        event = builders.event(f"object-{number:05d}").as_json()
        event["details"] = {"amount_micros": number, "model": "gpt-image-2", "price_version": "v3"}
        found.append(AuditRecord(partition_key, event["event_id"], event))
    return found


def sequencer(stores: FakeLogStores, signer: FakeNoteSigner = LOG_KEY) -> AuditSequencer:
    return AuditSequencer(stores, stores, stores, stores, signer, TEXT_KEY)


def witness(stores: FakeLogStores) -> AuditWitness:
    """A witness whose register is apart from everything that the log writes."""
    return AuditWitness(LOG_KEY.key, stores, WITNESS_KEY, FakeClock())


def newest(stores: FakeLogStores) -> Checkpoint:
    return read_checkpoint(read_note(stores.notes[max(stores.notes)]))


def entries_of(stores: FakeLogStores) -> list[bytes]:
    """Every entry under the newest checkpoint."""
    size = newest(stores).size
    names = [name for name in files_of(size) if "entries" in name]
    return [entry for name in names for entry in decode_bundle(stores.contents[name])]


class ManyRanges(FakeLogStores):
    """A feed of several partitions, each in order; how they are mixed differs each time."""

    chance: random.Random = random.Random(0)

    async def after(self, position: str | None) -> FeedPage:
        read: dict[str, int] = json.loads(position or "{}")
        ranges: dict[str, list[AuditRecord]] = {}
        for record in self.records:
            ranges.setdefault(record.partition_key, []).append(record)
        page: list[AuditRecord] = []
        for _ in range(self.chance.randint(1, self.page_records)):
            waiting = [key for key in ranges if read.get(key, 0) < len(ranges[key])]
            if not waiting:
                break
            key = self.chance.choice(waiting)
            page.append(ranges[key][read.get(key, 0)])
            read[key] = read.get(key, 0) + 1
        found: FeedPage = await self.around("after", lambda: FeedPage(page, json.dumps(read)))
        return found


def check_complete(stores: FakeLogStores) -> None:
    """Each event is in the log once, those of a partition in order, and the files are one log."""
    wanted = {entry_of(record, TEXT_KEY).content: record for record in stores.records}
    logged = entries_of(stores)
    assert sorted(logged) == sorted(wanted)
    for key in {record.partition_key for record in stores.records}:
        order = [c for c, record in wanted.items() if record.partition_key == key]
        assert [content for content in logged if wanted[content].partition_key == key] == order
    _check_files(stores, logged)


def check_derived(stores: FakeLogStores) -> None:
    """The log is what follows from its events: each once, in order, in every file."""
    wanted = [entry_of(record, TEXT_KEY).content for record in stores.records]
    assert entries_of(stores) == wanted
    _check_files(stores, wanted)
    ids = [json.loads(entry)["id"] for entry in wanted]
    assert len(set(ids)) == len(ids)


def _check_files(stores: FakeLogStores, wanted: list[bytes]) -> None:
    checkpoint = newest(stores)
    leaves = [leaf_hash(entry) for entry in wanted]
    assert (checkpoint.size, checkpoint.root) == (len(wanted), root_from_leaves(leaves))
    derived = dict(grow(Edge(), leaves).tiles)
    for number in range(-(-len(wanted) // TILE_WIDTH)):
        part = wanted[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
        derived[bundle_name(number, len(part))] = encode_bundle(part)
    assert set(derived) == set(files_of(len(wanted)))
    for name, content in derived.items():
        assert stores.contents[name] == content, name
    assert all(is_file_name(name) for name in stores.contents)
    state = read_state(read_signed_state(stores.values[STATE][1])[0])
    assert state.pending is None and state.edge.size == len(wanted)


def run(stores: FakeLogStores) -> int:
    return asyncio.run(sequencer(stores).run())
