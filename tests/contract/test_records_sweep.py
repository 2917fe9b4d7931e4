"""The Records port, what timers look for: one suite on the fake and on the SDK."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from shared.domain.history import GenerationFilter
from shared.domain.ledger import partition_for
from shared.errors import Unavailable
from shared.ports import EVENTS_PER_APPEND_MAX, Records
from tests import builders
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import RecordsBench, event_of

stores, bench = cosmos_stores.stores, cosmos_stores.bench  # fixtures, found by their names
silent_records = cosmos_stores.silent_records

EARLY = "2026-11-15T10:00:00+00:00"
BEFORE = "2026-11-15T11:00:00+00:00"


async def test_open_holds_are_those_created_before_with_rows_to_end(bench: RecordsBench) -> None:
    old = await bench.admit("old", created_at=EARLY)
    await bench.admit("exactly", created_at=BEFORE)
    await bench.admit("young")
    await bench.settle(await bench.admit("settled", created_at=EARLY))
    assert await bench.records.open_holds(bench.partition, BEFORE) == [builders.hold(old)]


async def test_open_holds_include_a_batch_until_its_last_row_ends(bench: RecordsBench) -> None:
    batch_id, work = await bench.admit_batch(2, created_at=EARLY)
    await bench.settle(work[0])
    (hold,) = await bench.records.open_holds(bench.partition, BEFORE)
    assert (hold.operation_id, hold.rows) == (batch_id, 2)
    await bench.settle(work[1])
    assert await bench.records.open_holds(bench.partition, BEFORE) == []


async def test_open_holds_stay_while_an_outcome_is_unknown(bench: RecordsBench) -> None:
    work = await bench.admit("unknown", created_at=EARLY)
    await bench.money.note_unknown(work)
    (hold,) = await bench.records.open_holds(bench.partition, BEFORE)
    assert hold.operation_id == work.operation_id


async def test_unknown_generations_are_those_admitted_before_until_they_end(
    bench: RecordsBench,
) -> None:
    work = await bench.admit("unknown", created_at=EARLY)
    await bench.admit("queued", created_at=EARLY)
    for seed, created_at in (("exactly", BEFORE), ("young", builders.CREATED_AT)):
        await bench.money.note_unknown(await bench.admit(seed, created_at=created_at))
    await bench.money.note_unknown(work)
    (found,) = await bench.records.unknown_generations(bench.partition, BEFORE)
    assert found["generation_id"] == work.generation_id
    await bench.settle(work)
    assert await bench.records.unknown_generations(bench.partition, BEFORE) == []


async def test_unknown_generations_include_rows_of_batches(bench: RecordsBench) -> None:
    _, work = await bench.admit_batch(2, created_at=EARLY)
    await bench.money.note_unknown(work[1])
    (found,) = await bench.records.unknown_generations(bench.partition, BEFORE)
    assert found["generation_id"] == work[1].generation_id


@pytest.mark.parametrize(
    ("status", "is_found"),
    [
        ("running", True),
        ("indeterminate", True),
        ("completed", False),
        ("canceled", False),
        ("rejected", False),
    ],
)
async def test_unfinished_batches_run_or_wait(
    bench: RecordsBench, status: str, is_found: bool
) -> None:
    batch_id, _ = await bench.admit_batch(1, created_at=EARLY)
    if status != "running":
        event = event_of(batch_id, f"batch.{status}")
        await bench.records.close_batch(batch_id, status, builders.CLOSED_AT, event)
    found = await bench.records.unfinished_batches(bench.partition, BEFORE)
    assert [batch["batch_id"] for batch in found] == ([batch_id] if is_found else [])


async def test_unfinished_batches_are_those_admitted_before(bench: RecordsBench) -> None:
    for seed, created_at in (("exactly", BEFORE), ("young", builders.CREATED_AT)):
        await bench.admit_batch(1, seed=seed, created_at=created_at)
    assert await bench.records.unfinished_batches(bench.partition, BEFORE) == []


async def test_sweeps_see_one_partition_only(bench: RecordsBench) -> None:
    await bench.money.note_unknown(await bench.admit("unknown", created_at=EARLY))
    await bench.admit_batch(1, created_at=EARLY)
    month_after = replace(bench.partition, period="202612")
    neighbour = replace(bench.partition, department_id=f"{bench.partition.department_id}x")
    for other in (month_after, neighbour):
        assert await bench.records.open_holds(other, BEFORE) == []
        assert await bench.records.unknown_generations(other, BEFORE) == []
        assert await bench.records.unfinished_batches(other, BEFORE) == []
        assert await bench.records.outbox(other, 10) == []


async def test_outbox_gives_no_more_than_the_limit(bench: RecordsBench) -> None:
    admitted = [await bench.admit(str(number)) for number in range(4)]
    assert len(await bench.records.outbox(bench.partition, 3)) == 3
    waiting = await bench.records.outbox(bench.partition, 10)
    assert {item["event"]["object_id"] for item in waiting} == {w.generation_id for w in admitted}
    assert await bench.records.outbox(bench.partition, 0) == []


async def test_outbox_holds_events_unchanged(bench: RecordsBench) -> None:
    work = bench.work("one")
    event = replace(
        event_of(work.generation_id, "user.disabled.1"),
        reason="über",
        details={"needed_micros": 2**53 - 1, "is_new": True, "note": None, "scope": "user"},
    )
    await bench.money.ledger.note_event(bench.partition, event)
    (waiting,) = await bench.records.outbox(bench.partition, 10)
    assert waiting["event"] == event.as_json()


async def test_drop_outbox_removes_only_what_it_is_given(bench: RecordsBench) -> None:
    work = [await bench.admit(str(number)) for number in range(3)]
    waiting = await bench.records.outbox(bench.partition, 10)
    await bench.records.drop_outbox(bench.partition, waiting[:2])
    (left,) = await bench.records.outbox(bench.partition, 10)
    assert left["id"] == waiting[2]["id"]
    for each in work:
        assert await bench.records.generation(each.generation_id) is not None


async def test_drop_outbox_skips_what_was_dropped_already(bench: RecordsBench) -> None:
    for number in range(5):
        await bench.admit(str(number))
    waiting = await bench.records.outbox(bench.partition, 10)
    await bench.records.drop_outbox(bench.partition, [waiting[0], waiting[3]])
    await bench.records.drop_outbox(bench.partition, waiting)
    assert await bench.records.outbox(bench.partition, 10) == []
    await bench.records.drop_outbox(bench.partition, waiting)
    await bench.records.drop_outbox(bench.partition, [])


async def test_drop_outbox_by_two_relays_at_once_drops_everything(bench: RecordsBench) -> None:
    for number in range(6):
        await bench.admit(str(number))
    waiting = await bench.records.outbox(bench.partition, 10)
    await asyncio.gather(
        bench.records.drop_outbox(bench.partition, waiting),
        bench.records.drop_outbox(bench.partition, waiting[3:]),
    )
    assert await bench.records.outbox(bench.partition, 10) == []


async def test_drop_outbox_takes_as_many_as_one_append_copies(bench: RecordsBench) -> None:
    _, work = await bench.admit_batch(EVENTS_PER_APPEND_MAX)
    await bench.settle(*work)
    waiting = await bench.records.outbox(bench.partition, EVENTS_PER_APPEND_MAX)
    assert len(waiting) == EVENTS_PER_APPEND_MAX
    await bench.records.drop_outbox(bench.partition, waiting)
    assert len(await bench.records.outbox(bench.partition, 10)) == 1  # of 101 in all


async def test_records_are_unavailable_while_the_store_does_not_answer(
    silent_records: Records,
) -> None:
    partition, any_id = builders.PARTITION, builders.single_id()
    listing = GenerationFilter(builders.TENANT)
    calls: list[Awaitable[object]] = [
        silent_records.generation(any_id),
        silent_records.attempt(any_id, 1),
        silent_records.generations(partition, listing, None, 10),
        silent_records.batch(any_id),
        silent_records.batches_of_slot(any_id, [partition_for(any_id)]),
        silent_records.batch_generations(any_id, 1, 10),
        anext(silent_records.resolutions(any_id)),
        silent_records.request_cancel(any_id, event_of(any_id, "batch.cancel_requested")),
        silent_records.slot(any_id),
        silent_records.open_holds(partition, BEFORE),
        silent_records.unknown_generations(partition, BEFORE),
        silent_records.unfinished_batches(partition, BEFORE),
        silent_records.outbox(partition, 10),
        silent_records.drop_outbox(partition, [{"id": "e:1"}]),
    ]
    endings = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(ending) for ending in endings] == [Unavailable] * len(calls)
