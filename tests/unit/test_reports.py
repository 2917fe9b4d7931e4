"""Reports as people ask for them: what each role may see, and which days and periods count."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.identity import Caller, Role
from shared.domain.periods import Calendar, PeriodRule
from shared.domain.report_views import SpendReport
from shared.errors import Invalid, NotFound, PolicyDenied
from shared.services import reports as reports_module
from shared.services.calendars import Calendars
from shared.services.reports import Reports
from tests import builders
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.entries import FakeEntries
from tests.synthetic_spend import adjustment, resolution

DEPARTMENTS = ("marketing", "design", "atelier")
AVA, BEN = builders.caller(1), builders.caller(2)
MIA = builders.caller(3, role=Role.DEPT_MANAGER)
OLGA = builders.caller(4, role=Role.ORG_ADMIN)
PRICE = 61_600


@dataclass
class World:
    """Reports over documents in memory; today is 15 November 2026."""

    reports: Reports
    connection: FakeConnection
    policies: FakeBudgetPolicies

    async def book(self, number: int, owner: Caller, day: str, **changes: Any) -> None:
        """An entry of a person, in the period of its day unless `period` says another."""
        period = changes.pop("period", day[:7].replace("-", ""))
        document = resolution(
            number,
            pk=f"{owner.department_id}|{period}",
            department_id=owner.department_id,
            user_key=owner.key,
            admitted_at=f"{day}T12:00:00+00:00",
            **changes,
        )
        await self.connection.container("ledger").create_item(document)

    async def spend(self, caller: Caller, by: str = "department", **wanted: Any) -> SpendReport:
        asked: Mapping[str, Any] = {"since": None, "until": None, "department_id": None} | wanted
        return await self.reports.spend(caller, by.split(","), **asked)


@pytest.fixture
def world() -> World:
    connection, clock = FakeConnection(), FakeClock()
    directory = FakeDirectory(departments=DEPARTMENTS)
    policies = FakeBudgetPolicies(connection)
    reports = Reports(
        entries=FakeEntries(connection),
        ledger=CosmosLedger(connection.as_connection()),
        directory=directory,
        calendars=Calendars(policies, directory, clock),
        clock=clock,
    )
    return World(reports, connection, policies)


async def booked(world: World) -> None:
    """Two entries of Ava, one each of Ben and of a designer, and an adjustment of the house."""
    await world.book(1, AVA, "2026-11-02")
    await world.book(2, AVA, "2026-11-03", model="flux-2-pro")
    await world.book(3, BEN, "2026-11-03")
    await world.book(4, builders.caller(7, "design"), "2026-11-03")
    corrected = adjustment(1, amount_micros=-1_000, booked_at="2026-11-10T03:00:00+00:00")
    await world.connection.container("ledger").create_item(corrected)


@pytest.mark.parametrize(
    ("caller", "entries", "amount"),
    [
        (AVA, 2, 2 * PRICE),
        (MIA, 4, 3 * PRICE - 1_000),
        (OLGA, 5, 4 * PRICE - 1_000),
    ],
    ids=["own", "department", "tenant"],
)
async def test_everyone_sees_what_concerns_them(
    world: World, caller: Caller, entries: int, amount: int
) -> None:
    await booked(world)
    report = await world.spend(caller)
    assert (report.total.entries, report.total.amount_micros) == (entries, amount)


async def test_department_of_others_does_not_exist(world: World) -> None:
    for caller in (AVA, MIA):
        with pytest.raises(NotFound):
            await world.spend(caller, department_id="design")
    with pytest.raises(NotFound):
        await world.spend(OLGA, department_id="nowhere")
    assert (await world.spend(MIA, department_id="marketing")).rows == ()


async def test_department_of_another_tenant_is_never_shown(world: World) -> None:
    await booked(world)
    foreign = Caller(type(OLGA.principal)("another-tenant", "x", Role.ORG_ADMIN), "marketing")
    assert (await world.spend(foreign)).total.entries == 0
    with pytest.raises(NotFound):
        await world.spend(foreign, department_id="marketing")


async def test_groups_are_in_the_order_that_was_asked_for(world: World) -> None:
    await booked(world)
    report = await world.spend(MIA, "day,model")
    assert [row.group for row in report.rows] == [
        ("2026-11-02", "gpt-image-2"),
        ("2026-11-03", "flux-2-pro"),
        ("2026-11-03", "gpt-image-2"),
        ("2026-11-10", "gpt-image-2"),  # the adjustment
    ]


async def test_days_are_cut_exactly_across_periods(world: World) -> None:
    for number, day in enumerate(("2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01")):
        await world.book(number, AVA, day)
    report = await world.spend(AVA, "day", since=date(2026, 10, 1), until=date(2026, 11, 1))
    assert [row.group[0] for row in report.rows] == ["2026-10-01", "2026-10-31"]


async def test_entry_counts_in_the_period_that_paid_for_it(world: World) -> None:
    await world.book(1, AVA, "2026-10-31", period="202611")  # it waited for November
    await world.book(2, AVA, "2026-12-01", period="202611")  # planned across midnight
    november = await world.spend(AVA, "day", since=date(2026, 11, 1), until=date(2026, 12, 1))
    assert [row.group[0] for row in november.rows] == ["2026-11-01", "2026-11-30"]
    around = await world.spend(AVA, since=date(2026, 10, 1), until=date(2027, 1, 1))
    assert around.total.entries == 2


async def test_quarters_are_read_by_their_own_calendar(world: World) -> None:
    calendar = Calendar((PeriodRule("quarter", 7),))
    scope = Scope("department", "marketing")
    world.policies.plant("marketing", BudgetPolicy(scope, 1, calendar=calendar))
    await world.book(1, AVA, "2026-11-05", period="202610")
    assert (await world.spend(AVA)).total.entries == 1
    assert (await world.spend(AVA, until=date(2026, 11, 5))).total.entries == 0


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (date(2026, 11, 2), date(2026, 11, 2)),
        (date(2026, 11, 3), date(2026, 11, 2)),
        (date(2025, 1, 1), date(2026, 11, 2)),
    ],
)
async def test_days_that_make_no_report_are_refused(world: World, since: date, until: date) -> None:
    with pytest.raises(Invalid):
        await world.spend(AVA, since=since, until=until)


async def test_report_with_too_many_rows_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_module, "GROUPS_MAX", 2)
    await booked(world)
    assert len((await world.spend(OLGA)).rows) == 2
    with pytest.raises(Invalid):
        await world.spend(OLGA, "department,model,day")


async def test_csv_and_json_say_the_same(world: World) -> None:
    await booked(world)
    text = await world.reports.spend_csv(MIA, ["model"], None, None, None)
    report = await world.spend(MIA, "model")
    lines = [line.split(",") for line in text.splitlines()[1:]]
    assert [int(line[4]) for line in lines] == [row.spend.amount_micros for row in report.rows]


async def test_standard_user_gets_no_management_report(world: World) -> None:
    for asked in (
        world.reports.burn_down(AVA, None),
        world.reports.anomalies(AVA, None, None, None),
    ):
        with pytest.raises(PolicyDenied):
            await asked


async def test_burn_down_says_when_there_is_not_enough_history(world: World) -> None:
    await booked(world)
    report = await world.reports.burn_down(MIA, None)
    assert report.forecast is None
    assert report.no_forecast_because is not None
    assert report.no_forecast_because.startswith("Not enough history: 13 complete days")


async def test_burn_down_foresees_the_breach_with_its_error(world: World) -> None:
    for day in range(60):
        moment = date.fromordinal(date(2026, 9, 16).toordinal() + day).isoformat()
        await world.book(day, AVA, moment, amount_micros=1_000_000)
    partition = builders.PARTITION
    scope = Scope("department", "marketing")
    limits = {scope: 20_000_000}
    await builders.open_budgets(world.connection.as_connection(), partition, limits)
    budget = world.connection.container("ledger").partitions[partition.key][scope.document_id]
    budget["spent_micros"] = 14_000_000  # of 1 to 14 November
    report = await world.reports.burn_down(MIA, None)
    assert report.forecast is not None
    assert report.forecast.breach_on == date(2026, 11, 21)  # 20 AUD are spent, then one more
    assert report.forecast.backtest.origins > 0
    assert (report.limit_micros, report.spent_micros) == (20_000_000, 14_000_000)


async def test_anomalies_of_this_month_are_judged_by_the_weeks_before(world: World) -> None:
    for day in range(60):
        moment = date.fromordinal(date(2026, 9, 16).toordinal() + day)
        busy = moment == date(2026, 11, 11)
        amount = 30_000_000 if busy else 2_000_000
        await world.book(day, AVA, moment.isoformat(), amount_micros=amount)
    report = await world.reports.anomalies(MIA, None, None, None)
    assert [(each.day, each.usual_micros) for each in report.items] == [
        (date(2026, 11, 11), 2_000_000)
    ]
