"""The sequencer: what it takes, what it notes, and when it refuses to sign."""

import json
from dataclasses import replace

import pytest

from shared.domain.audit_entries import AuditRecord, as_logged, entry_of
from shared.domain.log_index import MARK_BYTES, Place, bucket_name, read_bucket, with_places
from shared.domain.sequencing import (
    LogState,
    Pending,
    read_signed_state,
    read_state,
    signed_state,
    state_json,
)
from shared.domain.signed_notes import Checkpoint, read_checkpoint, read_note
from shared.errors import InvariantBroken
from shared.services.audit_sequencer import STATE
from tests import builders
from tests.fakes.audit_log_files import FakeLogStores, FakeNoteSigner
from tests.proofs.audit_log_world import (
    LOG_KEY,
    ORIGIN,
    TEXT_KEY,
    check_derived,
    entries_of,
    newest,
    records,
    sequencer,
)
from tools.eig_verify.entries import read_entry


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
    content, _ = read_signed_state(stores.values[STATE][1])
    assert state_json(read_state(content)) == content
    other = json.dumps({**json.loads(content), "version": 2}).encode()
    with pytest.raises(InvariantBroken):
        read_state(other)
    assert read_state(state_json(LogState())) == LogState()


def forged_place(stores: FakeLogStores, record: AuditRecord, index: int, mark: bytes) -> str:
    """Writes a place into the index for an event; returns the bucket's name."""
    entry = entry_of(record, TEXT_KEY)
    name = bucket_name(entry.partition_key, entry.key)
    version, content = stores.values.get(name, (0, b""))
    forged = with_places(content, {entry.key: Place(index, mark)})
    stores.values[name] = (version + 1, forged)
    return name


@pytest.mark.parametrize("index", [0, 2, 4, 5, 10**6])
async def test_a_false_place_in_the_index_hides_no_event(index: int) -> None:
    """Somebody who can write the index says that an event is in the log before it comes."""
    stores = await grown(5)
    (hidden,) = records(5, 6)
    forged_place(stores, hidden, index, as_logged(entry_of(hidden, TEXT_KEY))[:MARK_BYTES])
    stores.records.append(hidden)
    assert await sequencer(stores).run() == 1
    check_derived(stores)
    stores.records.append(hidden)  # the place was put right
    assert await sequencer(stores).run() == 0


async def test_a_false_mark_in_the_index_makes_no_altered_event() -> None:
    stores = await grown(5)
    forged_place(stores, stores.records[2], 2, b"x" * MARK_BYTES)
    stores.records.append(stores.records[2])
    assert await sequencer(stores).run() == 0
    assert newest(stores).size == 5


@pytest.mark.parametrize("garbage", [b"x", b"x" * 41, b"x" * 1_000])
async def test_a_spoilt_bucket_stops_nothing(garbage: bytes) -> None:
    stores = await grown(3)
    for name in [name for name in stores.values if name.startswith("index/")]:
        version, content = stores.values[name]
        stores.values[name] = (version, content + garbage)
    stores.records += records(3, 300)
    await sequencer(stores).run()
    check_derived(stores)
    for record in records(3, 300)[::37]:
        entry = entry_of(record, TEXT_KEY)
        held = stores.values[bucket_name(entry.partition_key, entry.key)][1]
        assert read_bucket(held)[entry.key].mark == as_logged(entry)[:MARK_BYTES]


ANY = builders.event("x").as_json()


@pytest.mark.parametrize(
    ("partition", "document_id", "event"),
    [
        ("p", "long", {**ANY, "event_id": "long", "actor": "x" * 70_000}),
        ("p", "x" * 70_000, None),
        ("\ud800", "\ud800", {"event_id": "\ud800"}),
        ("a\0b", "c", {**ANY, "event_id": "c"}),
        (
            "p",
            "names",
            {**ANY, "event_id": "names", "details": {"\n": 1}},
        ),
    ],
)
async def test_a_hostile_document_is_logged_by_its_hash_and_stops_nothing(
    partition: str, document_id: str, event: object, caplog: pytest.LogCaptureFixture
) -> None:
    stores = await grown(2)
    stores.records += [AuditRecord(partition, document_id, event), *records(2, 4)]
    assert await sequencer(stores).run() == 3
    entry = json.loads(entries_of(stores)[2])
    assert (entry["action"], entry["outcome"]) == ("audit.unreadable", "failure")
    assert "logged by its hash" in caplog.text
    folder_entries = [read_entry(each, "here")["action"] for each in entries_of(stores)]
    assert folder_entries[3:] == ["generation.admitted"] * 2


async def test_checkpoints_of_strangers_are_passed_over() -> None:
    stores = await grown(2)
    stranger = FakeNoteSigner(ORIGIN, seed=9)
    text = Checkpoint(ORIGIN, 10**9, b"x" * 32).text
    stores.notes[10**9] = f"{text}\n{stranger.key.line(await stranger.sign(text.encode()))}"
    stores.notes[10**10] = "nonsense"
    stores.records += records(2, 5)
    assert await sequencer(stores).run() == 3
    note = await stores.newest(LOG_KEY.key)
    assert note is not None and read_checkpoint(read_note(note)).size == 5


async def test_the_log_is_derived_again_with_the_same_key_of_texts_and_with_no_other() -> None:
    """What docs/audit_log.md claims of a change of the salt."""
    stores = await grown(300)
    for record in stores.records:
        record.event["reason"] = "typed by somebody"
    stores.values.clear()
    stores.contents.clear()
    stores.notes.clear()
    await sequencer(stores).run()
    genuine = newest(stores)
    stores.values.clear()
    stores.contents.clear()
    await sequencer(stores).run()
    assert newest(stores) == genuine
    changed = replace(sequencer(stores), text_key=b"another salt")
    # It goes on with what is new, and proves what it has.
    stores.records += records(300, 310)
    assert await changed.run() == 10
    assert newest(stores).size == 310
    # An old event that comes again cannot be compared any more, and is noted as altered.
    stores.records.append(stores.records[0])
    assert await changed.run() == 1
    assert json.loads(entries_of(stores)[310])["action"] == "audit.altered"
    # Derived from nothing it is another log, which is not signed.
    stores.values.clear()
    stores.contents.clear()
    with pytest.raises(InvariantBroken):
        await changed.run()
    assert newest(stores).size == 311


async def test_a_state_that_somebody_else_wrote_is_refused() -> None:
    """Whoever reaches the storage account alone can bring nothing into the log, nor skip any."""
    stores = await grown(5)
    version, genuine = stores.values[STATE]
    content, signature = read_signed_state(genuine)
    state = read_state(content)
    forged_entry = replace(entry_of(records(5, 6)[0], TEXT_KEY), content=b'{"forged":true}')
    forgeries = (
        replace(state, position="7"),
        replace(state, pending=Pending((forged_entry,), state.position)),
        LogState(),
    )
    stores.records += records(5, 9)
    for forged in forgeries:
        for signed in (
            signed_state(state_json(forged), signature),
            state_json(forged),
            b"nonsense",
            b"[]",
            signed_state(
                state_json(forged), await FakeNoteSigner(ORIGIN, seed=9).sign(state_json(forged))
            ),
            # A signature of the log's key, over something else.
            signed_state(state_json(forged), await LOG_KEY.sign(state_json(forged))),
        ):
            stores.values[STATE] = (version, signed)
            with pytest.raises(InvariantBroken):
                await sequencer(stores).run()
    assert max(stores.notes) == 5
    stores.values[STATE] = (version, genuine)
    assert await sequencer(stores).run() == 4
    check_derived(stores)
