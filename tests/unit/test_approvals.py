"""Carrying out what was approved: at the prices of that day, and never beyond what was approved."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.parked_work import Move, moved_id, parked
from shared.domain.settlements import resolution_for
from shared.domain.work import read_work_item
from shared.errors import BudgetExceeded, Conflict, Unavailable
from shared.services.overage import Wanted
from tests import builders
from tests.fakes.clock import NOON
from tests.unit.waiting_bench import ASKER, DEPARTMENT, MANAGER, WaitingBench

RATE = 1_540_000  # micro-AUD per USD, as it ships
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


async def record_of(bench: WaitingBench, operation_id: str) -> tuple[str, str]:
    """Status of the work, and the code of why it failed."""
    batch = await bench.records.batch(operation_id)
    if batch is not None:
        return batch["status"], batch["problem"]["code"]
    record = await bench.records.generation(operation_id)
    assert record is not None
    return record["status"], record["failure"]["code"]


# --- prices -------------------------------------------------------------------------------------


async def test_work_that_became_dearer_since_it_was_approved_fails_and_costs_nothing() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    bench.next_day(RATE + 100_000)
    assert (await bench.approvals.conclude(operation_id)).status == "failed"
    assert (await bench.approval(operation_id)).reason == "price_rose"
    assert await record_of(bench, operation_id) == ("failed", "price_rose")
    budget = await bench.budget()
    assert (budget.limit_micros, budget.reserved_micros) == (0, 0)
    (event,) = bench.events("approval.failed")
    assert event["reason"] == "price_rose"


async def test_work_that_became_cheaper_is_reserved_and_billed_at_the_new_quote() -> None:
    bench = WaitingBench()
    await bench.open()
    wanted = bench.single()
    operation_id = await bench.approved(wanted)
    bench.next_day(RATE // 2)
    assert (await bench.approvals.conclude(operation_id)).status == "concluded"
    record = await bench.records.generation(operation_id)
    budget = await bench.budget()
    assert record is not None
    assert record["quote"]["exchange_rate_version"] == "r-next"
    assert record["quote"]["amount_micros"] == budget.reserved_micros == budget.limit_micros
    assert 0 < budget.reserved_micros < wanted.hold.amount_micros
    (event,) = bench.events("generation.admitted")
    assert event["details"]["reserved_micros"] == budget.reserved_micros
    assert event["details"]["approved_micros"] == wanted.hold.amount_micros


async def test_model_that_was_retired_meanwhile_fails_the_work() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    bench.clock.set(datetime(2027, 4, 21, tzinfo=UTC))
    assert (await bench.approvals.conclude(operation_id)).status == "failed"
    assert await record_of(bench, operation_id) == ("failed", "model_retired")
    assert (await bench.budget()).limit_micros == 0


async def test_batch_with_a_row_that_nobody_prices_any_more_fails_as_a_whole() -> None:
    bench = WaitingBench()
    await bench.open()
    rows = [builders.request(), builders.request("flux-schnell")]
    operation_id = await bench.approved(await bench.batch(rows))
    bench.next_day_without("flux-schnell")
    assert (await bench.approvals.conclude(operation_id)).status == "failed"
    assert await record_of(bench, operation_id) == ("rejected", "rows_unpriced")
    assert (await bench.budget()).limit_micros == 0


async def test_batch_is_carried_out_by_a_plan_at_the_prices_of_its_day() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(await bench.batch([builders.request()] * 2))
    bench.next_day(RATE // 2)
    ending = await bench.approvals.conclude(operation_id)
    assert (ending.status, ending.kind, ending.rows) == ("concluded", "batch", 2)
    batch = await bench.records.batch(operation_id)
    assert batch is not None
    chunk = await bench.files.chunk(operation_id, batch["plan"], 0)
    assert chunk.exchange_rate_version == "r-next"
    quoted = sum(row.quote.amount_micros for row in chunk.rows if row.quote)
    assert quoted == batch["quoted_micros"] == (await bench.budget()).reserved_micros


async def test_prices_of_the_same_day_stand() -> None:
    bench = WaitingBench()
    await bench.open()
    wanted = await bench.batch([builders.request()])
    operation_id = await bench.approved(wanted)
    assert (await bench.approvals.conclude(operation_id)).status == "concluded"
    batch = await bench.records.batch(operation_id)
    assert batch is not None and batch["plan"] == "plan-1"
    assert len(bench.files.chunks) == 1


async def test_conclusion_that_reads_a_place_too_early_is_tried_again() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    del bench.connection.container("ledger").partitions[builders.PARTITION.key][f"h:{operation_id}"]
    with pytest.raises(Unavailable):
        await bench.approvals.conclude(operation_id)


# --- the end of a period ------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "waits"), [(False, True), (True, False)])
async def test_request_that_met_the_end_of_its_period_is_refused(late: bool, waits: bool) -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT + timedelta(seconds=1 if late else -1))
    await bench.open()
    wanted = bench.single()  # under an id of November
    refusal = BudgetExceeded("No.", extra={"scope": DEPARTMENT.name})
    under = await bench.overages.take(
        ASKER,
        refusal,
        Wanted("generation", wanted.hold.operation_id, "c-1", {}, lambda _: wanted),
        bench.orchestrations,
    )
    assert (under == wanted.hold.operation_id) is waits
    found = await bench.store.approval(wanted.hold.operation_id)
    assert (found is not None) is waits
    assert bench.orchestrations.approvals == ([under] if waits else [])


async def test_place_that_is_barred_is_asked_for_in_the_next_period() -> None:
    bench = WaitingBench()
    await bench.open()
    wanted = bench.single()
    assert await bench.ledger.bar(wanted.hold.operation_id, NOON.isoformat())
    with pytest.raises(Unavailable, match="send it again"):
        await bench.ask(wanted)


# --- the sweep ----------------------------------------------------------------------------------


async def test_sweep_starts_a_watch_that_was_lost_once_it_has_something_to_do() -> None:
    bench = WaitingBench()
    await bench.open()
    assert await bench.ask(bench.single())
    bench.orchestrations.approvals.clear()
    await bench.sweep.run(bench.orchestrations)
    assert bench.orchestrations.approvals == []  # nothing is due before it escalates
    bench.clock.advance(timedelta(days=1).total_seconds())
    await bench.sweep.run(bench.orchestrations)
    assert bench.orchestrations.approvals == [builders.single_id()]


async def test_sweep_finds_a_decision_that_nobody_heard_of() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    bench.orchestrations.approvals.clear()
    report = await bench.sweep.run(bench.orchestrations)
    assert (bench.orchestrations.approvals, report.errors) == ([operation_id], 0)


async def test_sweep_lands_a_move_behind_many_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.parked_work.WAITING_PER_PAGE", 2)
    bench = WaitingBench(overage="queue")
    await bench.open()
    following = replace(builders.PARTITION, period="202612")
    for n in range(5):
        item = builders.item(builders.single_id(f"w-{n}"))
        there = replace(item, generation_id=moved_id(item.generation_id, following))
        work = parked("generation", builders.reservation(there), "deferred", MIDNIGHT.isoformat())
        event = builders.event(item.generation_id, "generation.deferred")
        await bench.store.move(Move(item.generation_id, work, MIDNIGHT.isoformat()), event)
    report = await bench.sweep.run(bench.orchestrations)
    assert (report.landed, report.errors) == (5, 0)
    assert len(bench.documents(lambda d: d["type"] == "parked_hold")) == 5
    assert bench.documents(lambda d: d.get("status") == "moved") == []


async def test_manager_decides_until_the_period_ends() -> None:
    bench = WaitingBench()
    bench.clock.set(MIDNIGHT - timedelta(seconds=1))
    await bench.open()
    operation_id = await bench.approved(bench.single())
    approval = await bench.approval(operation_id)
    assert (approval.status, approval.expires_at) == ("approved", MIDNIGHT.isoformat())
    assert MANAGER.key in {vote.approver for vote in await bench.store.votes(operation_id)}


# --- evidence -------------------------------------------------------------------------------------


async def test_the_last_event_of_approved_work_binds_its_approvals() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    await bench.approvals.conclude(operation_id)
    record = await bench.records.generation(operation_id)
    assert record is not None
    (vote,) = bench.documents(lambda d: d["type"] == "vote")
    (event,) = bench.events("approval.approved.1")
    assert list(record["approvals"]) == [vote["mark"]]
    assert vote["mark"].startswith(f"{event['event_id']}=")
    work = read_work_item(record)
    end = resolution_for(work, builders.report(work), builders.CLOSED_AT)
    assert end.event.details["approvals"] == vote["mark"]


async def test_work_is_not_carried_out_while_a_vote_cannot_be_read() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    (vote,) = bench.documents(lambda d: d["type"] == "vote")
    partition = bench.connection.container("ledger").partitions[builders.PARTITION.key]
    del partition[vote["id"]]
    with pytest.raises(Unavailable):
        await bench.approvals.conclude(operation_id)
    assert (await bench.approval(operation_id)).status == "approved"
    partition[vote["id"]] = vote
    assert (await bench.approvals.conclude(operation_id)).status == "concluded"


async def test_a_vote_of_a_version_without_marks_binds_nothing() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    (vote,) = bench.documents(lambda d: d["type"] == "vote")
    del vote["mark"]
    await bench.approvals.conclude(operation_id)
    record = await bench.records.generation(operation_id)
    assert record is not None and record["approvals"] is None
    work = read_work_item(record)
    end = resolution_for(work, builders.report(work), builders.CLOSED_AT)
    assert end.event.details["approvals"] is None


async def test_votes_on_what_is_decided_leave_no_event_however_often_they_come() -> None:
    bench = WaitingBench()
    await bench.open()
    operation_id = await bench.approved(bench.single())
    for caller in (ASKER, MANAGER):
        for _ in range(3):
            with pytest.raises(Conflict) as refused:
                await bench.approvals.decide(
                    caller,
                    operation_id,
                    "approve",
                    "",
                    correlation_id="c-3",
                    orchestrations=bench.orchestrations,
                )
            assert refused.value.problem_code == "already_decided"
    assert bench.events("approval.denied") == []
