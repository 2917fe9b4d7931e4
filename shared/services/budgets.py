"""Budgets as people see them."""

import re
from dataclasses import dataclass

from shared.domain.budgets import Budget, Scope
from shared.domain.identity import Caller, Principal, Role
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition, period_of
from shared.domain.views import BudgetView, budget_view
from shared.errors import FieldFault, Invalid, NotFound
from shared.ports import Clock, Directory, Ledger

NO_SUCH = "There is no such budget."
_SCOPE = re.compile(
    rf"department:(?P<department>{DEPARTMENT_ID_PATTERN})"
    r"|user:(?P<user>me|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)


@dataclass(frozen=True)
class Budgets:
    """Reads limits and counters; a period nobody has spent in yet shows its limit."""

    ledger: Ledger
    directory: Directory
    clock: Clock

    async def get(self, caller: Caller, scope_name: str, period: str | None) -> BudgetView:
        """The budget `department:{id}` or `user:{object id|me}` of a period (default: now)."""
        wanted = period or period_of(self.clock.now())
        if not (len(wanted) == 6 and wanted.isascii() and wanted.isdigit()):
            raise Invalid(
                "The period is not a month.", faults=[FieldFault("/period", "write it as yyyymm")]
            )
        scope = _SCOPE.fullmatch(scope_name)
        if scope is None:
            raise NotFound(NO_SUCH)
        if scope["department"]:
            return await self._department(caller, scope["department"], wanted)
        return await self._user(caller, scope["user"], wanted)

    async def available_micros(self, caller: Caller) -> int:
        """The least that is left over all scopes the caller is charged to, this period."""
        period = period_of(self.clock.now())
        department = await self._department(caller, caller.department_id, period)
        user = await self._user(caller, "me", period)
        return min(department.available_micros, user.available_micros)

    async def _department(self, caller: Caller, department_id: str, period: str) -> BudgetView:
        own = department_id == caller.department_id
        if not own and caller.role < Role.ORG_ADMIN:
            raise NotFound(NO_SUCH)
        limit = await self.directory.department_limit_micros(caller.tenant_id, department_id)
        if limit is None:
            raise NotFound(NO_SUCH)
        return await self._shown(Scope("department", department_id), department_id, period, limit)

    async def _user(self, caller: Caller, object_id: str, period: str) -> BudgetView:
        wanted = caller.principal.object_id if object_id == "me" else object_id
        principal = Principal(caller.tenant_id, wanted, Role.STANDARD_USER)
        user = await self.directory.user(principal)
        own = wanted == caller.principal.object_id
        managed = (
            user is not None
            and caller.role >= Role.DEPT_MANAGER
            and user.department_id == caller.department_id
        )
        if user is None or not (own or managed or caller.role >= Role.ORG_ADMIN):
            raise NotFound(NO_SUCH)
        scope = Scope("user", principal.key)
        return await self._shown(scope, user.department_id, period, user.monthly_limit_micros)

    async def _shown(
        self, scope: Scope, department_id: str, period: str, limit_micros: int
    ) -> BudgetView:
        budget = await self.ledger.budget(Partition(department_id, period), scope)
        return budget_view(budget or Budget(scope, period, limit_micros, 0, 0))
