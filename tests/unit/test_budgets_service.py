"""Changing policies: what it does to rollover, and to work that is under way when a period ends."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.budget_policies import BudgetPolicy, Rollover
from shared.domain.budgets import Budget, Scope
from shared.domain.identity import Caller, Role
from shared.domain.ids import Partition
from shared.errors import Unavailable
from shared.services.admission import Admission
from shared.services.budget_changes import BudgetChange
from shared.services.budget_periods import BudgetPeriods
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from tests import builders
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory

ATLAS = Scope("project", "atlas")
MANAGER = builders.caller(3, role=Role.DEPT_MANAGER)
LIMIT = 1_000
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass
class World:
    """The budgets of one department in memory."""

    budgets: Budgets
    periods: BudgetPeriods
    admission: Admission
    ledger: CosmosLedger
    policies: FakeBudgetPolicies
    clock: FakeClock
    stores: FakeConnection

    async def put(self, limit_micros: int, rollover: Rollover, revision: int | None = None) -> None:
        policy = BudgetPolicy(ATLAS, limit_micros, rollover=rollover)
        await self.budgets.put(
            MANAGER,
            ATLAS.name,
            BudgetChange(policy),
            expected=revision,
            department_id=None,
            correlation_id="c-1",
        )

    async def opened(self, period: str) -> Budget:
        partition = Partition("marketing", period)
        await self.periods.open(partition, [ATLAS])
        found = await self.ledger.budget(partition, ATLAS)
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    connection, clock = FakeConnection(), FakeClock()
    policies = FakeBudgetPolicies(connection)
    directory = FakeDirectory(departments=["marketing", "design"])
    calendars = Calendars(policies, directory, clock)
    periods = BudgetPeriods(policies, calendars, clock)
    ledger = CosmosLedger(connection.as_connection())
    budgets = Budgets(ledger, policies, directory, calendars, periods, clock)
    admission = Admission(ledger, calendars, periods, clock)
    return World(budgets, periods, admission, ledger, policies, clock, connection)


def plant(world: World, rollover: Rollover) -> None:
    policy = BudgetPolicy(ATLAS, LIMIT, rollover=rollover, since_month="202601")
    world.policies.plant("marketing", policy)


async def test_rollover_switched_on_values_no_month_before_it(world: World) -> None:
    plant(world, "none")
    await world.put(100 * LIMIT, "unused")
    assert (await world.opened("202611")).limit_micros == 100 * LIMIT
    world.clock.set(datetime(2026, 12, 15, tzinfo=UTC))
    assert (await world.opened("202612")).limit_micros == 200 * LIMIT


async def test_raised_limit_values_no_month_before_it(world: World) -> None:
    plant(world, "unused")
    await world.put(100 * LIMIT, "unused")
    assert (await world.opened("202611")).limit_micros == (100 + 10) * LIMIT  # January to October


async def test_budget_that_comes_back_carries_nothing_from_before(world: World) -> None:
    plant(world, "unused")
    await world.budgets.delete(
        MANAGER, ATLAS.name, expected=None, department_id=None, correlation_id="c-1"
    )
    world.clock.set(datetime(2027, 3, 15, tzinfo=UTC))
    await world.put(LIMIT, "unused", revision=0)
    assert (await world.opened("202703")).limit_micros == LIMIT


async def test_writer_that_died_is_made_up_for_however_late(world: World) -> None:
    plant(world, "none")
    assert (await world.opened("202611")).limit_micros == LIMIT
    revised = BudgetPolicy(ATLAS, 5 * LIMIT, revision=2)
    await world.policies.put("marketing", revised, builders.event("atlas", "budget.changed.2"))
    world.clock.advance(10 * 24 * 3_600)
    await world.budgets.apply_pending("marketing")
    found = await world.ledger.budget(Partition("marketing", "202611"), ATLAS)
    assert found is not None and found.limit_micros == 5 * LIMIT
    assert await world.policies.pending("marketing") == []


async def test_change_of_a_period_that_has_ended_meanwhile_is_made_up_for(world: World) -> None:
    plant(world, "none")
    assert (await world.opened("202611")).limit_micros == LIMIT
    changed_at = (MIDNIGHT - timedelta(seconds=10)).isoformat()
    revised = BudgetPolicy(ATLAS, 5 * LIMIT, revision=2, changed_at=changed_at)
    await world.policies.put("marketing", revised, builders.event("atlas", "budget.changed.2"))
    world.clock.set(MIDNIGHT + timedelta(minutes=5))
    await world.budgets.apply_pending("marketing")
    found = await world.ledger.budget(Partition("marketing", "202611"), ATLAS)
    assert found is not None and found.limit_micros == 5 * LIMIT


async def test_key_that_goes_on_in_the_next_period_shuts_the_old_door(world: World) -> None:
    world.clock.set(MIDNIGHT - timedelta(seconds=10))
    old = await world.admission.operation_id(builders.caller(), "batch", "key-1")
    assert old.startswith("202611-")
    world.clock.set(MIDNIGHT + timedelta(seconds=5))
    new = await world.admission.operation_id(builders.caller(), "batch", "key-1")
    assert new.startswith("202612-")
    with pytest.raises(Unavailable):  # what was under way: sent again, it goes on in December
        await world.ledger.reserve(builders.reservation(builders.item(old)))
    assert await world.admission.operation_id(builders.caller(), "batch", "key-1") == new


async def admitted(world: World, caller: Caller) -> str:
    """The id of a generation that was asked for under key-1, in an open period."""
    operation = await world.admission.operation_id(caller, "generation", "key-1")
    limits = dict.fromkeys(caller.charge().scopes(), 10_000_000)
    partition = Partition("marketing", "202611")
    await builders.open_budgets(world.policies.connection, partition, limits)
    await world.ledger.reserve(builders.reservation(builders.item(operation)))
    return operation


async def test_key_that_was_used_before_the_period_ended_keeps_its_id(world: World) -> None:
    world.clock.set(MIDNIGHT - timedelta(seconds=10))
    caller = builders.caller()
    old = await admitted(world, caller)
    world.clock.set(MIDNIGHT + timedelta(seconds=5))
    assert await world.admission.operation_id(caller, "generation", "key-1") == old


async def moved(world: World, caller: Caller) -> Caller:
    """The same person in another department, since now."""
    at = world.clock.now().isoformat()
    left = {**caller.left, caller.department_id: at}
    return replace(caller, department_id="design", left=left)


async def test_key_is_found_in_the_department_that_somebody_left(world: World) -> None:
    caller = builders.caller()
    old = await admitted(world, caller)
    caller = await moved(world, caller)
    assert await world.admission.operation_id(caller, "generation", "key-1") == old
    other = await world.admission.operation_id(caller, "generation", "key-2")
    assert other.startswith("202611-design-")
    back = replace(caller, department_id="marketing", left={"design": caller.left["marketing"]})
    assert await world.admission.operation_id(back, "generation", "key-1") == old


async def test_what_was_under_way_in_the_former_department_is_admitted_there_no_more(
    world: World,
) -> None:
    caller = builders.caller()
    old = await world.admission.operation_id(caller, "generation", "key-1")
    limits = dict.fromkeys(caller.charge().scopes(), 10_000_000)
    partition = Partition("marketing", "202611")
    await builders.open_budgets(world.policies.connection, partition, limits)
    new = await world.admission.operation_id(await moved(world, caller), "generation", "key-1")
    assert new.startswith("202611-design-")
    with pytest.raises(Unavailable):
        await world.ledger.reserve(builders.reservation(builders.item(old)))


async def test_department_that_was_left_in_an_earlier_period_is_not_asked(world: World) -> None:
    caller = await moved(world, builders.caller())
    world.clock.set(MIDNIGHT + timedelta(days=2))
    await world.admission.operation_id(caller, "generation", "key-1")
    assert not world.stores.container("ledger").partitions.get("marketing|202611")


def test_payers_that_the_directory_adds_are_not_the_callers_word() -> None:
    caller = builders.caller()
    asked = caller.charge("apollo")
    given = replace(caller, cost_centre_id="cc1")
    assert caller.named_payers(asked) == given.named_payers(given.charge("apollo"))
    named = given.charge("apollo", "cc2")
    assert given.named_payers(named) == ("apollo", "cc2")
