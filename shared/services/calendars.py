"""Which budget period is open for which department."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.budget_policies import policy_partition
from shared.domain.budgets import Scope
from shared.domain.ids import Partition
from shared.domain.periods import Calendar
from shared.ports import BudgetPolicies, Clock, Directory

CACHED_FOR = timedelta(seconds=5)  # a change takes effect at the end of a period, much later
RECENT_PERIODS = 13  # how far back late events of closed periods are looked for


@dataclass(frozen=True)
class Calendars:
    """The calendars of departments, remembered for a few seconds."""

    policies: BudgetPolicies
    directory: Directory
    clock: Clock
    _cached: dict[str, tuple[datetime, Calendar]] = field(default_factory=dict)

    async def of(self, department_id: str) -> Calendar:
        """The calendar of a department; months from January unless its policy says otherwise."""
        now = self.clock.now()
        standing = self._cached.get(department_id)
        if standing is not None and timedelta(0) <= now - standing[0] < CACHED_FOR:
            return standing[1]
        policy = await self.policies.policy(department_id, Scope("department", department_id))
        calendar = (policy.calendar if policy else None) or Calendar()
        self._cached[department_id] = (now, calendar)
        return calendar

    async def partition(self, department_id: str) -> Partition:
        """The ledger partition of a department's present period."""
        calendar = await self.of(department_id)
        return Partition(department_id, calendar.period_at(self.clock.now()))

    async def open_partitions(self) -> Sequence[Partition]:
        """Where work may still be open: this period and the one before, of every department."""
        return await self._partitions(2)

    async def policy_partitions(self) -> Sequence[Partition]:
        """Where policies, and what belongs to no period, stand."""
        return [policy_partition(each) for each in await self.directory.departments()]

    async def outbox_partitions(self, *, thorough: bool) -> Sequence[Partition]:
        """Where audit events may wait to be copied; `thorough` looks a year back as well."""
        policies = await self.policy_partitions()
        behind = await self._partitions(RECENT_PERIODS if thorough else 2)
        return [*await self._ahead(), *behind, *policies]

    async def _ahead(self) -> list[Partition]:
        """The periods to come, in which deferred work waits and may be canceled."""
        now = self.clock.now()
        found = []
        for department_id in await self.directory.departments():
            calendar = await self.of(department_id)
            following = calendar.following(calendar.period_at(now))
            found.append(Partition(department_id, following))
        return found

    async def _partitions(self, periods: int) -> list[Partition]:
        departments = await self.directory.departments()
        calendars = await asyncio.gather(*(self.of(each) for each in departments))
        now = self.clock.now()
        found = []
        for department_id, calendar in zip(departments, calendars, strict=True):
            period = calendar.period_at(now)
            for _ in range(periods):
                found.append(Partition(department_id, period))
                period = calendar.previous(period)
        return found
