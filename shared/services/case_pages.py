"""Which cases people see, a page at a time."""

from dataclasses import dataclass

from shared.domain.cases import Case, CaseFilter, organisation_cases
from shared.domain.identity import Caller, Permission, Reach
from shared.domain.ids import Partition
from shared.domain.reconciliation_views import CaseList, CaseView
from shared.errors import FieldFault, Invalid, PolicyDenied
from shared.ports import Clock, Directory
from shared.ports.reconciliation import Reconciliations
from shared.services.calendars import Calendars
from shared.services.past_partitions import partitions_since
from shared.services.reconciliation_gathering import AROUND, DAY_AGE_MAX

CASES_PER_PAGE_MAX = 100
PARTITIONS_PER_PAGE_MAX = 100  # each costs a query; a page without cases may have a continuation
_SEPARATOR = "~"  # in neither a partition's key nor a case's id


@dataclass(frozen=True)
class CasePages:
    """Lists cases; it changes nothing."""

    store: Reconciliations
    directory: Directory
    calendars: Calendars
    clock: Clock
    tenant_id: str

    async def page(
        self,
        caller: Caller,
        shown: CaseFilter,
        continuation: str | None = None,
        limit: int = CASES_PER_PAGE_MAX,
    ) -> CaseList:
        """The organisation's cases, then those of departments, newest period first.

        A manager sees their department's. A continuation names a partition and its last case.
        """
        partitions = [each for each in await self.partitions() if self.may_see(caller, each)]
        if not partitions:
            raise PolicyDenied("Only managers and administrators see cases.")
        keys = [partition.key for partition in partitions]
        key, _, after = (continuation or keys[0]).partition(_SEPARATOR)
        if key not in keys:
            raise Invalid(
                "The continuation token is not one of this listing's.",
                faults=[FieldFault("/continuation", "use the value of the last answer unchanged")],
            )
        begin = keys.index(key)
        end = begin + PARTITIONS_PER_PAGE_MAX
        more = keys[end] if end < len(keys) else None
        found: list[Case] = []
        for partition in partitions[begin:end]:
            found += await self.store.cases_page(partition, shown, after, limit - len(found))
            after = ""
            if len(found) == limit:
                more = f"{partition.key}{_SEPARATOR}{found[-1].case_id}"
                break
        return CaseList(items=tuple(CaseView.of(case) for case in found), continuation=more)

    async def partitions(self) -> list[Partition]:
        """Where cases of days that can still be compared may lie."""
        now = self.clock.now()
        since = now.date() - DAY_AGE_MAX - AROUND
        found = await partitions_since(since, now, self.directory, self.calendars)
        found.sort(key=lambda each: (-int(each.period), each.department_id))
        return [organisation_cases(self.tenant_id), *found]

    def may_see(self, caller: Caller, partition: Partition) -> bool:
        """Organisation-wide from Org Admin, the own department's from Dept Manager."""
        if caller.tenant_id != self.tenant_id:
            return False
        reach = caller.reach(Permission.CASES_READ)
        if reach == Reach.ORGANISATION:
            return True
        return reach == Reach.DEPARTMENT and partition.department_id == caller.department_id
