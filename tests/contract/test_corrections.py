"""Entries that correct others, on the fake container and on the SDK: what an approval raised is not
spendable for anything else, and an entry that was given up is never booked."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.adjustments import Adjustment
from shared.domain.work import WorkItem
from shared.errors import BudgetExceeded, Conflict
from tests import builders
from tests.contract import overage_bench
from tests.contract.overage_bench import OverageBench

stores, bench = overage_bench.stores, overage_bench.bench  # fixtures, found by their names

PRICE, COST, CREDIT = 60_000, 50_000, 20_000


def correction(bench: OverageBench, work: WorkItem, amount_micros: int) -> Adjustment:
    return Adjustment(
        adjustment_id=f"{work.generation_id}.{amount_micros}",
        partition=bench.money.partition,
        kind="reconciliation",
        amount_micros=amount_micros,
        usd_micros=amount_micros,
        tenant_id=builders.TENANT,
        charge=work.charge,
        reason="the invoice says otherwise",
        actor=builders.caller(9).key,
        booked_at=builders.CREATED_AT,
        event=builders.event(work.generation_id, "adjustment.booked"),
        refers_to=work.generation_id,
    )


async def approved_and_settled(bench: OverageBench) -> WorkItem:
    """Work that its department could not pay for, approved, done and settled at COST."""
    await bench.money.open(department_micros=0)
    work = bench.work(price_micros=PRICE)
    await bench.conclude(await bench.approved(work, bench.department))
    end = builders.resolution(work, usd_micros=COST)
    await bench.money.resolve(work.operation_id, end)
    budget = await bench.budget()
    assert (budget.limit_micros, budget.spent_micros) == (COST, COST)
    return work


async def test_credit_for_approved_work_is_not_spendable_again(bench: OverageBench) -> None:
    work = await approved_and_settled(bench)
    assert await bench.money.ledger.adjust(correction(bench, work, -CREDIT)) is not None
    budget = await bench.budget()
    assert (budget.limit_micros, budget.granted_micros) == (COST - CREDIT, COST - CREDIT)
    assert (budget.spent_micros, budget.available_micros) == (COST - CREDIT, 0)
    with pytest.raises(BudgetExceeded):
        await bench.money.reserve(bench.work("other", 1))
    own = await bench.budget(bench.user)  # it paid out of its own limit: it gets it back
    assert own.spent_micros == COST - CREDIT and own.granted_micros == 0


async def test_credit_that_is_booked_by_many_at_once_lowers_the_limit_once(
    bench: OverageBench,
) -> None:
    work = await approved_and_settled(bench)
    entry = correction(bench, work, -CREDIT)
    answers = await asyncio.gather(*(bench.money.ledger.adjust(entry) for _ in range(8)))
    assert sum(answer is not None for answer in answers) == 1
    assert (await bench.budget()).limit_micros == COST - CREDIT


async def test_more_than_was_spent_is_not_given_back(bench: OverageBench) -> None:
    work = await approved_and_settled(bench)
    with pytest.raises(Conflict):
        await bench.money.ledger.adjust(correction(bench, work, -COST - 1))
    assert (await bench.budget()).limit_micros == COST


async def test_credit_for_work_that_nobody_had_to_approve_is_spendable(
    bench: OverageBench,
) -> None:
    await bench.money.open()
    work = bench.work(price_micros=PRICE)
    await bench.money.reserve(work)
    await bench.money.resolve(work.operation_id, builders.resolution(work, usd_micros=COST))
    before = await bench.budget()
    await bench.money.ledger.adjust(correction(bench, work, -CREDIT))
    after = await bench.budget()
    assert after.limit_micros == before.limit_micros
    assert after.available_micros == before.available_micros + CREDIT


async def test_entry_that_was_given_up_is_never_booked(bench: OverageBench) -> None:
    await bench.money.open()
    entry = replace(correction(bench, bench.work(), CREDIT), refers_to=None)
    ledger = bench.money.ledger
    assert await ledger.give_up(entry, builders.CREATED_AT) is True
    assert await ledger.give_up(entry, builders.CREATED_AT) is True
    with pytest.raises(Conflict) as refused:
        await ledger.adjust(entry)
    assert refused.value.problem_code == "entry_given_up"
    assert (await bench.budget()).spent_micros == 0


async def test_entry_that_is_booked_is_not_given_up(bench: OverageBench) -> None:
    await bench.money.open()
    entry = replace(correction(bench, bench.work(), CREDIT), refers_to=None)
    ledger = bench.money.ledger
    assert await ledger.adjust(entry) is not None
    assert await ledger.give_up(entry, builders.CREATED_AT) is False
    assert await ledger.adjust(entry) is None
    assert (await bench.budget()).spent_micros == CREDIT
