"""Opening periods over the calendar of a department: what rolls over, and what never does."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.budget_policies import BudgetPolicy, Rollover
from shared.domain.budgets import Budget, Scope
from shared.domain.ids import Partition
from shared.domain.periods import Calendar, PeriodRule
from shared.errors import Invalid, PolicyDenied
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory

DEPARTMENT = Scope("department", "marketing")
LIMIT = 1_000


@dataclass
class Books:
    """The periods of one department in memory."""

    connection: FakeConnection
    policies: FakeBudgetPolicies
    calendars: Calendars
    periods: BudgetPeriods
    ledger: CosmosLedger
    clock: FakeClock

    async def budget(self, period: str, scope: Scope = DEPARTMENT) -> Budget | None:
        return await self.ledger.budget(Partition("marketing", period), scope)

    async def open(self, period: str) -> Budget:
        await self.periods.open(Partition("marketing", period), [DEPARTMENT])
        found = await self.budget(period)
        assert found is not None
        return found

    def spend(self, period: str, micros: int) -> None:
        document = self.connection.container("ledger").partitions[f"marketing|{period}"][
            DEPARTMENT.document_id
        ]
        document["spent_micros"] += micros


def books(policy: BudgetPolicy | None = None) -> Books:
    connection = FakeConnection()
    policies = FakeBudgetPolicies(connection)
    clock = FakeClock()
    if policy is not None:
        policies.plant("marketing", policy)
    calendars = Calendars(policies, FakeDirectory(departments=["marketing"]), clock)
    periods = BudgetPeriods(policies, calendars, clock)
    ledger = CosmosLedger(connection.as_connection())
    return Books(connection, policies, calendars, periods, ledger, clock)


def rolling(rollover: Rollover, **changes: int) -> BudgetPolicy:
    return BudgetPolicy(DEPARTMENT, LIMIT, rollover=rollover, since_month="202609", **changes)  # type: ignore[arg-type]


async def test_period_opens_with_the_limit_of_its_policy() -> None:
    world = books(BudgetPolicy(DEPARTMENT, LIMIT))
    budget = await world.open("202611")
    assert (budget.limit_micros, budget.base_micros, budget.committed_micros) == (LIMIT, LIMIT, 0)
    assert await world.budget("202610") is None


async def test_unused_part_rolls_over_and_leaves_the_period_it_was_in() -> None:
    world = books(rolling("unused"))
    await world.open("202610")  # and 202609 before it, which nobody spent in
    world.spend("202610", 300)
    now = await world.open("202611")
    before = await world.budget("202610")
    assert before is not None
    assert now.limit_micros == LIMIT + (2 * LIMIT - 300)
    assert before.limit_micros == before.committed_micros == 300


async def test_capped_rollover_takes_no_more_than_its_cap() -> None:
    world = books(rolling("capped", rollover_cap_micros=250))
    await world.open("202610")
    assert (await world.open("202611")).limit_micros == LIMIT + 250


async def test_nothing_rolls_over_from_before_the_budget_existed() -> None:
    world = books(replace(rolling("unused"), since_month="202611"))
    assert (await world.open("202611")).limit_micros == LIMIT
    assert await world.budget("202610") is None


async def test_periods_nobody_spent_in_are_carried_through_once() -> None:
    world = books(rolling("unused"))
    first = await world.open("202611")  # 202609 and 202610 were never opened
    assert first.limit_micros == 3 * LIMIT
    assert (await world.open("202611")).limit_micros == 3 * LIMIT
    assert [(await world.budget(p)).limit_micros for p in ("202609", "202610")] == [0, 0]  # type: ignore[union-attr]


async def test_overspent_soft_budget_carries_nothing() -> None:
    world = books(replace(rolling("unused"), mode="soft", overdraft_micros=500))
    await world.open("202610")
    world.spend("202610", 2 * LIMIT + 400)
    assert (await world.open("202611")).limit_micros == LIMIT


async def test_quarter_rolls_over_into_the_next_quarter() -> None:
    calendar = Calendar((PeriodRule("quarter", 7),))
    world = books(replace(rolling("unused"), calendar=calendar, since_month="202607"))
    await world.open("202607")
    assert (await world.open("202610")).limit_micros == 2 * LIMIT


async def test_calendar_gives_the_partition_of_a_moment() -> None:
    calendar = Calendar((PeriodRule("year", 7),))
    world = books(BudgetPolicy(DEPARTMENT, LIMIT, calendar=calendar))
    world.clock.set(datetime(2027, 6, 30, 23, 59, tzinfo=UTC))
    assert await world.calendars.partition("marketing") == Partition("marketing", "202607")
    world.clock.advance(60)
    assert await world.calendars.partition("marketing") == Partition("marketing", "202707")
    assert await world.calendars.open_partitions() == [
        Partition("marketing", "202707"),
        Partition("marketing", "202607"),
    ]


@pytest.mark.parametrize(
    ("scope", "error", "code"),
    [
        (DEPARTMENT, PolicyDenied, "no_budget"),
        (Scope("user", "t.u"), PolicyDenied, "no_budget"),
        (Scope("project", "atlas"), Invalid, "unknown_project"),
        (Scope("cost_centre", "cc1"), Invalid, "unknown_cost_centre"),
    ],
)
async def test_scope_without_a_policy_pays_for_nothing(
    scope: Scope, error: type[Exception], code: str
) -> None:
    world = books()
    with pytest.raises(error) as refusal:
        await world.periods.open(Partition("marketing", "202611"), [scope])
    assert refusal.value.problem_code == code  # type: ignore[attr-defined]
    assert await world.budget("202611", scope) is None
