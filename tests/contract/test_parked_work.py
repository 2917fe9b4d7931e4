"""The ParkedWork port: one suite on the fake container and on the SDK."""

import asyncio
from dataclasses import replace

import pytest

from shared.adapters import cosmos_parked_work
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.ids import Partition
from shared.errors import (
    AllocationTooSmall,
    BudgetExceeded,
    Conflict,
    IdempotencyKeyReused,
    PeriodNotOpen,
)
from tests import builders
from tests.contract import overage_bench
from tests.contract.overage_bench import LATER, OverageBench
from tests.fakes import parked_work as fake_parked_work

stores, bench = overage_bench.stores, overage_bench.bench  # fixtures, found by their names

LIMIT, PRICE = 1_000_000, 60_000
RACERS = 8
MUCH_LATER = "2026-11-25T00:00:00+00:00"


async def status_of(bench: OverageBench, operation_id: str) -> str:
    record = await bench.money.must_read(f"g:{operation_id}")
    return str(record["status"])


# --- an id is taken once, by whichever way the request goes -------------------------------------


async def test_work_that_waits_reserves_nothing(bench: OverageBench) -> None:
    await bench.money.open()
    approval = await bench.ask(bench.work(), bench.department)
    assert await bench.must_find(approval) == approval
    assert await bench.money.counters() == [(0, 0), (0, 0)]
    assert await status_of(bench, approval.operation_id) == "awaiting_approval"
    place = await bench.money.must_read(f"h:{approval.operation_id}")
    assert (place["type"], place["open_rows"], place["remaining_micros"]) == ("parked_hold", 0, 0)


async def test_request_that_waits_is_not_reserved_as_well(bench: OverageBench) -> None:
    await bench.money.open()
    work = bench.work()
    await bench.ask(work, bench.department)
    assert await bench.money.reserve(work) is False
    with pytest.raises(IdempotencyKeyReused):
        await bench.money.reserve(work, request_hash="another request")
    assert await bench.money.counters() == [(0, 0), (0, 0)]


async def test_request_that_is_reserved_does_not_wait_as_well(bench: OverageBench) -> None:
    await bench.money.open()
    work = bench.work()
    await bench.money.reserve(work)
    approval = bench.approval_of(work, bench.department)
    assert await bench.request(approval, work) is False
    assert await bench.parked.approval(work.operation_id) is None
    assert await bench.move(bench.move_of(work)) is None


async def test_the_same_request_waits_once(bench: OverageBench) -> None:
    await bench.money.open()
    work = bench.work()
    approval = bench.approval_of(work, bench.department)
    answers = await asyncio.gather(*(bench.request(approval, work) for _ in range(RACERS)))
    assert sum(answers) == 1


# --- votes --------------------------------------------------------------------------------------


async def test_one_approval_is_enough_when_one_is_required(bench: OverageBench) -> None:
    await bench.money.open()
    found = await bench.approved(bench.work(), bench.department)
    assert (found.status, found.approvals) == ("approved", 1)
    assert found.decided_at is not None
    (vote,) = await bench.parked.votes(found.operation_id)
    assert vote.approver == builders.caller(2).key


async def test_two_different_people_approve_when_two_are_required(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department, required=2)
    assert await bench.vote(asked, person=2)
    half = await bench.must_find(asked)
    assert (half.status, half.approvals) == ("pending", 1)
    with pytest.raises(Conflict):
        await bench.vote(half, person=2)
    assert await bench.vote(half, person=3)
    assert (await bench.must_find(asked)).status == "approved"


async def test_vote_on_an_approval_that_moved_on_is_not_counted(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department, required=2)
    answers = await asyncio.gather(*(bench.vote(asked, person=n) for n in range(2, 2 + RACERS)))
    assert sum(answers) == 1
    assert (await bench.must_find(asked)).approvals == 1


async def test_vote_sent_again_is_the_same_vote(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department, required=2)
    for _ in range(2):
        assert await bench.vote(asked, vote_id="one-send")
    assert (await bench.must_find(asked)).approvals == 1


async def test_rejection_ends_the_work(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department)
    assert await bench.vote(asked, decision="reject")
    rejected = await bench.must_find(asked)
    assert rejected.status == "rejected"
    assert await status_of(bench, asked.operation_id) == "failed"
    assert await bench.conclude(replace(rejected, status="approved")) is None
    assert await bench.money.counters() == [(0, 0), (0, 0)]


async def test_late_vote_is_not_counted(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department)
    await bench.vote(asked, decision="reject")
    assert await bench.vote(asked, person=3) is False
    assert await bench.parked.votes(asked.operation_id) != []


# --- concluding ---------------------------------------------------------------------------------


async def test_concluding_raises_by_exactly_the_amount_and_reserves(bench: OverageBench) -> None:
    await bench.money.open(department_micros=PRICE // 2)
    work = bench.work()
    after = await bench.conclude(await bench.approved(work, bench.department))
    assert after is not None and {each.scope for each in after} == set(bench.money.scopes)
    department, user = await bench.budget(), await bench.budget(bench.user)
    assert department.limit_micros == department.ceiling_micros == PRICE // 2 + PRICE
    assert (department.reserved_micros, department.granted_micros) == (PRICE, PRICE)
    assert department.committed_micros <= department.high_micros
    assert (user.limit_micros, user.reserved_micros) == (LIMIT, PRICE)
    assert await status_of(bench, work.generation_id) == "queued"


async def test_concluding_by_many_at_once_reserves_once(bench: OverageBench) -> None:
    await bench.money.open(department_micros=0)
    approval = await bench.approved(bench.work(), bench.department)
    answers = await asyncio.gather(*(bench.conclude(approval) for _ in range(RACERS)))
    assert sum(answer is not None for answer in answers) == 1
    assert (await bench.must_find(approval)).status == "concluded"
    assert await bench.money.counters() == [(PRICE, 0), (PRICE, 0)]
    assert (await bench.budget()).limit_micros == PRICE


async def test_what_was_concluded_is_settled_like_any_hold(bench: OverageBench) -> None:
    await bench.money.open(department_micros=0)
    work = bench.work()
    await bench.conclude(await bench.approved(work, bench.department))
    hold = await bench.money.ledger.hold(work.operation_id)
    assert hold is not None and hold.amount_micros == PRICE
    await bench.money.resolve(work.operation_id, builders.resolution(work, "canceled"))
    assert await bench.money.counters() == [(0, 0), (0, 0)]


async def test_concluding_when_another_budget_lacks_money_changes_nothing(
    bench: OverageBench,
) -> None:
    await bench.money.open(department_micros=0, user_micros=PRICE - 1)
    approval = await bench.approved(bench.work(), bench.department)
    with pytest.raises(BudgetExceeded) as refusal:
        await bench.conclude(approval)
    assert refusal.value.extra["scope"] == bench.user.name
    assert (await bench.must_find(approval)).status == "approved"
    assert (await bench.budget()).limit_micros == 0


async def test_concluding_never_passes_an_allocation(bench: OverageBench) -> None:
    policy = BudgetPolicy(bench.department, 0)
    budget = policy.opening(bench.money.partition.period, allocated_micros=PRICE - 1)
    event = builders.event(bench.department.name, "budget.opened")
    await bench.policies.open(bench.money.partition, budget, event)
    await builders.open_budgets(bench.money.connection, bench.money.partition, {bench.user: LIMIT})
    approval = await bench.approved(bench.work(), bench.department)
    with pytest.raises(AllocationTooSmall):
        await bench.conclude(approval)
    assert (await bench.budget()).ceiling_micros == 0


async def test_two_approvals_of_one_budget_at_once_raise_it_twice(bench: OverageBench) -> None:
    await bench.money.open(department_micros=0)
    approvals = [
        await bench.approved(bench.work(f"w-{n}"), bench.department) for n in range(RACERS)
    ]
    answers = await asyncio.gather(*(bench.conclude(each) for each in approvals))
    assert None not in answers
    assert (await bench.budget()).limit_micros == RACERS * PRICE


async def test_budget_that_was_ended_is_not_raised(bench: OverageBench) -> None:
    await bench.money.open()
    approval = await bench.approved(bench.work(), bench.department)
    ended = BudgetPolicy(bench.department, 0, revision=5, deleted=True)
    event = builders.event(bench.department.name, "budget.applied.5")
    await bench.policies.apply(bench.money.partition, ended, event)
    with pytest.raises(Conflict) as refusal:
        await bench.conclude(approval)
    assert refusal.value.problem_code == "budget_ended"
    with pytest.raises(Conflict):
        await bench.grant(bench.grant_of())
    assert (await bench.budget()).granted_micros == 0


async def test_budget_that_warns_by_now_is_not_raised(bench: OverageBench) -> None:
    await bench.money.open(department_micros=0)
    work = bench.work()
    approval = await bench.approved(work, bench.department)
    warns = BudgetPolicy(bench.department, 0, mode="warn", revision=5)
    event = builders.event(bench.department.name, "budget.applied.5")
    await bench.policies.apply(bench.money.partition, warns, event)
    assert await bench.conclude(approval) is not None
    assert (await bench.budget()).limit_micros == 0
    await bench.money.resolve(work.operation_id, builders.resolution(work, "canceled"))
    assert (await bench.budget()).granted_micros == 0


# --- ends without a decision --------------------------------------------------------------------


async def test_closing_ends_the_approval_and_its_work_once(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department)
    expired = replace(asked, status="expired", reason="approval_expired")
    event = builders.event(asked.operation_id, "approval.expired")
    assert await bench.parked.close(asked, expired, {"status": "failed"}, event)
    assert await bench.parked.close(asked, expired, {"status": "failed"}, event) is False
    assert (await bench.must_find(asked)).status == "expired"
    assert await status_of(bench, asked.operation_id) == "failed"
    assert await bench.vote(asked) is False


async def test_escalation_happens_once_and_voids_older_reads(bench: OverageBench) -> None:
    await bench.money.open()
    asked = await bench.ask(bench.work(), bench.department)
    event = builders.event(asked.operation_id, "approval.escalated")
    assert await bench.parked.escalate(asked, event)
    assert await bench.parked.escalate(asked, event) is False
    assert await bench.vote(asked) is False
    found = await bench.must_find(asked)
    assert found.escalations == 1
    assert await bench.vote(found, person=3)


# --- the next period ----------------------------------------------------------------------------


async def test_moved_work_waits_in_its_own_period(bench: OverageBench) -> None:
    await bench.money.open()
    work = bench.work()
    move = bench.move_of(work)
    assert await bench.move(move) == move
    for _ in range(2):
        await bench.parked.land(move)
    assert await bench.parked.find_move(work.generation_id) == move
    waiting = await bench.waiting_there(move)
    assert waiting.record["status"] == "deferred"
    assert await bench.money.reserve(work) is False  # its old id is taken


async def test_the_same_request_moves_once(bench: OverageBench) -> None:
    await bench.money.open()
    work = bench.work()
    first, dearer = bench.move_of(work), bench.move_of(work, price_micros=2 * PRICE)
    assert await bench.move(first) == first
    assert await bench.move(dearer) == first  # the one that stands, not the one that came late


async def test_release_reserves_once(bench: OverageBench) -> None:
    await bench.money.open()
    await bench.open_december()
    move = bench.move_of(bench.work())
    await bench.move(move)
    await bench.parked.land(move)
    waiting = await bench.waiting_there(move)
    answers = await asyncio.gather(*(bench.release(waiting) for _ in range(RACERS)))
    assert sum(answer is not None for answer in answers) == 1
    assert await bench.parked.parked(waiting.operation_id) is None
    hold = await bench.money.ledger.hold(waiting.operation_id)
    assert hold is not None and hold.amount_micros == PRICE


async def test_release_into_a_period_that_is_not_open_or_full_changes_nothing(
    bench: OverageBench,
) -> None:
    await bench.money.open()
    move = bench.move_of(bench.work())
    await bench.move(move)
    await bench.parked.land(move)
    waiting = await bench.waiting_there(move)
    with pytest.raises(PeriodNotOpen):
        await bench.release(waiting)
    await bench.open_december(limit_micros=PRICE - 1)
    with pytest.raises(BudgetExceeded) as refusal:
        await bench.release(waiting)
    assert refusal.value.extra["period"] == "202612"
    assert await bench.parked.parked(waiting.operation_id) is not None


async def test_dropped_work_is_not_released(bench: OverageBench) -> None:
    await bench.money.open()
    await bench.open_december()
    move = bench.move_of(bench.work())
    await bench.move(move)
    await bench.parked.land(move)
    waiting = await bench.waiting_there(move)
    event = builders.event(waiting.operation_id, "generation.dropped")
    assert await bench.parked.drop(waiting, {"status": "canceled"}, event)
    assert await bench.parked.drop(waiting, {"status": "canceled"}, event) is False
    assert await bench.release(waiting) is None


# --- what is listed -----------------------------------------------------------------------------


async def test_listing_narrows_by_requester_and_status(bench: OverageBench) -> None:
    await bench.money.open()
    first = await bench.ask(bench.work("one"), bench.department)
    second = await bench.ask(bench.work("two"), bench.department)
    await bench.vote(second)

    async def ids(requester: str | None, *, pending: bool) -> set[str]:
        found = await bench.parked.approvals(
            bench.money.partition, builders.TENANT, requester, pending=pending
        )
        return {approval.operation_id for approval in found}

    owner = bench.money.owner.key
    assert await ids(None, pending=True) == {first.operation_id}
    assert await ids(owner, pending=False) == {first.operation_id, second.operation_id}
    assert await ids(builders.caller(7).key, pending=False) == set()


async def due(bench: OverageBench, partition: Partition, now: str) -> list[tuple[str, str]]:
    """Type and operation of everything that the sweep is shown, page after page."""
    found: list[tuple[str, str]] = []
    after = ""
    while page := await bench.parked.waiting(partition, now, after):
        found += [(each["type"], each["operation_id"]) for each in page]
        after = page[-1]["id"]
    return found


async def test_sweep_finds_what_is_due_and_nothing_else(bench: OverageBench) -> None:
    await bench.money.open()
    await bench.open_december()
    pending = await bench.ask(bench.work("pending"), bench.department)
    escalated = await bench.ask(
        bench.work("escalated"), bench.department, escalations=1, expires_at=MUCH_LATER
    )
    approved = await bench.approved(bench.work("approved"), bench.department)
    done = await bench.approved(bench.work("done"), bench.department)
    await bench.conclude(done)
    await bench.money.reserve(bench.work("reserved"))
    moved, landed = bench.move_of(bench.work("moved")), bench.move_of(bench.work("landed"))
    for move in (moved, landed):
        await bench.move(move)
    await bench.parked.land(landed)
    here = bench.money.partition
    always = {("approval", approved.operation_id), ("moved_hold", moved.operation_id)}
    later = always | {("approval", pending.operation_id)}
    assert set(await due(bench, here, builders.CREATED_AT)) == always
    assert set(await due(bench, here, LATER)) == later
    assert set(await due(bench, here, MUCH_LATER)) == later | {("approval", escalated.operation_id)}
    there = await due(bench, landed.parked.partition, LATER)
    assert there == [("parked_hold", landed.parked.operation_id)]


async def test_sweep_is_shown_page_after_page(
    bench: OverageBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cosmos_parked_work, fake_parked_work):
        monkeypatch.setattr(module, "WAITING_PER_PAGE", 2)
    await bench.money.open()
    moves = [bench.move_of(bench.work(f"w-{n}")) for n in range(5)]
    for move in moves:
        await bench.move(move)
    found = await due(bench, bench.money.partition, LATER)
    assert sorted(found) == sorted(("moved_hold", move.operation_id) for move in moves)
