"""What an approval has raised and its work did not use: the settlement takes it back."""

import asyncio

import pytest

from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import CEILING_OF_WARN, BudgetMode
from shared.errors import BudgetExceeded
from tests import builders
from tests.contract import overage_bench
from tests.contract.overage_bench import OverageBench

stores, bench = overage_bench.stores, overage_bench.bench  # fixtures, found by their names

LIMIT, PRICE = 1_000_000, 60_000
RACERS = 8


@pytest.mark.parametrize(("ending", "spent"), [("canceled", 0), ("delivered", PRICE // 3)])
async def test_settlement_takes_back_what_the_work_did_not_use(
    bench: OverageBench, ending: str, spent: int
) -> None:
    await bench.money.open(department_micros=1)
    work = bench.work()
    before = await bench.budget()
    await bench.conclude(await bench.approved(work, bench.department))
    cost = {"usd_micros": spent} if spent else {}
    await bench.money.resolve(work.operation_id, builders.resolution(work, ending, **cost))
    after = await bench.budget()
    booked = after.spent_micros
    assert 0 < booked < PRICE if spent else booked == 0
    assert after.limit_micros == after.ceiling_micros == before.limit_micros + booked
    assert after.granted_micros == booked
    assert after.available_micros == before.available_micros
    assert (await bench.budget(bench.user)).limit_micros == LIMIT
    with pytest.raises(BudgetExceeded):
        await bench.money.reserve(bench.work("second", price_micros=2))


async def test_rows_settled_in_groups_take_back_their_own_part(bench: OverageBench) -> None:
    await bench.money.open(department_micros=0)
    batch_id, work = bench.money.batch(PRICE, 2 * PRICE, 3 * PRICE)
    await bench.conclude(await bench.approved_batch(batch_id, work, bench.department))
    assert (await bench.budget()).limit_micros == 6 * PRICE
    await bench.money.resolve(batch_id, builders.resolution(work[0], "canceled"))
    assert (await bench.budget()).limit_micros == 5 * PRICE
    ends = [builders.resolution(work[1]), builders.resolution(work[2], "canceled")]
    for _ in range(2):
        await bench.money.resolve(batch_id, *ends)
    left = await bench.budget()
    assert left.limit_micros == left.spent_micros == left.granted_micros
    assert left.limit_micros == ends[0].cost.amount_micros


@pytest.mark.parametrize("mode", ["hard", "soft", "warn"])
async def test_settlement_stands_whatever_a_policy_has_made_of_the_limit(
    bench: OverageBench, mode: BudgetMode
) -> None:
    await bench.money.open(department_micros=1_000)
    work = bench.work()
    await bench.conclude(await bench.approved(work, bench.department))
    overdraft = 7 if mode == "soft" else 0
    policy = BudgetPolicy(bench.department, 0, mode, overdraft, revision=5)
    event = builders.event(bench.department.name, "budget.applied.5")
    await bench.policies.apply(bench.money.partition, policy, event)
    await bench.money.resolve(work.operation_id, builders.resolution(work, "canceled"))
    after = await bench.budget()
    assert after.reserved_micros == after.spent_micros == after.granted_micros == 0
    assert after.limit_micros == 0
    assert after.ceiling_micros == (CEILING_OF_WARN if mode == "warn" else overdraft)


async def test_settlement_stands_when_less_is_left_than_was_raised(bench: OverageBench) -> None:
    await bench.money.open(department_micros=1_000)
    work = bench.work()
    await bench.conclude(await bench.approved(work, bench.department))
    container = await bench.money.connection.container("ledger")
    cut = [
        {"op": "set", "path": f"/{name}", "value": 10}
        for name in ("limit_micros", "ceiling_micros")
    ]
    await container.patch_item(
        bench.department.document_id, bench.money.partition.key, patch_operations=cut
    )
    await bench.money.resolve(work.operation_id, builders.resolution(work, "canceled"))
    after = await bench.budget()
    assert (after.limit_micros, after.ceiling_micros, after.granted_micros) == (0, 0, 0)


async def test_settlements_of_many_approvals_at_once_leave_nothing_raised(
    bench: OverageBench,
) -> None:
    await bench.money.open(department_micros=0)
    work = [bench.work(f"w-{n}") for n in range(RACERS)]
    for each in work:
        await bench.conclude(await bench.approved(each, bench.department))
    await asyncio.gather(
        *(bench.money.resolve(w.operation_id, builders.resolution(w, "canceled")) for w in work)
    )
    after = await bench.budget()
    assert (after.limit_micros, after.granted_micros, after.reserved_micros) == (0, 0, 0)


async def test_work_that_became_cheaper_is_reserved_at_the_new_price(bench: OverageBench) -> None:
    await bench.money.open(department_micros=0)
    work = bench.work()
    approval = await bench.approved(work, bench.department)
    await bench.conclude(approval, amount_micros=PRICE // 2)
    assert await bench.money.counters() == [(PRICE // 2, 0), (PRICE // 2, 0)]
    assert (await bench.budget()).limit_micros == PRICE // 2
    hold = await bench.money.ledger.hold(work.operation_id)
    assert hold is not None
    assert (hold.amount_micros, hold.raised) == (PRICE // 2, (bench.department,))
