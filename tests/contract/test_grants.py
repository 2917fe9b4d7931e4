"""The GrantStore port: one suite on the fake container and on the SDK."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import CEILING_OF_WARN, Scope
from shared.errors import (
    AllocationTooSmall,
    BudgetExceeded,
    IdempotencyKeyReused,
    PeriodNotOpen,
    Unavailable,
)
from tests import builders
from tests.contract import overage_bench
from tests.contract.overage_bench import OverageBench

stores, bench = overage_bench.stores, overage_bench.bench  # fixtures, found by their names

LIMIT, AMOUNT, PRICE = 1_000_000, 100_000, 60_000
RACERS = 8


async def open_as(bench: OverageBench, scope: Scope, **changes: object) -> None:
    """Open a budget of another kind than the usual hard one."""
    policy = replace(BudgetPolicy(scope, LIMIT), **changes)  # type: ignore[arg-type]
    budget = policy.opening(bench.money.partition.period)
    await bench.policies.open(
        bench.money.partition, budget, builders.event(scope.name, "budget.opened")
    )


async def open_capped(bench: OverageBench, allocated_micros: int) -> None:
    policy = BudgetPolicy(bench.department, LIMIT)
    budget = policy.opening(bench.money.partition.period, allocated_micros=allocated_micros)
    event = builders.event(bench.department.name, "budget.opened")
    await bench.policies.open(bench.money.partition, budget, event)


async def test_grant_raises_every_named_limit_and_no_other(bench: OverageBench) -> None:
    await bench.money.open()
    after = await bench.grant(bench.grant_of(bench.user))
    assert after is not None and [budget.scope for budget in after] == [bench.user]
    raised = await bench.budget(bench.user)
    assert raised.limit_micros == raised.ceiling_micros == raised.high_micros == LIMIT + AMOUNT
    assert raised.granted_micros == AMOUNT
    assert (await bench.budget()).limit_micros == LIMIT


async def test_grant_sent_again_raises_once(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of()
    answers = await asyncio.gather(*(bench.grant(grant) for _ in range(RACERS)))
    assert sum(answer is not None for answer in answers) == 1
    assert (await bench.budget()).limit_micros == LIMIT + AMOUNT
    assert await bench.grants.find(grant.grant_id) == grant


async def test_different_grants_at_once_add_up(bench: OverageBench) -> None:
    await bench.money.open()
    made = [bench.grant_of(seed=f"grant-{n}") for n in range(RACERS)]
    await asyncio.gather(*(bench.grant(each) for each in made))
    assert (await bench.budget()).limit_micros == LIMIT + RACERS * AMOUNT


async def test_same_id_for_another_grant_is_refused(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of()
    await bench.grant(grant)
    with pytest.raises(IdempotencyKeyReused):
        await bench.grant(replace(grant, amount_micros=2 * AMOUNT, request_hash="other"))


async def test_grant_before_the_period_is_open_says_so(bench: OverageBench) -> None:
    with pytest.raises(PeriodNotOpen):
        await bench.grant(bench.grant_of())
    assert await bench.grants.find(bench.grant_of().grant_id) is None


async def test_budget_that_only_warns_keeps_its_ceiling(bench: OverageBench) -> None:
    await open_as(bench, bench.department, mode="warn")
    grant = bench.grant_of()
    await bench.grant(grant)
    raised = await bench.budget()
    assert (raised.limit_micros, raised.ceiling_micros) == (LIMIT + AMOUNT, CEILING_OF_WARN)
    await bench.end(grant)
    ended = await bench.budget()
    assert (ended.limit_micros, ended.ceiling_micros) == (LIMIT, CEILING_OF_WARN)


async def test_soft_budget_keeps_its_overdraft_on_top(bench: OverageBench) -> None:
    await open_as(bench, bench.department, mode="soft", overdraft_micros=50_000)
    await bench.grant(bench.grant_of())
    raised = await bench.budget()
    assert raised.ceiling_micros == raised.limit_micros + 50_000 == LIMIT + AMOUNT + 50_000


async def test_grant_never_passes_an_allocation(bench: OverageBench) -> None:
    await open_capped(bench, LIMIT + AMOUNT)
    with pytest.raises(AllocationTooSmall) as refusal:
        await bench.grant(bench.grant_of(amount_micros=AMOUNT + 1))
    assert "allocate more" in refusal.value.detail
    assert refusal.value.extra["needed_micros"] == LIMIT + AMOUNT + 1
    await bench.grant(bench.grant_of(seed="smaller"))
    with pytest.raises(AllocationTooSmall):
        await bench.grant(bench.grant_of(seed="one more", amount_micros=1))
    assert (await bench.budget()).ceiling_micros == LIMIT + AMOUNT


async def test_surcharge_is_an_entry_and_takes_nothing_from_the_amount(
    bench: OverageBench,
) -> None:
    await bench.money.open()
    before = (await bench.budget()).available_micros
    grant = bench.grant_of(
        bench.department, bench.user, kind="override", surcharge_percent=10, surcharge_micros=10_000
    )
    await bench.grant(grant)
    for scope in (bench.department, bench.user):
        budget = await bench.budget(scope)
        assert budget.spent_micros == 10_000
        assert budget.available_micros == before + AMOUNT
    entry = await bench.money.must_read(f"j:{grant.grant_id}")
    assert (entry["kind"], entry["amount_micros"], entry["usd_micros"]) == ("surcharge", 10_000, 0)
    assert entry["user_key"] == bench.money.owner.key
    await bench.end(grant)
    assert (await bench.budget()).available_micros == before


async def test_surcharge_is_charged_to_a_department_that_is_not_raised(
    bench: OverageBench,
) -> None:
    await bench.money.open(department_micros=15_000)
    for seed, covered in (("first", True), ("second", False)):
        grant = bench.grant_of(bench.user, seed=seed, surcharge_micros=10_000)
        if covered:
            await bench.grant(grant)
            continue
        with pytest.raises(BudgetExceeded) as refusal:
            await bench.grant(grant)
        assert refusal.value.extra["scope"] == bench.department.name
        assert await bench.grants.find(grant.grant_id) is None
    assert (await bench.budget()).spent_micros == 10_000
    assert (await bench.budget(bench.user)).limit_micros == LIMIT + AMOUNT + 10_000


async def test_end_takes_back_once_however_often_it_is_asked(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of(bench.department, bench.user)
    await bench.grant(grant)
    answers = await asyncio.gather(*(bench.end(grant) for _ in range(RACERS)))
    assert sum(answer is not None for answer in answers) == 1
    for scope in (bench.department, bench.user):
        budget = await bench.budget(scope)
        assert budget.limit_micros == budget.ceiling_micros == LIMIT
        assert budget.granted_micros == 0
        assert budget.high_micros == LIMIT + AMOUNT
    found = await bench.grants.find(grant.grant_id)
    assert found is not None and (found.status, found.ended_by) == ("ended", "system:grants")


async def test_end_below_what_is_committed_refuses_new_holds_only(bench: OverageBench) -> None:
    await bench.money.open(department_micros=PRICE)
    grant = bench.grant_of()
    await bench.grant(grant)
    first, second = bench.work("one"), bench.work("two")
    for work in (first, second):
        assert await bench.money.reserve(work)
    await bench.end(grant)
    budget = await bench.budget()
    assert budget.committed_micros == 2 * PRICE > budget.ceiling_micros == PRICE
    with pytest.raises(BudgetExceeded):
        await bench.money.reserve(bench.work("three"))
    await bench.money.resolve(first.operation_id, builders.resolution(first))
    assert (await bench.money.counters())[0] == (PRICE, 0)


async def test_end_after_a_policy_cut_the_limit_takes_what_is_there(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of()
    await bench.grant(grant)
    container = await bench.money.connection.container("ledger")
    for name in ("limit_micros", "ceiling_micros"):
        await container.patch_item(
            bench.department.document_id,
            partition_key=bench.money.partition.key,
            patch_operations=[{"op": "set", "path": f"/{name}", "value": AMOUNT - 1}],
        )
    await bench.end(grant)
    budget = await bench.budget()
    assert (budget.limit_micros, budget.ceiling_micros, budget.granted_micros) == (0, 0, 0)


async def test_end_after_the_budget_began_to_warn_keeps_its_ceiling(bench: OverageBench) -> None:
    policy = BudgetPolicy(bench.department, LIMIT)
    await open_as(bench, bench.department)
    grant = bench.grant_of()
    await bench.grant(grant)
    warns = replace(policy, mode="warn", revision=2)
    event = builders.event(bench.department.name, "budget.applied.2")
    await bench.policies.apply(bench.money.partition, warns, event)
    await bench.end(grant)
    budget = await bench.budget()
    assert (budget.limit_micros, budget.ceiling_micros) == (LIMIT, CEILING_OF_WARN)


async def test_what_was_granted_is_never_carried_over(bench: OverageBench) -> None:
    policy = BudgetPolicy(bench.department, LIMIT, rollover="unused")
    await open_as(bench, bench.department, rollover="unused")
    await bench.grant(bench.grant_of())
    event = builders.event(bench.department.name, "budget.carried_over")
    assert await bench.policies.carry_over(bench.money.partition, policy, event) == LIMIT
    await bench.end(bench.grant_of())
    assert (await bench.budget()).limit_micros == 0


async def test_only_active_grants_whose_time_has_come_are_due(bench: OverageBench) -> None:
    await bench.money.open()
    now = "2026-11-16T00:00:00+00:00"
    ends = ("2026-11-15T00:00:00+00:00", now, "2026-11-17T00:00:00+00:00")
    made = [bench.grant_of(seed=f"g-{n}", ends_at=at) for n, at in enumerate(ends)]
    for grant in made:
        await bench.grant(grant)
    await bench.end(made[0])
    assert await bench.grants.due(bench.money.partition, now) == [made[1]]
    active = await bench.grants.grants(bench.money.partition, active=True)
    assert {grant.grant_id for grant in active} == {made[1].grant_id, made[2].grant_id}
    assert len(await bench.grants.grants(bench.money.partition, active=False)) == 3


async def test_each_change_leaves_one_event(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of(surcharge_micros=1)
    await bench.grant(grant)
    await bench.end(grant)
    for action in ("grant.increase", "adjustment.booked", "grant.ended"):
        assert await bench.money.read(f"e:{grant.grant_id}:{action}") is not None


async def test_grant_that_is_barred_is_not_made_and_is_no_grant(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of()
    assert await bench.grants.bar(grant.grant_id, builders.CREATED_AT) is None
    assert await bench.grants.bar(grant.grant_id, builders.CREATED_AT) is None
    with pytest.raises(Unavailable):
        await bench.grant(grant)
    assert await bench.grants.find(grant.grant_id) is None
    assert await bench.grants.grants(bench.money.partition, active=False) == []
    assert (await bench.budget()).granted_micros == 0


async def test_grant_that_was_made_before_it_is_barred_stands(bench: OverageBench) -> None:
    await bench.money.open()
    grant = bench.grant_of()
    await bench.grant(grant)
    found = await bench.grants.bar(grant.grant_id, builders.CREATED_AT)
    assert found is not None and found.grant_id == grant.grant_id
