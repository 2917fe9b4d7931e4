"""Reports over ledger entries: spend by anything, burn-down, unusual days."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from shared.domain.anomalies import BY as ANOMALY_BY
from shared.domain.anomalies import WINDOW_DAYS, anomalies
from shared.domain.budgets import Budget, Scope
from shared.domain.entries import Entry
from shared.domain.forecasts import HISTORY_DAYS_MAX, BurnDown, Standing, burn_down, trimmed
from shared.domain.identity import Caller, Permission, Reach
from shared.domain.ids import Partition
from shared.domain.periods import Calendar
from shared.domain.report_views import (
    AnomalyReport,
    BurnDownReport,
    SpendReport,
    anomaly_report,
    forecast_view,
    no_forecast_because,
    spend_report,
)
from shared.domain.spend import SpendTable, spend_csv
from shared.errors import FieldFault, Invalid, NotFound, PolicyDenied
from shared.ports import Clock, Directory, Ledger
from shared.ports.entries import Entries
from shared.services.calendars import Calendars

NO_SUCH = "There is no such department."
DAYS_MAX = 366  # of one report: what is longer is asked for year by year
GROUPS_MAX = 50_000  # of one report: an answer is built in memory
DEPARTMENTS_AT_ONCE = 8  # partitions that are read side by side


@dataclass(frozen=True)
class Span:
    """Days `since` to before `until`, in UTC."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if not self.since < self.until <= self.since + timedelta(days=DAYS_MAX):
            fault = FieldFault("/until", f"1 to {DAYS_MAX} days after since")
            raise Invalid("A report covers at least a day and at most a year.", faults=[fault])


@dataclass(frozen=True)
class History:
    """A department's spend per day, the budget it goes against, and what to expect."""

    department_id: str
    calendar: Calendar
    period: str
    today: date
    budget: Budget | None
    history_days: int
    forecast: BurnDown | None


@dataclass(frozen=True)
class Reports:
    """Reads entries, never a cache; everyone sees what concerns them, as with records."""

    entries: Entries
    ledger: Ledger
    directory: Directory
    calendars: Calendars
    clock: Clock

    async def spend(
        self,
        caller: Caller,
        by: Sequence[str],
        since: date | None,
        until: date | None,
        department_id: str | None,
    ) -> SpendReport:
        """Spend of the days `since` to before `until` (default: this month), by dimensions."""
        table, span = await self._table(caller, by, since, until, department_id)
        return spend_report(table, span.since, span.until)

    async def spend_csv(
        self,
        caller: Caller,
        by: Sequence[str],
        since: date | None,
        until: date | None,
        department_id: str | None,
    ) -> str:
        """The same as CSV."""
        table, _ = await self._table(caller, by, since, until, department_id)
        return spend_csv(table)

    async def burn_down(self, caller: Caller, department_id: str | None) -> BurnDownReport:
        """Where a department's budget stands and when it is expected to be used up."""
        found = await self.history(await self.managed(caller, department_id))
        start, end = found.calendar.start(found.period), found.calendar.end(found.period)
        budget, forecast = found.budget, found.forecast
        return BurnDownReport(
            department_id=found.department_id,
            period=found.period,
            starts_on=start,
            ends_before=end,
            limit_micros=budget.limit_micros if budget else 0,
            reserved_micros=budget.reserved_micros if budget else 0,
            spent_micros=budget.spent_micros if budget else 0,
            history_days=found.history_days,
            forecast=forecast_view(forecast) if forecast else None,
            no_forecast_because=no_forecast_because(
                found.history_days, is_over=False, has_budget=budget is not None
            ),
        )

    async def anomalies(
        self,
        caller: Caller,
        since: date | None,
        until: date | None,
        department_id: str | None,
    ) -> AnomalyReport:
        """Unusual days from `since` to before `until` (default: this month)."""
        span = self._span(since, until)
        _require_manager(caller)
        table = SpendTable(ANOMALY_BY)
        wide = Span(max(span.since - timedelta(days=WINDOW_DAYS), date.min), span.until)
        await self._fill(table, await self._departments(caller, department_id), wide, None)
        found = anomalies(table, span.since, span.until)
        return anomaly_report(found, span.since, span.until)

    async def managed(self, caller: Caller, department_id: str | None) -> str:
        """The department meant, if the caller manages it or the whole organisation."""
        _require_manager(caller)
        (found,) = await self._departments(caller, department_id or caller.department_id)
        return found

    async def history(self, department_id: str, period: str | None = None) -> History:
        """What a forecast of the present period (or of `period`, if it runs) is made from."""
        today = self.clock.now().date()
        calendar = await self.calendars.of(department_id)
        wanted = period or calendar.period_at(today)
        start, end = calendar.start(wanted), calendar.end(wanted)
        scope = Scope("department", department_id)
        budget = await self.ledger.budget(Partition(department_id, wanted), scope)
        if not start <= today < end:  # nothing is left to expect
            return History(department_id, calendar, wanted, today, budget, 0, None)
        table = SpendTable(("day",))
        first = min(start, today - timedelta(days=HISTORY_DAYS_MAX))
        await self._fill(table, [department_id], Span(first, today + timedelta(days=1)), None)
        per_day = {key[0]: each.amount_micros for key, each in table.rows()}
        daily = [
            per_day.get((first + timedelta(days=number)).isoformat(), 0)
            for number in range((today - first).days)
        ]
        history = trimmed(daily)
        forecast = None
        if budget is not None:
            before = sum(daily[(start - first).days :])
            today_micros = budget.committed_micros - before
            standing = Standing(budget.limit_micros, before, max(0, today_micros))
            forecast = burn_down(daily, today, end, standing)
        return History(department_id, calendar, wanted, today, budget, len(history), forecast)

    async def read(self, department_id: str, span: Span) -> AsyncIterator[Entry]:
        """The entries of a department whose day lies in a span."""
        async for entry in self._read(department_id, span, None):
            yield entry

    async def _table(
        self,
        caller: Caller,
        by: Sequence[str],
        since: date | None,
        until: date | None,
        department_id: str | None,
    ) -> tuple[SpendTable, Span]:
        span = self._span(since, until)
        own = caller.key if caller.reach(Permission.REPORTS_READ) < Reach.DEPARTMENT else None
        table = SpendTable(by)
        await self._fill(table, await self._departments(caller, department_id), span, own)
        return table, span

    def _span(self, since: date | None, until: date | None) -> Span:
        today = self.clock.now().date()
        last = until or today + timedelta(days=1)
        return Span(since or (last - timedelta(days=1)).replace(day=1), last)

    async def _departments(self, caller: Caller, department_id: str | None) -> list[str]:
        """Where to look: one's own department, or any of the tenant's for an Org Admin."""
        if caller.reach(Permission.REPORTS_READ) < Reach.ORGANISATION:
            if department_id not in (None, caller.department_id):
                raise NotFound(NO_SUCH)
            return [caller.department_id]
        if department_id is not None:
            if not await self.directory.has_department(caller.tenant_id, department_id):
                raise NotFound(NO_SUCH)
            return [department_id]
        everyone = await self.directory.departments()
        tenants = await asyncio.gather(*(self.directory.tenant_of(each) for each in everyone))
        return [
            each
            for each, tenant in zip(everyone, tenants, strict=True)
            if tenant == caller.tenant_id
        ]

    async def _fill(
        self, table: SpendTable, departments: Sequence[str], span: Span, user_key: str | None
    ) -> None:
        """Add up what was booked; Invalid when that makes more groups than an answer may have."""
        gate = asyncio.Semaphore(DEPARTMENTS_AT_ONCE)

        async def add(department_id: str) -> None:
            async with gate:
                async for entry in self._read(department_id, span, user_key):
                    table.add(entry)
                    if len(table) > GROUPS_MAX:
                        fault = FieldFault("/by", "name fewer dimensions, or fewer days")
                        raise Invalid("The report has too many rows.", faults=[fault])

        await asyncio.gather(*(add(each) for each in departments))

    async def _read(
        self, department_id: str, span: Span, user_key: str | None
    ) -> AsyncIterator[Entry]:
        calendar = await self.calendars.of(department_id)
        period = calendar.period_at(span.since)
        while calendar.start(period) < span.until:  # periods follow each other, at most DAYS_MAX
            start, end = calendar.start(period), calendar.end(period)
            async for found in self.entries.of(Partition(department_id, period), user_key):
                entry = found.within(start, end)
                if span.since <= entry.day < span.until:
                    yield entry
            period = calendar.following(period)


def _require_manager(caller: Caller) -> None:
    if caller.reach(Permission.REPORTS_READ) < Reach.DEPARTMENT:
        raise PolicyDenied("This report is for Dept Managers and Org Admins.")
