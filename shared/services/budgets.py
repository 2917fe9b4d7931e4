"""Budgets as people see and change them."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import (
    BudgetPolicy,
    budget_object_id,
    check_allocation,
    policy_partition,
    rule_of,
)
from shared.domain.budget_views import BudgetList, BudgetView, budget_view
from shared.domain.budgets import Charge, Scope
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Principal, Reach, Role
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition
from shared.domain.periods import MONTH_PATTERN, month_of
from shared.errors import (
    BudgetExceeded,
    Conflict,
    FieldFault,
    Invalid,
    NotFound,
    PreconditionFailed,
)
from shared.ports import POLICIES_PER_PAGE_MAX, BudgetPolicies, Clock, Directory, Ledger
from shared.services.alerts import Alerts
from shared.services.allocations import Allocations
from shared.services.budget_changes import (
    NO_SUCH,
    BudgetChange,
    calendar_after,
    check_may_change,
    differences,
    expected_policy,
)
from shared.services.budget_periods import BudgetPeriods, no_budget
from shared.services.calendars import Calendars
from shared.services.department_reach import department_within_reach

MONTH = re.compile(MONTH_PATTERN)
_WRITE = Permission.BUDGETS_WRITE
PUT_TRIES_MAX = 4  # of a change to whichever policy stands
OPENING_TIME_MAX = timedelta(hours=2)  # far longer than any request, even if a clock is set
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SCOPE = re.compile(
    rf"department:(?P<department>{DEPARTMENT_ID_PATTERN})"
    rf"|user:(?P<user>me|{_GUID})"
    rf"|project:(?P<project>{DEPARTMENT_ID_PATTERN})"
    rf"|cost_centre:(?P<cost_centre>{DEPARTMENT_ID_PATTERN})"
)


@dataclass(frozen=True)
class _Found:
    """A scope that the caller may see, where it is, and what stands for it."""

    department_id: str
    scope: Scope
    policy: BudgetPolicy | None


@dataclass(frozen=True)
class Budgets:
    """Reads limits and counters, changes policies; a period nobody has spent in shows its limit."""

    ledger: Ledger
    policies: BudgetPolicies
    directory: Directory
    calendars: Calendars
    periods: BudgetPeriods
    clock: Clock
    alerts: Alerts | None = None  # told of every limit that changed
    allocations: Allocations | None = None  # asked whether a calendar fits the organisation's

    async def get(
        self, caller: Caller, scope_name: str, period: str | None, department_id: str | None = None
    ) -> BudgetView:
        """The budget of a scope in the period that contains a month 'yyyymm' (default: now)."""
        found = await self._found(caller, scope_name, department_id)
        if found.policy is None or found.policy.deleted:
            raise NotFound(NO_SUCH)
        return await self._shown(found.department_id, found.policy, period)

    async def list(
        self,
        caller: Caller,
        period: str | None,
        department_id: str | None = None,
        continuation: str | None = None,
    ) -> BudgetList:
        """A page of a department's budgets that the caller may see, in order of their scopes."""
        department = await self._department(caller, department_id, Permission.BUDGETS_READ)
        all_people = caller.reach(Permission.BUDGETS_READ) >= Reach.DEPARTMENT
        page = await self.policies.policies(department, after=continuation or "")
        seen = [
            policy
            for policy in page
            if not policy.deleted
            and (all_people or policy.scope.kind != "user" or policy.scope.scope_id == caller.key)
        ]
        shown = await asyncio.gather(*(self._shown(department, each, period) for each in seen))
        more = page[-1].scope.name if len(page) == POLICIES_PER_PAGE_MAX else None
        return BudgetList(items=tuple(shown), continuation=more)

    async def put(
        self,
        caller: Caller,
        scope_name: str,
        change: BudgetChange,
        *,
        expected: int | None,
        department_id: str | None,
        correlation_id: str,
    ) -> BudgetView:
        """Create or replace a policy and apply it to the open period.

        `expected` is the revision the caller has read, 0 for one that must not exist yet, or None
        for whichever stands.
        """
        for tries_left in reversed(range(PUT_TRIES_MAX)):
            found = await self._found(caller, scope_name, department_id, _WRITE)
            try:
                return await self._replace(caller, found, change, expected, correlation_id)
            except PreconditionFailed:
                if expected is not None or tries_left == 0:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def _replace(
        self,
        caller: Caller,
        found: _Found,
        change: BudgetChange,
        expected: int | None,
        correlation_id: str,
    ) -> BudgetView:
        check_may_change(caller, found.scope)
        standing = expected_policy(found.policy, expected)
        now = self.clock.now()
        lasts = standing is not None and not standing.deleted
        revised = replace(
            change.policy,
            scope=found.scope,
            revision=standing.revision + 1 if standing else 1,
            since_month=standing.since_month if standing and lasts else month_of(now),
            changed_at=now.isoformat(),
            calendar=calendar_after(found.scope, standing, change, now),
        )
        if revised.calendar is not None and self.allocations is not None:
            await self.allocations.check_calendar(found.department_id, revised.calendar)
        await self._check_cap(found.department_id, revised)
        await self._open_as_it_was(found.department_id, standing, revised)
        await self._write(caller, found.department_id, standing, revised, correlation_id)
        return await self._shown(found.department_id, revised, None)

    async def delete(
        self,
        caller: Caller,
        scope_name: str,
        *,
        expected: int | None,
        department_id: str | None,
        correlation_id: str,
    ) -> None:
        """End a policy: what is committed stays booked, nothing new is reserved."""
        found = await self._found(caller, scope_name, department_id, _WRITE)
        check_may_change(caller, found.scope)
        standing = expected_policy(found.policy, expected)
        if standing is None or standing.deleted:
            raise NotFound(NO_SUCH)
        revised = replace(
            standing,
            deleted=True,
            revision=standing.revision + 1,
            changed_at=self.clock.now().isoformat(),
        )
        await self._write(caller, found.department_id, standing, revised, correlation_id)

    async def charged(self, charge: Charge) -> tuple[BudgetView, ...]:
        """Every budget a request would be charged to, as it stands; only a reservation decides."""
        shown = []
        for scope in charge.scopes():
            policy = await self.policies.policy(charge.department_id, scope)
            if policy is None or policy.deleted:
                raise no_budget(scope)
            shown.append(await self._shown(charge.department_id, policy, None))
        return tuple(shown)

    async def apply_pending(self, department_id: str) -> int:
        """Apply policies whose writer died before it could; how many were looked at."""
        pending = await self.policies.pending(department_id)
        settled_before = (self.clock.now() - OPENING_TIME_MAX).isoformat()
        for policy in pending:
            try:
                await self._apply_all(department_id, policy, "system:sweeper", "system", "sweep")
            except Conflict:
                continue  # an allocation is too small: the period keeps its old limit
            if policy.changed_at < settled_before:
                await self.policies.applied(department_id, policy)
        return len(pending)

    async def _open_as_it_was(
        self, department_id: str, standing: BudgetPolicy | None, revised: BudgetPolicy
    ) -> None:
        """Open the present period under the standing policy, where it matters what rolls over.

        So no period that nobody has spent in is ever valued by a policy of later on.
        """
        rolls = standing is not None and {standing.rollover, revised.rollover} != {"none"}
        if standing is not None and rolls and not standing.deleted:
            partition = await self.calendars.partition(department_id)
            with contextlib.suppress(BudgetExceeded):  # the organisation has nothing for it
                await self.periods.open(partition, [standing.scope])

    async def _write(
        self,
        caller: Caller,
        department_id: str,
        standing: BudgetPolicy | None,
        revised: BudgetPolicy,
        correlation_id: str,
    ) -> None:
        partition = policy_partition(department_id)
        event = AuditEvent(
            action=f"budget.{'deleted' if revised.deleted else 'changed'}.{revised.revision}",
            object_id=budget_object_id(partition, revised.scope),
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=revised.changed_at,
            correlation_id=correlation_id,
            details=differences(rule_of(standing) if standing else None, rule_of(revised)),
        )
        await self.policies.put(department_id, revised, event)
        role = CLAIM_BY_ROLE[caller.role]
        await self._apply_all(department_id, revised, caller.key, role, correlation_id)

    async def _apply_all(
        self,
        department_id: str,
        policy: BudgetPolicy,
        actor: str,
        actor_role: str,
        correlation_id: str,
    ) -> None:
        """Apply to the present period, the next one, and the one in which it was changed.

        The next may have been opened by a clock ahead of ours; the last may be over, if its writer
        died or met a replica that lagged. It stays pending for a while: somebody may just be
        opening a period from the policy before.
        """
        calendar = await self.calendars.of(department_id)
        now = self.clock.now()
        present = calendar.period_at(now)
        changed_at = datetime.fromisoformat(policy.changed_at) if policy.changed_at else now
        changed = calendar.period_at(changed_at)
        for each in dict.fromkeys((present, calendar.following(present), changed)):
            partition = Partition(department_id, each)
            await self._apply(partition, policy, actor, actor_role, correlation_id)

    async def _apply(
        self,
        partition: Partition,
        policy: BudgetPolicy,
        actor: str,
        actor_role: str,
        correlation_id: str,
    ) -> None:
        """Bring the budget of a period to a policy, if it is open."""
        event = AuditEvent(
            action=f"budget.applied.{policy.revision}",
            object_id=budget_object_id(partition, policy.scope),
            actor=actor,
            actor_role=actor_role,
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            details={
                "limit_micros": policy.limit_micros,
                "mode": policy.mode,
                "policy_version": policy.revision,
            },
        )
        budget = await self.policies.apply(partition, policy, event)
        if budget is not None and self.alerts is not None:
            await self.alerts.note(partition, [budget])

    async def _check_cap(self, department_id: str, revised: BudgetPolicy) -> None:
        partition = await self.calendars.partition(department_id)
        budget = await self.ledger.budget(partition, revised.scope)
        if budget is None or budget.allocated_micros is None:
            return
        if revised.mode == "warn":
            raise Invalid(
                "A department under an organisation's cap cannot only warn.",
                faults=[FieldFault("/mode", "use hard, or soft with an overdraft")],
            )
        check_allocation(revised, budget)

    async def _found(
        self,
        caller: Caller,
        scope_name: str,
        department_id: str | None,
        permission: Permission = Permission.BUDGETS_READ,
    ) -> _Found:
        named = _SCOPE.fullmatch(scope_name)
        if named is None:
            raise NotFound(NO_SUCH)
        if named["user"]:
            department, scope = await self._user(caller, named["user"], permission)
        elif named["department"]:
            department = await self._department(caller, named["department"], permission)
            scope = Scope("department", department)
        else:
            department = await self._department(caller, department_id, permission)
            scope = (
                Scope("project", named["project"])
                if named["project"]
                else Scope("cost_centre", named["cost_centre"])
            )
        return _Found(department, scope, await self.policies.policy(department, scope))

    async def _department(
        self, caller: Caller, department_id: str | None, permission: Permission
    ) -> str:
        return await department_within_reach(
            self.directory, caller, department_id, permission, NO_SUCH
        )

    async def _user(
        self, caller: Caller, object_id: str, permission: Permission
    ) -> tuple[str, Scope]:
        wanted = caller.principal.object_id if object_id == "me" else object_id
        principal = Principal(caller.tenant_id, wanted, Role.STANDARD_USER)
        user = await self.directory.user(principal)
        own = wanted == caller.principal.object_id
        managed = (
            user is not None
            and caller.reach(permission) >= Reach.DEPARTMENT
            and user.department_id == caller.department_id
        )
        if user is None or not (own or managed or caller.reach(permission) >= Reach.ORGANISATION):
            raise NotFound(NO_SUCH)
        return user.department_id, Scope("user", principal.key)

    async def _shown(
        self, department_id: str, policy: BudgetPolicy, month: str | None
    ) -> BudgetView:
        if month is not None and MONTH.fullmatch(month) is None:
            raise Invalid(
                "The period is not a month.", faults=[FieldFault("/period", "write it as yyyymm")]
            )
        calendar = await self.calendars.of(department_id)
        if policy.scope.kind == "department" and policy.calendar is not None:
            calendar = policy.calendar  # just written, perhaps
        period = calendar.period_of_month(month or month_of(self.clock.now()))
        budget = await self.ledger.budget(Partition(department_id, period), policy.scope)
        return budget_view(department_id, policy, budget or policy.opening(period), calendar)
