"""The BudgetPolicies port: one suite on the fake container and on the SDK."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.budget_policies import BudgetPolicy, policy_partition
from shared.domain.budgets import CEILING_OF_WARN, Budget, Scope
from shared.domain.ids import Partition
from shared.domain.periods import Calendar, PeriodRule
from shared.errors import AllocationTooSmall, BudgetExceeded, PreconditionFailed
from shared.ports import BudgetPolicies
from tests import builders
from tests.contract import cosmos_stores
from tests.contract.cosmos_stores import RecordsBench, Stores
from tests.contract.ledger_bench import PRICE_MICROS
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.cosmos_container import FakeConnection

stores, bench = cosmos_stores.stores, cosmos_stores.bench  # fixtures, found by their names

LIMIT = 1_000_000
RACERS = 8


@pytest.fixture
def policies(stores: Stores) -> BudgetPolicies:
    return stores.budget_policies


def policy_of(bench: RecordsBench, **changes: object) -> BudgetPolicy:
    scope = Scope("department", bench.partition.department_id)
    return replace(BudgetPolicy(scope, LIMIT, calendar=Calendar()), **changes)  # type: ignore[arg-type]


async def put(policies: BudgetPolicies, bench: RecordsBench, policy: BudgetPolicy) -> BudgetPolicy:
    event = builders.event(policy.scope.name, f"budget.changed.{policy.revision}")
    await policies.put(bench.partition.department_id, policy, event)
    return policy


async def opened(
    policies: BudgetPolicies, bench: RecordsBench, policy: BudgetPolicy, **changes: object
) -> Budget:
    budget = replace(policy.opening(bench.partition.period), **changes)  # type: ignore[arg-type]
    event = builders.event(policy.scope.name, "budget.opened")
    await policies.open(bench.partition, budget, event)
    return budget


async def budget_of(bench: RecordsBench, policy: BudgetPolicy) -> Budget:
    found = await bench.money.ledger.budget(bench.partition, policy.scope)
    assert found is not None
    return found


async def apply(
    policies: BudgetPolicies, bench: RecordsBench, policy: BudgetPolicy
) -> Budget | None:
    event = builders.event(policy.scope.name, f"budget.applied.{policy.revision}")
    return await policies.apply(bench.partition, policy, event)


async def test_policy_reads_back_as_it_was_written(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    written = policy_of(
        bench,
        mode="soft",
        overdraft_micros=5,
        rollover="capped",
        rollover_cap_micros=7,
        overage="approval",
        alert_thresholds=(50,),
        calendar=Calendar((PeriodRule("quarter", 7), PeriodRule("month", 7, "202701"))),
        since_month="202611",
    )
    await put(policies, bench, written)
    department_id = bench.partition.department_id
    assert await policies.policy(department_id, written.scope) == written
    assert await policies.policies(department_id) == [written]
    (waiting,) = await bench.records.outbox(policy_partition(department_id), 10)
    assert waiting["event"]["action"] == "budget.changed.1"


async def test_policies_come_in_pages_in_order_of_their_scopes(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    for name in ("atlas", "brief", "cedar"):
        await put(policies, bench, BudgetPolicy(Scope("project", name), LIMIT))
    department_id = bench.partition.department_id
    first = await policies.policies(department_id, limit=2)
    assert [each.scope.scope_id for each in first] == ["atlas", "brief"]
    second = await policies.policies(department_id, after=first[-1].scope.name, limit=2)
    assert [each.scope.scope_id for each in second] == ["cedar"]


async def test_change_is_pending_until_it_was_applied(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    department_id = bench.partition.department_id
    first = await put(policies, bench, policy_of(bench))
    assert await policies.pending(department_id) == []  # nothing is open that could differ
    second = await put(policies, bench, replace(first, revision=2))
    assert await policies.pending(department_id) == [second]
    await policies.applied(department_id, first)  # late: it was changed again meanwhile
    assert await policies.pending(department_id) == [second]
    for _ in range(2):
        await policies.applied(department_id, second)
        assert await policies.pending(department_id) == []


async def test_largest_are_the_open_budgets_that_spent_the_most(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    await bench.money.open(LIMIT, LIMIT)
    await opened(policies, bench, BudgetPolicy(Scope("project", "idle"), LIMIT))
    work = bench.money.single()
    await bench.money.reserve(work)
    await bench.money.resolve(work.operation_id, builders.resolution(work))
    found = await policies.largest(bench.partition, 2)
    assert {each.scope.kind for each in found} == {"department", "user"}
    assert len(await policies.largest(bench.partition, 10)) == 3


async def test_policy_that_was_never_written_is_none(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    assert await policies.policy(bench.partition.department_id, policy_of(bench).scope) is None
    assert await policies.policies(bench.partition.department_id) == []


async def test_put_replaces_only_the_revision_before(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    first = await put(policies, bench, policy_of(bench))
    second = await put(policies, bench, replace(first, revision=2, limit_micros=2))
    for stale in (replace(first, limit_micros=9), replace(second, limit_micros=9)):
        with pytest.raises(PreconditionFailed):
            await put(policies, bench, stale)
    with pytest.raises(PreconditionFailed):
        await put(policies, bench, replace(first, revision=4))
    assert await policies.policy(bench.partition.department_id, first.scope) == second


async def test_put_by_many_at_once_lets_one_through(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    first = await put(policies, bench, policy_of(bench))
    answers = await asyncio.gather(
        *(put(policies, bench, replace(first, revision=2, limit_micros=n)) for n in range(RACERS)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, PreconditionFailed) for answer in answers) == RACERS - 1


async def test_put_repeated_after_a_lost_answer_is_no_conflict(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    first = await put(policies, bench, policy_of(bench))
    second = replace(first, revision=2, limit_micros=2)
    assert await put(policies, bench, second) == await put(policies, bench, second)
    waiting = await bench.records.outbox(policy_partition(bench.partition.department_id), 10)
    assert len(waiting) == 2


async def test_open_twice_keeps_the_first(policies: BudgetPolicies, bench: RecordsBench) -> None:
    policy = policy_of(bench)
    first = await opened(policies, bench, policy)
    await opened(policies, bench, replace(policy, limit_micros=9))
    assert await budget_of(bench, policy) == first
    assert await bench.actions() == ["budget.opened"]


async def test_apply_before_the_period_is_open_changes_nothing(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    assert await apply(policies, bench, policy_of(bench)) is None


async def test_apply_moves_the_limit_and_keeps_what_grants_added(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    policy = policy_of(bench)
    await opened(
        policies, bench, policy, limit_micros=LIMIT + 70, ceiling_micros=LIMIT + 70,
        high_micros=LIMIT + 70,
    )  # fmt: skip
    lowered = replace(policy, limit_micros=LIMIT - 100, revision=2)
    await apply(policies, bench, lowered)
    budget = await budget_of(bench, policy)
    assert (budget.limit_micros, budget.ceiling_micros) == (LIMIT - 30, LIMIT - 30)
    assert (budget.high_micros, budget.base_micros) == (LIMIT + 70, LIMIT - 100)
    raised = replace(policy, limit_micros=2 * LIMIT, mode="soft", overdraft_micros=5, revision=3)
    await apply(policies, bench, raised)
    budget = await budget_of(bench, policy)
    assert budget.limit_micros == 2 * LIMIT + 70
    assert budget.ceiling_micros == budget.high_micros == 2 * LIMIT + 75
    assert (budget.mode, budget.policy_revision) == ("soft", 3)


async def test_apply_of_an_older_or_the_same_revision_changes_nothing(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    policy = policy_of(bench, revision=3)
    await opened(policies, bench, policy)
    for revision in (2, 3):
        await apply(policies, bench, replace(policy, limit_micros=9, revision=revision))
    assert (await budget_of(bench, policy)).limit_micros == LIMIT


async def test_apply_by_many_at_once_is_done_once(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    policy = policy_of(bench)
    await opened(policies, bench, policy)
    second = replace(policy, limit_micros=LIMIT + 10, revision=2)
    await asyncio.gather(*(apply(policies, bench, second) for _ in range(RACERS)))
    assert (await budget_of(bench, policy)).limit_micros == LIMIT + 10
    assert await bench.actions() == ["budget.applied.2", "budget.opened"]


async def test_apply_of_a_deleted_policy_leaves_room_for_nothing(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    policy = policy_of(bench, mode="warn")
    await opened(policies, bench, policy)
    assert (await budget_of(bench, policy)).ceiling_micros == CEILING_OF_WARN
    await apply(policies, bench, replace(policy, deleted=True, revision=2))
    budget = await budget_of(bench, policy)
    assert (budget.available_micros, budget.mode, budget.ended) == (0, "hard", 1)


async def test_ended_budget_reserves_nothing_though_a_grant_stands(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    policy = policy_of(bench)
    granted = {"limit_micros": 2 * LIMIT, "ceiling_micros": 2 * LIMIT, "high_micros": 2 * LIMIT}
    await opened(policies, bench, policy, granted_micros=LIMIT, **granted)
    await bench.money.open(LIMIT, LIMIT)  # the user's
    await apply(policies, bench, replace(policy, deleted=True, revision=2))
    with pytest.raises(BudgetExceeded) as refusal:
        await bench.money.reserve(bench.money.single())
    assert refusal.value.extra["available_micros"] == 0
    await apply(policies, bench, replace(policy, revision=3))
    assert await bench.money.reserve(bench.money.single())


async def test_apply_never_passes_an_allocation(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    policy = policy_of(bench)
    await opened(policies, bench, policy, allocated_micros=LIMIT)
    with pytest.raises(AllocationTooSmall) as refusal:
        await apply(policies, bench, replace(policy, limit_micros=LIMIT + 1, revision=2))
    assert refusal.value.extra["needed_micros"] == LIMIT + 1
    await apply(policies, bench, replace(policy, limit_micros=LIMIT - 1, revision=3))
    assert (await budget_of(bench, policy)).limit_micros == LIMIT - 1


async def carried(policies: BudgetPolicies, bench: RecordsBench, policy: BudgetPolicy) -> int:
    event = builders.event(policy.scope.name, "budget.carried_over")
    return await policies.carry_over(bench.partition, policy, event)


@pytest.mark.parametrize(
    ("rollover", "cap", "amount"), [("unused", 0, LIMIT - PRICE_MICROS), ("capped", 500, 500)]
)
async def test_carry_over_takes_what_is_not_committed_once(
    policies: BudgetPolicies, bench: RecordsBench, rollover: str, cap: int, amount: int
) -> None:
    await bench.money.open(LIMIT, LIMIT)
    work = bench.money.single()
    await bench.money.reserve(work)
    policy = policy_of(bench, rollover=rollover, rollover_cap_micros=cap)
    answers = await asyncio.gather(*(carried(policies, bench, policy) for _ in range(RACERS)))
    assert set(answers) == {amount}
    budget = await budget_of(bench, policy)
    assert (budget.limit_micros, budget.ceiling_micros) == (LIMIT - amount, LIMIT - amount)
    await bench.money.resolve(work.operation_id, builders.resolution(work))
    assert await carried(policies, bench, policy) == amount  # what is released later stays


async def test_carry_over_of_a_period_nobody_opened_is_nothing(
    policies: BudgetPolicies, bench: RecordsBench
) -> None:
    assert await carried(policies, bench, policy_of(bench, rollover="unused")) == 0


async def test_fake_lists_what_was_planted() -> None:
    fake = FakeBudgetPolicies(FakeConnection())
    policy = BudgetPolicy(Scope("project", "atlas"), 5)
    fake.plant("marketing", policy)
    assert await fake.policies("marketing") == [policy]
    assert Partition("marketing", "policies") == policy_partition("marketing")
