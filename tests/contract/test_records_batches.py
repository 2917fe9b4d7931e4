"""The Records port, batches: one suite on the fake and on the SDK."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.cosmos_records import RESOLUTIONS_PER_PAGE
from shared.domain.batch_plans import BatchSource, BatchTotals, batch_record
from shared.domain.ledger import Document
from shared.errors import InvariantBroken
from tests import builders
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import RecordsBench, event_of, plain

stores, bench = cosmos_stores.stores, cosmos_stores.bench  # fixtures, found by their names

LATER = "2026-11-15T13:00:00+00:00"
LATER_STILL = "2026-11-15T14:00:00+00:00"
RACERS = 8


def refused(bench: RecordsBench, seed: str = "refused", **changes: Any) -> Document:
    """The record of a file that was refused as a whole."""
    record = batch_record(
        bench.id_of(seed),
        bench.work(seed).owner,
        bench.work(seed).charge,
        BatchSource("upload"),
        BatchTotals(0, 0, 0, 0),
        created_at=builders.CREATED_AT,
        correlation_id="c-1",
        price_version="p-1",
        plan="",
    )
    return record | {"status": "rejected", "problem": {"code": "file_empty"}} | changes


def rows(documents: Any) -> list[int]:
    return [document["row"] for document in documents]


async def test_batch_is_the_record_as_it_was_admitted(bench: RecordsBench) -> None:
    batch_id, work = await bench.admit_batch(3)
    admitted = builders.batch_reservation(batch_id, work).record
    assert plain(await bench.records.batch(batch_id)) == admitted


async def test_batch_that_was_never_admitted_is_none(bench: RecordsBench) -> None:
    assert await bench.records.batch(bench.id_of("nobody")) is None


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (1, 12, [1, 2, 9, 10, 11]),
        (1, 50_000, [1, 2, 9, 10, 11]),
        (2, 10, [2, 9, 10]),
        (9, 9, [9]),
        (3, 8, []),
        (12, 12, []),
        (10, 9, []),
    ],
)
async def test_batch_generations_are_the_rows_of_the_range_in_order(
    bench: RecordsBench, first: int, last: int, expected: list[int]
) -> None:
    batch_id, work = await bench.admit_batch(12)
    for number in (10, 2, 11, 1, 9):
        await bench.settle(work[number - 1])
    assert rows(await bench.records.batch_generations(batch_id, first, last)) == expected


async def test_batch_generations_of_a_neighbour_are_left_out(bench: RecordsBench) -> None:
    for seed in ("a", "b", "c"):
        _, work = await bench.admit_batch(1, seed=seed)
        await bench.settle(*work)
    await bench.admit("single")
    found = await bench.records.batch_generations(bench.id_of("b"), 1, 50_000)
    assert [each["batch_id"] for each in found] == [bench.id_of("b")]


async def test_batch_generations_include_rows_of_unknown_outcome(bench: RecordsBench) -> None:
    batch_id, work = await bench.admit_batch(2)
    await bench.money.note_unknown(work[1])
    (found,) = await bench.records.batch_generations(batch_id, 1, 2)
    assert (found["row"], found["status"]) == (2, "indeterminate")


async def test_resolutions_come_in_row_order_whatever_the_order_of_settlement(
    bench: RecordsBench,
) -> None:
    batch_id, work = await bench.admit_batch(12)
    for number in (11, 2, 12, 1, 9):
        await bench.settle(work[number - 1])
    found = [entry async for entry in bench.records.resolutions(batch_id)]
    assert rows(found) == [1, 2, 9, 11, 12]
    assert {entry["operation_id"] for entry in found} == {batch_id}
    assert [entry["item_id"] for entry in found] == [f"row-{n}" for n in (1, 2, 9, 11, 12)]


async def test_resolutions_over_pages_are_complete(bench: RecordsBench) -> None:
    count = RESOLUTIONS_PER_PAGE + 1
    batch_id, work = await bench.admit_batch(count)
    await bench.settle(*work)
    found = [entry async for entry in bench.records.resolutions(batch_id)]
    assert rows(found) == list(range(1, count + 1))


async def test_resolutions_are_only_those_of_the_batch(bench: RecordsBench) -> None:
    single = await bench.admit("single")
    await bench.settle(single)
    _, other = await bench.admit_batch(1, seed="other")
    await bench.settle(*other)
    batch_id, _ = await bench.admit_batch(1)
    for any_id in (batch_id, single.generation_id):
        assert [entry async for entry in bench.records.resolutions(any_id)] == []


async def test_reject_batch_keeps_the_record_and_one_event(bench: RecordsBench) -> None:
    record = refused(bench)
    event = event_of(record["batch_id"], "batch.rejected")
    await bench.records.reject_batch(record, event)
    assert plain(await bench.records.batch(record["batch_id"])) == record
    (waiting,) = await bench.records.outbox(bench.partition, 10)
    assert waiting["event"] == event.as_json()


async def test_reject_batch_repeated_leaves_the_first(bench: RecordsBench) -> None:
    record = refused(bench)
    event = event_of(record["batch_id"], "batch.rejected")
    await bench.records.reject_batch(record, event)
    again = refused(bench, created_at=LATER, problem={"code": "no_rows"})
    await bench.records.reject_batch(again, replace(event, occurred_at=LATER))
    assert plain(await bench.records.batch(record["batch_id"])) == record
    assert await bench.actions() == ["batch.rejected"]


async def test_reject_batch_of_one_that_was_admitted_changes_nothing(bench: RecordsBench) -> None:
    batch_id, _ = await bench.admit_batch(1, seed="refused")
    before = await bench.must_batch(batch_id)
    await bench.records.reject_batch(refused(bench), event_of(batch_id, "batch.rejected"))
    assert await bench.records.batch(batch_id) == before
    assert await bench.actions() == ["batch.admitted"]


async def test_request_cancel_marks_the_batch_and_nothing_else(bench: RecordsBench) -> None:
    batch_id, _ = await bench.admit_batch(2)
    before = plain(await bench.must_batch(batch_id)) or {}
    await bench.records.request_cancel(batch_id, event_of(batch_id, "batch.cancel_requested"))
    after = plain(await bench.must_batch(batch_id))
    assert after == before | {"cancel_requested": True}


async def test_request_cancel_repeated_has_one_event(bench: RecordsBench) -> None:
    batch_id, _ = await bench.admit_batch(2)
    event = event_of(batch_id, "batch.cancel_requested")
    for moment in (event.occurred_at, LATER):
        await bench.records.request_cancel(batch_id, replace(event, occurred_at=moment))
    assert (await bench.must_batch(batch_id))["cancel_requested"] is True
    assert await bench.actions() == ["batch.admitted", "batch.cancel_requested"]


async def test_close_batch_sets_the_end_and_keeps_the_counts(bench: RecordsBench) -> None:
    batch_id, work = await bench.admit_batch(2)
    await bench.settle(*work)
    before = plain(await bench.must_batch(batch_id)) or {}
    event = event_of(batch_id, "batch.completed")
    await bench.records.close_batch(batch_id, "completed", LATER, event)
    after = plain(await bench.must_batch(batch_id))
    assert after == before | {"status": "completed", "completed_at": LATER}


async def test_close_batch_repeated_keeps_the_first_time_and_has_one_event(
    bench: RecordsBench,
) -> None:
    batch_id, _ = await bench.admit_batch(1)
    event = event_of(batch_id, "batch.completed")
    for moment in (LATER, LATER_STILL):
        await bench.records.close_batch(batch_id, "completed", moment, event)
    assert (await bench.must_batch(batch_id))["completed_at"] == LATER
    assert await bench.actions() == ["batch.admitted", "batch.completed"]


async def test_close_batch_by_many_at_once_happens_once(bench: RecordsBench) -> None:
    batch_id, _ = await bench.admit_batch(1)
    event = event_of(batch_id, "batch.completed")
    moments = [f"2026-11-15T13:00:{second:02d}+00:00" for second in range(RACERS)]
    await asyncio.gather(
        *(bench.records.close_batch(batch_id, "completed", moment, event) for moment in moments)
    )
    assert (await bench.must_batch(batch_id))["completed_at"] in moments
    assert await bench.actions() == ["batch.admitted", "batch.completed"]


async def test_close_batch_after_unknown_outcomes_ends_it_for_good(bench: RecordsBench) -> None:
    batch_id, _ = await bench.admit_batch(1)
    for status, moment in (("indeterminate", LATER), ("completed", LATER_STILL)):
        event = event_of(batch_id, f"batch.{status}")
        await bench.records.close_batch(batch_id, status, moment, event)
    batch = await bench.must_batch(batch_id)
    assert (batch["status"], batch["completed_at"]) == ("completed", LATER_STILL)
    assert await bench.actions() == ["batch.admitted", "batch.completed", "batch.indeterminate"]


async def test_changes_of_a_batch_that_does_not_exist_are_a_broken_invariant(
    bench: RecordsBench,
) -> None:
    batch_id = bench.id_of("nobody")
    with pytest.raises(InvariantBroken):
        await bench.records.request_cancel(batch_id, event_of(batch_id, "batch.cancel_requested"))
    with pytest.raises(InvariantBroken):
        await bench.records.close_batch(
            batch_id, "completed", LATER, event_of(batch_id, "batch.completed")
        )
    assert await bench.actions() == []
