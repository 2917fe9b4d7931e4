"""The sequencer: what it takes, what it notes, and when it refuses to sign."""

import json

import pytest

from shared.domain.audit_entries import AuditRecord
from shared.domain.sequencing import LogState, read_state, state_json
from shared.errors import InvariantBroken
from shared.services.audit_sequencer import STATE
from tests.fakes.audit_log_files import FakeLogStores
from tests.proofs.audit_log_world import check_derived, entries_of, newest, records, sequencer


async def grown(size: int) -> FakeLogStores:
    stores = FakeLogStores(records=records(0, size))
    assert await sequencer(stores).run() == size
    return stores


async def test_an_empty_log_gets_a_checkpoint() -> None:
    stores = await grown(0)
    assert newest(stores).size == 0
    assert stores.contents == {}


async def test_events_are_taken_in_order_over_many_runs() -> None:
    stores = await grown(3)
    for size in (3, 256, 257, 800):
        stores.records = records(0, size)
        await sequencer(stores).run()
        check_derived(stores)


async def test_nothing_new_changes_nothing() -> None:
    stores = await grown(300)
    before = (dict(stores.contents), dict(stores.values), dict(stores.notes))
    assert await sequencer(stores).run() == 0
    assert (stores.contents, stores.values, stores.notes) == before


async def test_the_same_event_again_is_not_taken_again() -> None:
    stores = await grown(5)
    stores.records += records(2, 4)
    assert await sequencer(stores).run() == 0
    assert newest(stores).size == 5


async def test_the_same_id_in_two_partitions_is_two_events() -> None:
    stores = await grown(5)
    stores.records += records(2, 4, "marketing|202611")
    assert await sequencer(stores).run() == 2


async def test_an_altered_event_is_noted_once_and_the_first_stays() -> None:
    stores = await grown(5)
    altered = records(2, 3)[0]
    changed = AuditRecord(
        altered.partition_key, altered.document_id, {**altered.event, "outcome": "denied"}
    )
    for _ in range(2):
        stores.records.append(changed)
        await sequencer(stores).run()
    entries = [json.loads(entry) for entry in entries_of(stores)]
    assert [entry["action"] for entry in entries[5:]] == ["audit.altered"]
    assert entries[5]["details"]["index"] == 2
    assert entries[2]["outcome"] == "success"


async def test_documents_that_are_no_events_do_not_stop_the_log() -> None:
    stores = await grown(2)
    stores.records += [AuditRecord("p", "odd", "nonsense"), *records(2, 3)]
    assert await sequencer(stores).run() == 2
    assert json.loads(entries_of(stores)[2])["action"] == "audit.unreadable"


async def test_it_does_not_sign_when_its_state_went_back() -> None:
    stores = await grown(5)
    before = dict(stores.values)
    stores.records = records(0, 9)
    await sequencer(stores).run()
    stores.values = before
    stores.records = records(0, 5)
    with pytest.raises(InvariantBroken, match="went back"):
        await sequencer(stores).run()


async def test_it_does_not_sign_another_history() -> None:
    stores = await grown(5)
    stores.values, stores.contents = {}, {}
    stores.records = records(1, 9)
    with pytest.raises(InvariantBroken, match="not what was signed"):
        await sequencer(stores).run()
    assert max(stores.notes) == 5


async def test_it_does_not_sign_another_history_of_the_same_size() -> None:
    stores = await grown(5)
    stores.values, stores.contents = {}, {}
    stores.records = records(1, 6)
    with pytest.raises(InvariantBroken, match="signed before"):
        await sequencer(stores).run()


async def test_it_stops_when_the_last_entries_were_changed() -> None:
    stores, name = await grown(300), "tile/entries/001.p/44"
    content = stores.contents[name]
    stores.contents[name] = content[:-1] + bytes([content[-1] ^ 1])
    stores.records = records(0, 600)
    with pytest.raises(InvariantBroken):
        await sequencer(stores).run()
    assert max(stores.notes) == 300


async def test_it_stops_when_the_last_entries_are_missing() -> None:
    stores = await grown(300)
    del stores.contents["tile/entries/001.p/44"]
    stores.records = records(0, 301)
    with pytest.raises(InvariantBroken, match="missing"):
        await sequencer(stores).run()


async def test_state_reads_back_and_another_version_is_refused() -> None:
    stores = await grown(300)
    content = stores.values[STATE][1]
    assert state_json(read_state(content)) == content
    other = json.dumps({**json.loads(content), "version": 2}).encode()
    with pytest.raises(InvariantBroken):
        read_state(other)
    assert read_state(state_json(LogState())) == LogState()
