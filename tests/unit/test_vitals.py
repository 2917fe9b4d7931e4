from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain import vitals
from shared.domain.budgets import Scope
from shared.domain.ids import Partition
from shared.domain.ledger import Hold
from shared.domain.vitals import Reading
from shared.services.vitals import Vitals
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.records import FakeRecords

EMPTY = Partition("sales", "202611")


class Bench:
    """One department with a budget of 100 AUD and one generation that was just admitted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.connection = FakeConnection()
        self.records = FakeRecords(self.connection)
        self.ledger = CosmosLedger(self.connection.as_connection())
        self.vitals = Vitals(self.ledger, self.records, self.clock)

    async def open(self) -> "Bench":
        work = builders.item()
        limits = {
            Scope("department", builders.DEPARTMENT): 100_000_000,
            Scope("user", work.owner.user_key): 100_000_000,
        }
        await builders.open_budgets(self.connection.as_connection(), builders.PARTITION, limits)
        await self.ledger.reserve(builders.reservation(work))
        return self

    async def measured(self, *partitions: Partition) -> dict[tuple[str, str], int]:
        readings = await self.vitals.measure(partitions, [(self.records, partitions)])
        return {(each.name, each.attributes.get("department", "")): each.value for each in readings}


async def test_readings_are_what_the_ledger_says() -> None:
    bench = await Bench().open()
    bench.clock.advance(90)
    found = await bench.measured(builders.PARTITION)
    reserved = builders.item().quote.amount_micros
    assert found == {
        (vitals.HOLDS_OPEN, "marketing"): 1,
        (vitals.HOLDS_OLDEST_AGE, "marketing"): 90,
        (vitals.OUTCOMES_UNKNOWN, "marketing"): 0,
        (vitals.BUDGET_SPENT, "marketing"): 0,
        (vitals.BUDGET_RESERVED, "marketing"): reserved,
        (vitals.BUDGET_CEILING, "marketing"): 100_000_000,
        (vitals.AUDIT_LAG, ""): 90,
    }


async def test_department_without_a_period_has_no_budget_readings() -> None:
    found = await (await Bench().open()).measured(EMPTY)
    assert {name for name, _ in found} == {
        vitals.HOLDS_OPEN,
        vitals.HOLDS_OLDEST_AGE,
        vitals.OUTCOMES_UNKNOWN,
        vitals.AUDIT_LAG,
    }
    assert set(found.values()) == {0}


async def test_audit_lag_is_zero_when_every_event_was_copied() -> None:
    bench = await Bench().open()
    waiting = await bench.records.outbox(builders.PARTITION, 100)
    await bench.records.drop_outbox(builders.PARTITION, waiting)
    bench.clock.advance(90)
    found = await bench.measured(builders.PARTITION)
    assert found[vitals.AUDIT_LAG, ""] == 0


async def test_department_that_cannot_be_read_does_not_hide_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = await Bench().open()

    class Broken(FakeRecords):
        async def open_holds(self, partition: Partition, before: str) -> list[Hold]:
            if partition == EMPTY:
                raise OSError("no connection")
            return list(await super().open_holds(partition, before))

    bench.clock.advance(1)
    bench.vitals = Vitals(bench.ledger, Broken(bench.connection), bench.clock)
    found = await bench.measured(EMPTY, builders.PARTITION)
    assert found[vitals.HOLDS_OPEN, "marketing"] == 1
    assert (vitals.HOLDS_OPEN, "sales") not in found


async def test_readings_name_no_person() -> None:
    bench = await Bench().open()
    outboxes = [(bench.records, [builders.PARTITION])]
    readings = await bench.vitals.measure([builders.PARTITION], outboxes)
    names: set[Any] = {name for reading in readings for name in reading.attributes}
    assert names <= set(vitals.DIMENSIONS)
    assert Reading(vitals.AUDIT_LAG, 0) in readings
