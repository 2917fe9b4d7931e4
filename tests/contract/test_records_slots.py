"""The Records port, upload slots and the batches of their files: on the fake and on the SDK."""

from dataclasses import replace

import pytest

from shared.domain.batch_plans import BatchSource, BatchTotals, batch_record
from shared.domain.ids import Partition
from shared.domain.ledger import Document, partition_for
from shared.domain.periods import add_months
from tests import builders
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import RecordsBench, event_of, plain

stores, bench = cosmos_stores.stores, cosmos_stores.bench  # fixtures, found by their names


def slot(bench: RecordsBench, seed: str = "slot", period: str = "202611") -> Document:
    """A slot as the service makes it, of the fields that matter here."""
    slot_id = bench.id_of(seed, period)
    return {
        "id": f"slot:{slot_id}",
        "pk": Partition(bench.partition.department_id, period).key,
        "type": "slot",
        "slot_id": slot_id,
        "file_name": "lighthouses.csv",
        "user_key": bench.money.owner.key,
        "created_at": builders.CREATED_AT,
    }


async def receive(
    bench: RecordsBench, slot_id: str | None, period: str, created_at: str, seed: str = ""
) -> str:
    """Write down a file that came for a slot, refused as a whole; returns its batch id."""
    batch_id = bench.id_of(f"{slot_id}{created_at}{seed}", period)
    record = batch_record(
        batch_id,
        bench.work("owner").owner,
        bench.work("owner").charge,
        BatchSource("upload", slot_id, "lighthouses.csv", "etag"),
        BatchTotals(0, 0, 0, 0),
        created_at=created_at,
        correlation_id="c-1",
        price_version="p-1",
        plan="",
    )
    await bench.records.reject_batch(
        record | {"status": "rejected"}, event_of(batch_id, "batch.rejected")
    )
    return batch_id


async def found(bench: RecordsBench, slot_id: str) -> list[str]:
    partition = partition_for(slot_id)
    after = replace(partition, period=add_months(partition.period, 1))
    found = await bench.records.batches_of_slot(slot_id, [partition, after])
    return [batch["batch_id"] for batch in found]


async def test_slot_is_kept_with_one_event(bench: RecordsBench) -> None:
    made = slot(bench)
    event = event_of(made["slot_id"], "slot.created")
    await bench.records.create_slot(made, event)
    assert plain(await bench.records.slot(made["slot_id"])) == made
    (waiting,) = await bench.records.outbox(bench.partition, 10)
    assert waiting["event"] == event.as_json()


async def test_slot_that_was_never_made_is_none(bench: RecordsBench) -> None:
    assert await bench.records.slot(bench.id_of("nobody")) is None


async def test_create_slot_repeated_leaves_the_first(bench: RecordsBench) -> None:
    made = slot(bench)
    event = event_of(made["slot_id"], "slot.created")
    await bench.records.create_slot(made, event)
    await bench.records.create_slot(made | {"file_name": "other.csv"}, replace(event, actor="x"))
    assert plain(await bench.records.slot(made["slot_id"])) == made
    (waiting,) = await bench.records.outbox(bench.partition, 10)
    assert waiting["event"] == event.as_json()


async def test_batches_of_slot_without_a_file_are_none(bench: RecordsBench) -> None:
    assert await found(bench, bench.id_of("slot")) == []


async def test_batches_of_slot_come_in_order_of_creation(bench: RecordsBench) -> None:
    slot_id = bench.id_of("slot")
    second = await receive(bench, slot_id, "202611", "2026-11-15T12:02:00+00:00")
    first = await receive(bench, slot_id, "202611", "2026-11-15T12:01:00+00:00")
    assert await found(bench, slot_id) == [first, second]


@pytest.mark.parametrize(("month", "following"), [("202611", "202612"), ("202612", "202701")])
async def test_batches_of_slot_include_files_that_came_in_the_month_after(
    bench: RecordsBench, month: str, following: str
) -> None:
    slot_id = bench.id_of("slot", month)
    late = await receive(bench, slot_id, following, f"{following[:4]}-{following[4:]}-01T00:00")
    timely = await receive(bench, slot_id, month, f"{month[:4]}-{month[4:]}-28T23:59")
    assert await found(bench, slot_id) == [timely, late]


async def test_batches_of_slot_leave_out_other_slots_and_inline_batches(
    bench: RecordsBench,
) -> None:
    await receive(bench, bench.id_of("other"), "202611", builders.CREATED_AT)
    await receive(bench, None, "202611", builders.CREATED_AT)
    await bench.admit_batch(1)
    mine = await receive(bench, bench.id_of("slot"), "202611", builders.CREATED_AT)
    assert await found(bench, bench.id_of("slot")) == [mine]
