"""Events that were deleted from Cosmos DB after they were logged are found, noted and alerted."""

import json
import logging
from unittest.mock import patch

import pytest

from shared.domain.audit_entries import AuditRecord
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.errors import Unavailable
from shared.services import audit_deletions
from shared.services.audit_deletions import AuditDeletions, DeletionReport, deletions_partition
from tests.fakes.audit_log_files import FakeLogStores
from tests.fakes.clock import FakeClock
from tests.proofs.audit_log_world import LOG_KEY, TEXT_KEY, check_derived, records, sequencer

TENANT = "tenant-1"


class Outbox:
    """The ledger, as far as notes need it; the same id is kept once."""

    def __init__(self) -> None:
        self.noted: dict[str, AuditEvent] = {}

    async def note_event(self, partition: Partition, event: AuditEvent) -> None:
        assert partition == deletions_partition(TENANT)
        self.noted.setdefault(event.event_id, event)


def check(stores: FakeLogStores, outbox: Outbox) -> AuditDeletions:
    return AuditDeletions(
        feed=stores,
        files=stores,
        registers=stores,
        checkpoints=stores,
        signer=LOG_KEY,
        ledger=outbox,  # type: ignore[arg-type]
        clock=FakeClock(),
        tenant_id=TENANT,
        text_key=TEXT_KEY,
    )


async def grown(size: int) -> FakeLogStores:
    stores = FakeLogStores(records=records(0, size))
    await sequencer(stores).run()
    return stores


async def test_a_log_whose_events_all_stand_has_nothing_to_tell() -> None:
    for size in (0, 1, 256, 600):
        outbox = Outbox()
        report = await check(await grown(size), outbox).run()
        assert report == DeletionReport(size, 0, 0, whole=True)
        assert outbox.noted == {}


async def test_an_empty_store_has_no_log_to_compare() -> None:
    assert await check(FakeLogStores(), Outbox()).run() == DeletionReport(0, 0, 0, whole=True)


async def test_deleted_events_are_noted_once_and_alerted_in_every_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stores, outbox = await grown(600), Outbox()
    gone = [stores.records[at] for at in (0, 255, 256, 599)]
    stores.records = [each for each in stores.records if each not in gone]
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            report = await check(stores, outbox).run()
        assert (report.missing, report.whole) == (4, True)
        assert "deleted from Cosmos DB" in caplog.text
    found = {event.details["event"]: event for event in outbox.noted.values()}
    assert set(found) == {each.document_id for each in gone}
    assert {event.details["partition"] for event in found.values()} == {gone[0].partition_key}


async def test_the_note_of_a_deletion_gets_into_the_log() -> None:
    stores, outbox = await grown(3), Outbox()
    del stores.records[1]
    await check(stores, outbox).run()
    (event,) = outbox.noted.values()
    noted = AuditRecord(deletions_partition(TENANT).key, event.event_id, event.as_json())
    stores.records.append(noted)
    assert await sequencer(stores).run() == 0  # the fake's position counts records
    stores.records += records(3, 4)
    stores.records[2:] = [*records(3, 4), noted]
    await sequencer(stores).run()
    assert (await check(stores, outbox).run()).missing == 1


async def test_runs_go_on_where_the_last_one_stopped() -> None:
    stores, outbox = await grown(700), Outbox()
    with patch.object(audit_deletions, "BUNDLES_PER_RUN_MAX", 2):
        first = await check(stores, outbox).run()
        second = await check(stores, outbox).run()
        third = await check(stores, outbox).run()
    assert (first.looked_at, first.whole) == (512, False)
    assert (second.looked_at, second.whole) == (188, True)
    assert third == first


async def test_what_the_sequencer_noted_itself_is_not_missed() -> None:
    stores = await grown(2)
    stores.records.append(AuditRecord("p", "odd", "nonsense"))
    await sequencer(stores).run()
    assert (await check(stores, Outbox()).run()).missing == 0


async def test_a_changed_file_of_the_log_hides_no_deletion(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stores = await grown(600)
    gone = stores.records[300]
    stores.records.remove(gone)
    name = "tile/entries/000"
    for at in (5, 200):  # another entry of the first bundle each time
        outbox = Outbox()
        event_id = json.dumps(stores.records[at].document_id).encode()
        content = stores.contents[name]
        stores.contents[name] = content.replace(event_id, event_id.replace(b"object", b"objects"))
        caplog.clear()
        for _ in range(2):  # the events of that bundle are not called unlogged, a night later
            report = await check(stores, outbox).run()
            assert report == DeletionReport(344, 1, 0, whole=True, broken=1)
        assert [event.details["event"] for event in outbox.noted.values()] == [gone.document_id]
        alerted = {each.message for each in caplog.records if each.levelno >= logging.ERROR}
        assert "a bundle of the audit log is not what was signed" in alerted
        assert {each.name for each in caplog.records} == {"eig.audit_deletions"}
        assert all(each.exc_info is None for each in caplog.records)  # the alert reads messages
        stores.contents[name] = content
    assert (await check(stores, outbox).run()).broken == 0


async def test_runs_go_on_behind_a_bundle_that_is_gone() -> None:
    stores, outbox = await grown(700), Outbox()
    del stores.contents["tile/entries/000"]
    with patch.object(audit_deletions, "BUNDLES_PER_RUN_MAX", 1):
        reports = [await check(stores, outbox).run() for _ in range(3)]
    assert [(each.looked_at, each.broken) for each in reports] == [(0, 1), (256, 0), (188, 0)]


async def test_of_two_checks_at_once_one_gives_way() -> None:
    stores = await grown(3)
    slow = check(stores, Outbox())

    async def around(call: str, work: object) -> object:
        if call.startswith("save"):
            version, _ = stores.values.get(audit_deletions.CURSOR, (0, b""))
            stores.values[audit_deletions.CURSOR] = (version + 1, b"{}")
        return work()  # type: ignore[operator]

    stores.around = around
    with pytest.raises(Unavailable):
        await slow.run()


async def test_events_that_never_got_into_the_log_are_noted_a_night_later() -> None:
    """Somebody with the log's key moved the sequencer's position on."""
    stores, outbox = await grown(300), Outbox()
    skipped, late = records(300, 302), records(302, 303)
    stores.records += skipped
    assert (await check(stores, outbox).run()).unlogged == 0  # they may be new
    assert outbox.noted == {}
    stores.records += late
    report = await check(stores, outbox).run()
    assert (report.unlogged, report.missing) == (2, 0)
    noted = {event.details["event"]: event.action for event in outbox.noted.values()}
    assert noted == {each.document_id: audit_deletions.UNLOGGED for each in skipped}


async def test_new_events_are_no_longer_suspected_once_they_are_logged() -> None:
    stores, outbox = await grown(300), Outbox()
    stores.records += records(300, 302)
    await check(stores, outbox).run()
    await sequencer(stores).run()
    check_derived(stores)
    for _ in range(2):
        assert (await check(stores, outbox).run()).unlogged == 0
    assert outbox.noted == {}


async def test_the_feed_is_read_in_parts_and_from_its_start_again() -> None:
    stores, outbox = await grown(100), Outbox()
    stores.page_records = 30
    stores.records += records(100, 101)
    with patch.object(audit_deletions, "PAGES_PER_RUN_MAX", 2):
        for _ in range(2):
            assert (await check(stores, outbox).run()).unlogged == 0
        assert (await check(stores, outbox).run()).unlogged == 1
