"""The Statements port and the seal in the ledger: on the fake container and on the emulator."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from shared.adapters.cosmos_statements import CosmosStatements
from shared.domain.adjustments import Adjustment
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Charge
from shared.domain.identity import Role
from shared.domain.spend import SpendSum
from shared.domain.statements import ISSUED, OPEN, SEALED, Statement, bill_of
from shared.errors import InvariantBroken, NotFound, PeriodClosed
from tests import builders
from tests.contract import ledger_bench
from tests.contract.ledger_bench import PRICE_MICROS, Bench

bench, connection = ledger_bench.bench, ledger_bench.connection  # fixtures, found by their names
ADMIN = builders.caller(9, role=Role.ORG_ADMIN)


@pytest.fixture
def statements(bench: Bench) -> CosmosStatements:
    return CosmosStatements(bench.connection)


def event_of(bench: Bench, action: str) -> AuditEvent:
    return builders.event(f"{bench.partition.department_id}-{bench.partition.period}", action)


def statement_of(bench: Bench, amount_micros: int, entries: int = 1) -> Statement:
    bill = bill_of(builders.TENANT, bench.partition, date(2026, 11, 1), date(2026, 12, 1))
    totals = SpendSum(entries, entries, amount_micros, amount_micros, amount_micros)
    return Statement(
        bill, bench.partition.period, totals, 0, builders.CLOSED_AT, ADMIN.key, "a", "b", "c"
    )


def adjustment_of(bench: Bench, amount_micros: int) -> Adjustment:
    return Adjustment(
        adjustment_id=f"a-{amount_micros}",
        partition=bench.partition,
        kind="reconciliation",
        amount_micros=amount_micros,
        usd_micros=amount_micros,
        tenant_id=builders.TENANT,
        charge=Charge(bench.partition.department_id, None),
        reason="invoice",
        actor="system:reconciliation",
        booked_at=builders.CLOSED_AT,
        event=builders.event(f"a-{amount_micros}", "reconciliation.adjusted"),
    )


async def settled(bench: Bench) -> None:
    """One generation that was delivered."""
    await bench.open()
    work = bench.single()
    await bench.reserve(work)
    await bench.resolve(work.operation_id, builders.resolution(work, usd_micros=PRICE_MICROS))


async def test_period_with_an_open_hold_is_not_sealed(
    bench: Bench, statements: CosmosStatements
) -> None:
    await bench.open()
    await bench.reserve(bench.single())
    assert not await statements.seal(bench.partition, event_of(bench, "statement.sealed"))
    closing = await statements.closing(bench.partition)
    assert closing is not None
    assert (closing.reserved_micros, closing.sealed) == (PRICE_MICROS, OPEN)


async def test_nothing_is_booked_in_a_sealed_period(
    bench: Bench, statements: CosmosStatements
) -> None:
    await settled(bench)
    assert await statements.seal(bench.partition, event_of(bench, "statement.sealed"))
    with pytest.raises(PeriodClosed):
        await bench.reserve(bench.single("another"))
    for amount in (1_000, -1_000):
        with pytest.raises(PeriodClosed):
            await bench.ledger.adjust(adjustment_of(bench, amount))
    assert await bench.counters() == [(0, PRICE_MICROS), (0, PRICE_MICROS)]


async def test_open_period_takes_adjustments_up_and_down(bench: Bench) -> None:
    await settled(bench)
    await bench.ledger.adjust(adjustment_of(bench, 1_000))
    await bench.ledger.adjust(adjustment_of(bench, -500))
    assert (await bench.counters())[0] == (0, PRICE_MICROS + 500)


async def test_sealing_again_changes_nothing(bench: Bench, statements: CosmosStatements) -> None:
    await settled(bench)
    for _ in range(2):
        assert await statements.seal(bench.partition, event_of(bench, "statement.sealed"))
    closing = await statements.closing(bench.partition)
    assert closing is not None and closing.sealed == SEALED


async def test_either_the_hold_or_the_seal_wins_never_both(
    bench: Bench, statements: CosmosStatements
) -> None:
    await settled(bench)
    seal = statements.seal(bench.partition, event_of(bench, "statement.sealed"))
    held, sealed = await asyncio.gather(
        bench.reserve(bench.single("late")), seal, return_exceptions=True
    )
    closing = await statements.closing(bench.partition)
    assert closing is not None
    if sealed is True:
        assert isinstance(held, PeriodClosed)
        assert closing.reserved_micros == 0
    else:
        assert held is True
        assert closing.sealed == OPEN


async def test_period_in_which_nothing_was_booked_is_not_found(
    bench: Bench, statements: CosmosStatements
) -> None:
    assert await statements.closing(bench.partition) is None
    with pytest.raises(NotFound):
        await statements.seal(bench.partition, event_of(bench, "statement.sealed"))


async def test_statement_that_does_not_add_up_is_never_issued(
    bench: Bench, statements: CosmosStatements
) -> None:
    await settled(bench)
    await statements.seal(bench.partition, event_of(bench, "statement.sealed"))
    for amount in (PRICE_MICROS - 1, PRICE_MICROS + 1):
        with pytest.raises(InvariantBroken):
            await statements.issue(statement_of(bench, amount), event_of(bench, "statement.issued"))
    assert await statements.statement(bench.partition) is None


async def test_statement_of_a_period_that_is_not_sealed_is_never_issued(
    bench: Bench, statements: CosmosStatements
) -> None:
    await settled(bench)
    with pytest.raises(InvariantBroken):
        await statements.issue(
            statement_of(bench, PRICE_MICROS), event_of(bench, "statement.issued")
        )


async def test_statement_is_issued_once_and_read_as_it_was_issued(
    bench: Bench, statements: CosmosStatements
) -> None:
    await settled(bench)
    await statements.seal(bench.partition, event_of(bench, "statement.sealed"))
    first = statement_of(bench, PRICE_MICROS)
    issued = event_of(bench, "statement.issued")
    assert await statements.issue(first, issued) == first
    later = replace(first, closed_at="2026-12-24T00:00:00+00:00")
    assert await statements.issue(later, issued) == first
    assert await statements.statement(bench.partition) == first
    closing = await statements.closing(bench.partition)
    assert closing is not None and closing.sealed == ISSUED
