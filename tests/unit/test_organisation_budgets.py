"""The cap over time: periods that end, what rolls over, keys that cross a boundary, calendars."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Budget, Scope
from shared.domain.identity import Role
from shared.domain.ids import Partition, operation_id
from shared.domain.organisation_policies import cap_partition
from shared.domain.periods import Calendar, PeriodKind, PeriodRule
from shared.errors import BudgetExceeded, Invalid
from shared.services.allocations import Allocations
from shared.services.budget_changes import BudgetChange
from shared.services.budget_periods import BudgetPeriods
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from shared.services.organisation_budgets import (
    AllocationOrder,
    OrganisationBudgets,
    OrganisationChange,
)
from tests import builders
from tests.builders import TENANT
from tests.fakes.allocations import FakeAllocations
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory

ADMIN = builders.caller(9, "design", Role.ORG_ADMIN)
SCOPE = Scope("department", "design")
NOVEMBER, DECEMBER = Partition("design", "202611"), Partition("design", "202612")


@dataclass
class House:
    """One organisation with one department."""

    clock: FakeClock
    ledger: CosmosLedger
    allocations: Allocations
    periods: BudgetPeriods
    budgets: Budgets
    organisation: OrganisationBudgets

    async def cap(self, limit_micros: int, period: PeriodKind = "quarter") -> None:
        change = OrganisationChange(limit_micros, period)
        await self.organisation.put(ADMIN, change, expected=0, correlation_id="c-1")

    async def spend(self, partition: Partition, amount_micros: int) -> None:
        """Open the department's budget and spend, to the end."""
        await self.periods.open(partition, [SCOPE])
        work = builders.item(
            operation_id(partition, str(amount_micros)),
            quote=builders.quote(amount_micros),
            owner=builders.caller(1, "design"),
        )
        await self.ledger.reserve(builders.reservation(work, scopes=(SCOPE,)))
        reported = builders.resolution(work, usd_micros=amount_micros)
        await self.ledger.resolve(work.operation_id, [reported])

    async def budget(self, partition: Partition) -> Budget:
        found = await self.ledger.budget(partition, SCOPE)
        assert found is not None
        return found

    async def given(self, period: str = "202610") -> int:
        found = await self.allocations.organisations.cap(cap_partition(TENANT, period))
        assert found is not None
        return found.allocated_micros


def house(policy: BudgetPolicy) -> House:
    connection, clock = FakeConnection(), FakeClock()
    ledger = CosmosLedger(connection.as_connection())
    policies = FakeBudgetPolicies(connection)
    policies.plant("design", policy)
    directory = FakeDirectory({}, ("design",))
    calendars = Calendars(policies, directory, clock)
    allocations = Allocations(
        books=FakeAllocations(connection),
        organisations=CosmosOrganisationPolicies(connection.as_connection()),
        ledger=ledger,
        budget_policies=policies,
        calendars=calendars,
        directory=directory,
        clock=clock,
        tenants=(TENANT,),
    )
    periods = BudgetPeriods(policies, calendars, clock, allocations)
    return House(
        clock,
        ledger,
        allocations,
        periods,
        Budgets(ledger, policies, directory, calendars, periods, clock, allocations=allocations),
        OrganisationBudgets(allocations),
    )


async def test_without_a_policy_nothing_is_allocated() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    assert await design.allocations.open(TENANT, "design", "202611", 5) is None
    await design.spend(NOVEMBER, 100)
    assert (await design.budget(NOVEMBER)).allocated_micros is None


async def test_opening_twice_allocates_once_what_the_first_was_given() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.cap(1_000)
    assert await design.allocations.open(TENANT, "design", "202611", 400) == 400
    assert await design.allocations.open(TENANT, "design", "202611", 900) == 400
    assert await design.given() == 400


async def test_opening_beyond_the_cap_is_refused_and_leaves_nothing() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.cap(399)
    with pytest.raises(BudgetExceeded) as refused:
        await design.spend(NOVEMBER, 1)
    assert refused.value.extra["scope"] == f"organisation:{TENANT}"
    assert await design.ledger.budget(NOVEMBER, SCOPE) is None
    assert await design.given() == 0


@pytest.mark.parametrize(
    ("cap_micros", "december_micros", "given_micros"), [(800, 700, 800), (799, 400, 500)]
)
async def test_what_rolls_over_is_paid_by_the_period_it_leaves(
    cap_micros: int, december_micros: int, given_micros: int
) -> None:
    design = house(BudgetPolicy(SCOPE, 400, rollover="unused", since_month="202611"))
    await design.cap(cap_micros)
    await design.spend(NOVEMBER, 100)
    design.clock.set(datetime(2026, 12, 1, 9, tzinfo=UTC))
    await design.spend(DECEMBER, 50)
    november, december = await design.budget(NOVEMBER), await design.budget(DECEMBER)
    assert (november.limit_micros, november.allocated_micros) == (100, 100)
    assert december.limit_micros == december.allocated_micros == december_micros
    assert await design.given() == given_micros


async def test_release_gives_back_what_was_not_spent_once() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.cap(1_000)
    await design.spend(NOVEMBER, 150)
    assert await design.allocations.release_unused("design", "202611") == 250
    assert await design.allocations.release_unused("design", "202611") == 0
    budget = await design.budget(NOVEMBER)
    assert (budget.limit_micros, budget.allocated_micros, budget.spent_micros) == (150, 150, 150)
    assert await design.given() == 150


async def test_release_leaves_what_rolls_over_to_the_next_period() -> None:
    design = house(BudgetPolicy(SCOPE, 400, rollover="unused", since_month="202611"))
    await design.cap(1_000)
    await design.spend(NOVEMBER, 100)
    design.clock.set(datetime(2026, 12, 1, 9, tzinfo=UTC))
    assert await design.allocations.release_unused("design", "202611") == 300
    await design.spend(DECEMBER, 50)
    assert (await design.budget(DECEMBER)).limit_micros == 700


async def test_release_of_a_period_nobody_opened_is_nothing() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.cap(1_000)
    assert await design.allocations.release_unused("design", "202611") == 0


async def test_key_from_the_last_minute_of_a_period_moves_once() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.cap(1_000, "month")
    await design.spend(NOVEMBER, 1)
    order = AllocationOrder(None, "design", 50, "because")
    design.clock.set(datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    first = await design.organisation.allocate(ADMIN, order, key="k", correlation_id="c-1")
    design.clock.set(datetime(2026, 12, 1, 0, 1, tzinfo=UTC))
    again = await design.organisation.allocate(ADMIN, order, key="k", correlation_id="c-2")
    assert again == first
    assert (await design.budget(NOVEMBER)).allocated_micros == 450


async def test_organisation_calendar_that_departments_reach_over_is_refused() -> None:
    yearly = Calendar((PeriodRule("year", 7),))
    design = house(BudgetPolicy(SCOPE, 400, calendar=yearly))
    with pytest.raises(Invalid) as refused:
        await design.cap(1_000)
    assert refused.value.problem_code == "calendar_does_not_nest"
    assert refused.value.extra == {"departments": ["design"]}


async def test_department_calendar_that_reaches_over_the_organisations_is_refused() -> None:
    design = house(BudgetPolicy(SCOPE, 400, calendar=Calendar()))
    await design.cap(1_000)
    change = BudgetChange(BudgetPolicy(SCOPE, 400), "year", 7)
    with pytest.raises(Invalid) as refused:
        await design.budgets.put(
            ADMIN,
            SCOPE.name,
            change,
            expected=None,
            department_id=None,
            correlation_id="c-1",
        )
    assert refused.value.problem_code == "calendar_does_not_nest"


async def test_calendar_change_keeps_the_present_period() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.cap(1_000, "month")
    view = await design.organisation.put(
        ADMIN, OrganisationChange(900, "quarter"), expected=1, correlation_id="c-1"
    )
    assert (view.period, view.period_end) == ("202611", "2026-12-01")
    assert [rule.from_month for rule in view.calendar] == ["000101", "202612"]


async def test_department_that_only_warns_opens_as_hard_under_a_cap() -> None:
    design = house(BudgetPolicy(SCOPE, 400, mode="warn"))
    await design.cap(1_000)
    await design.spend(NOVEMBER, 100)
    budget = await design.budget(NOVEMBER)
    assert (budget.mode, budget.ceiling_micros, budget.allocated_micros) == ("hard", 400, 400)


async def test_sweep_leaves_a_department_that_the_cap_cannot_pay_as_it_was() -> None:
    design = house(BudgetPolicy(SCOPE, 400))
    await design.spend(NOVEMBER, 100)
    await design.cap(399)
    report = await design.allocations.sweep()
    assert (report.adopted, report.uncapped, report.errors) == (0, 1, 0)
    assert (await design.budget(NOVEMBER)).allocated_micros is None
