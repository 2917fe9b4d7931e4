"""Temporary increases and emergency overrides: who may raise which limit, for how long."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget, Scope
from shared.domain.generations import request_hash
from shared.domain.grant_views import GrantList, GrantView, grant_view
from shared.domain.grants import (
    GRANT_SCOPES_MAX,
    OVERRIDE_TIME_MAX,
    Grant,
    GrantKind,
    check_same,
    surcharge_micros,
)
from shared.domain.identity import (
    CLAIM_BY_ROLE,
    Caller,
    Ownership,
    Permission,
    Principal,
    Reach,
    Role,
    require,
)
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition, operation_id, partition_of
from shared.domain.periods import IDEMPOTENCY_CARRY_OVER
from shared.errors import (
    Conflict,
    FieldFault,
    Invalid,
    NotFound,
    PeriodNotOpen,
    PolicyDenied,
    Unavailable,
)
from shared.ports import Clock, Directory, Ledger
from shared.ports.grants import GrantStore
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.department_reach import department_within_reach

SYSTEM_ACTOR = "system:grants"
NO_SUCH = "There is no such grant."
NO_SUCH_SCOPE = "There is no such budget."
UNREADABLE = "The budget could not be read yet."
_SCOPE = re.compile(
    rf"(?P<kind>department|project|cost_centre):(?P<id>{DEPARTMENT_ID_PATTERN})"
    r"|user:(?P<user>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)

logger = logging.getLogger("eig.grants")


@dataclass(frozen=True)
class GrantOrder:
    """A grant as it is asked for; without `ends_at` it lasts until its period ends."""

    kind: GrantKind
    scopes: tuple[str, ...]
    amount_micros: int
    reason: str
    ends_at: datetime | None = None
    department_id: str | None = None  # of projects and cost centres; the caller's own otherwise
    requested_by: str | None = None
    surcharge_percent: int = 0


@dataclass(frozen=True)
class Grants:
    """Raises limits inside one period, and takes each raise back once."""

    store: GrantStore
    ledger: Ledger
    directory: Directory
    calendars: Calendars
    periods: BudgetPeriods
    clock: Clock
    alerts: Alerts | None = None  # told of every surcharge and of every limit that falls

    async def create(
        self, caller: Caller, order: GrantOrder, *, key: str | None, correlation_id: str
    ) -> GrantView:
        """Raise the limits at once; the same key and order raise them once."""
        scopes, department_id = await self._scopes(caller, order)
        seed = (caller.tenant_id, caller.principal.object_id, "grant", key or self.clock.new_id())
        partition = await self.calendars.partition(department_id)
        grant_id = operation_id(partition, *seed)
        try:
            self._check_may_grant(caller, order, scopes, department_id)
        except PolicyDenied as refusal:
            await self._note_denial(caller, partition, grant_id, refusal, correlation_id)
            raise
        if key:
            standing = await self._standing(partition, seed)
            if standing is not None:
                check_same(standing, _hash_of(order))
                return grant_view(standing)
        surcharge = surcharge_micros(order.amount_micros, order.surcharge_percent)
        grant = Grant(
            grant_id=grant_id,
            kind=order.kind,
            scopes=scopes,
            amount_micros=order.amount_micros,
            ends_at=await self._ends_at(order, partition),
            reason=order.reason,
            tenant_id=caller.tenant_id,
            granted_by=caller.key,
            created_at=self.clock.now().isoformat(),
            request_hash=_hash_of(order),
            requested_by=order.requested_by,
            surcharge_percent=order.surcharge_percent,
            surcharge_micros=surcharge,
        )
        if caller.reach(Permission.GRANTS_WRITE) < Reach.ORGANISATION:
            await self._check_department_covers(partition, grant)
        await self._commit(caller, grant, correlation_id)
        return grant_view(await self.store.find(grant_id) or grant)

    async def get(self, caller: Caller, grant_id: str) -> GrantView:
        """One grant of a department the caller manages."""
        return grant_view(await self._visible(caller, grant_id, Permission.GRANTS_READ))

    async def list(self, caller: Caller, department_id: str | None, *, active: bool) -> GrantList:
        """The grants of a department, of this period and the one before."""
        department = await self._department(caller, department_id, Permission.GRANTS_READ)
        _require_manager(caller)
        present = await self.calendars.partition(department)
        calendar = await self.calendars.of(department)
        before = Partition(department, calendar.previous(present.period))
        found = [
            grant
            for partition in (present, before)
            for grant in await self.store.grants(partition, active=active)
        ]
        return GrantList(items=tuple(grant_view(grant) for grant in found))

    async def end(self, caller: Caller, grant_id: str, correlation_id: str) -> GrantView:
        """End a grant early: by an Org Admin, or by a manager who could have given it."""
        grant = await self._visible(caller, grant_id, Permission.GRANTS_WRITE)
        is_departments = any(scope.kind == "department" for scope in grant.scopes)
        is_admin = caller.reach(Permission.GRANTS_WRITE) >= Reach.ORGANISATION
        if not is_admin and (grant.kind == "override" or is_departments):
            raise await self._end_denied(caller, grant, correlation_id)
        if grant.status == "active":
            role = CLAIM_BY_ROLE[caller.role]
            await self._end(grant, caller.key, role, correlation_id)
        return grant_view(await self.store.find(grant_id) or grant)

    async def end_due(self, partition: Partition) -> int:
        """End the grants of a period whose time has come; how many this call has ended."""
        now = self.clock.now().isoformat()
        ended = 0
        for grant in await self.store.due(partition, now):
            ended += await self._end(grant, SYSTEM_ACTOR, "system", grant.grant_id)
        return ended

    async def _standing(self, partition: Partition, seed: tuple[str, ...]) -> Grant | None:
        """What this key stood for before: in this period, or just before it began.

        A grant that is still under way there is barred: it would raise the limits once more.
        """
        standing = await self.store.find(operation_id(partition, *seed))
        calendar = await self.calendars.of(partition.department_id)
        now = self.clock.now()
        age = now.date() - calendar.start(partition.period)
        if standing is not None or age >= IDEMPOTENCY_CARRY_OVER:
            return standing
        before = Partition(partition.department_id, calendar.previous(partition.period))
        return await self.store.bar(operation_id(before, *seed), now.isoformat())

    async def _commit(self, caller: Caller, grant: Grant, correlation_id: str) -> None:
        events = [self._created_event(caller, grant, correlation_id)]
        if grant.surcharge_micros:
            events.append(self._surcharge_event(caller, grant, correlation_id))
        try:
            budgets = await self.store.grant(grant, events)
        except PeriodNotOpen:
            await self.periods.open(grant.partition, grant.touched)
            try:
                budgets = await self.store.grant(grant, events)
            except PeriodNotOpen as lagging:
                raise Unavailable(UNREADABLE, retry_after_s=1) from lagging
        await self._note(grant.partition, budgets or ())

    async def _end(self, grant: Grant, actor: str, role: str, correlation_id: str) -> bool:
        now = self.clock.now().isoformat()
        event = AuditEvent(
            action="grant.ended",
            object_id=grant.grant_id,
            actor=actor,
            actor_role=role,
            outcome="success",
            occurred_at=now,
            correlation_id=correlation_id,
            reason="due" if actor == SYSTEM_ACTOR else "ended_early",
            details={"amount_micros": grant.amount_micros},
        )
        budgets = await self.store.end(grant, now, actor, event)
        await self._note(grant.partition, budgets or ())
        return budgets is not None

    async def _note(self, partition: Partition, budgets: Sequence[Budget]) -> None:
        if self.alerts is not None:
            await self.alerts.note(partition, budgets)

    async def _ends_at(self, order: GrantOrder, partition: Partition) -> str:
        now = self.clock.now()
        calendar = await self.calendars.of(partition.department_id)
        day = calendar.end(partition.period)
        period_end = datetime(day.year, day.month, day.day, tzinfo=UTC)
        ends_at = min(order.ends_at or period_end, period_end)
        if order.kind == "override":
            if order.ends_at is not None and order.ends_at - now > OVERRIDE_TIME_MAX:
                raise _bad_end("an override lasts 72 hours at most")
            ends_at = min(ends_at, now + OVERRIDE_TIME_MAX)
        if ends_at <= now:
            raise _bad_end("choose a time to come")
        return ends_at.isoformat()

    async def _scopes(self, caller: Caller, order: GrantOrder) -> tuple[tuple[Scope, ...], str]:
        """The named budgets, which all lie in one department the caller may look at."""
        permission = _permission_for(order)
        found: list[Scope] = []
        departments = set()
        for name in order.scopes:
            named = _SCOPE.fullmatch(name)
            if named is None:
                raise NotFound(NO_SUCH_SCOPE)
            if named["user"]:
                person = Principal(caller.tenant_id, named["user"], Role.STANDARD_USER)
                user = await self.directory.user(person)
                if user is None:
                    raise NotFound(NO_SUCH_SCOPE)
                department = await self._department(caller, user.department_id, permission)
                found.append(Scope("user", person.key))
            elif named["kind"] == "department":
                department = await self._department(caller, named["id"], permission)
                found.append(Scope("department", department))
            else:
                department = await self._department(caller, order.department_id, permission)
                kind = "project" if named["kind"] == "project" else "cost_centre"
                found.append(Scope(kind, named["id"]))  # type: ignore[arg-type]
            departments.add(department)
        _check_shape(found, departments, order)
        return tuple(found), departments.pop()

    async def _department(
        self, caller: Caller, department_id: str | None, permission: Permission
    ) -> str:
        return await department_within_reach(
            self.directory, caller, department_id, permission, NO_SUCH_SCOPE
        )

    def _check_may_grant(
        self, caller: Caller, order: GrantOrder, scopes: Sequence[Scope], department_id: str
    ) -> None:
        own = {caller.key, caller.principal.object_id}
        if order.requested_by in own or any(scope.scope_id == caller.key for scope in scopes):
            raise PolicyDenied("Nobody grants money to themselves.", code="self_grant")
        needs_admin = order.kind == "override" or any(s.kind == "department" for s in scopes)
        permission = _permission_for(order)
        if needs_admin and caller.reach(permission) < Reach.ORGANISATION:
            raise PolicyDenied("This needs an Org Admin.")
        if caller.reach(permission) < Reach.DEPARTMENT:
            raise PolicyDenied("Your role may not raise limits.")

    async def _check_department_covers(self, partition: Partition, grant: Grant) -> None:
        """A manager hands out what the department has; its own limit binds in any case."""
        scope = Scope("department", partition.department_id)
        budget = await self.ledger.budget(partition, scope)
        if budget is None:
            await self.periods.open(partition, [scope])
            budget = await self.ledger.budget(partition, scope)
        if budget is None:
            raise Unavailable(UNREADABLE, retry_after_s=1)
        if budget.available_micros < grant.amount_micros:
            raise Conflict(
                "The department's own budget does not cover this; ask an Org Admin to raise it.",
                code="department_does_not_cover",
                extra={
                    "scope": scope.name,
                    "needed_micros": grant.amount_micros,
                    "available_micros": budget.available_micros,
                },
            )

    async def _visible(self, caller: Caller, grant_id: str, permission: Permission) -> Grant:
        grant = await self.store.find(grant_id) if partition_of(grant_id) else None
        if grant is None:
            raise NotFound(NO_SUCH)
        owner = Ownership(grant.tenant_id, grant.partition.department_id, grant.granted_by)
        require(caller, permission, owner, "grant")
        return grant

    async def _end_denied(self, caller: Caller, grant: Grant, correlation_id: str) -> PolicyDenied:
        refusal = PolicyDenied("This needs an Org Admin.")
        await self._note_denial(caller, grant.partition, grant.grant_id, refusal, correlation_id)
        return refusal

    async def _note_denial(
        self,
        caller: Caller,
        partition: Partition,
        grant_id: str,
        refusal: PolicyDenied,
        correlation_id: str,
    ) -> None:
        event = AuditEvent(
            action=f"grant.denied.{self.clock.new_id()}",
            object_id=grant_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=refusal.problem_code,
        )
        await self.ledger.note_event(partition, event)

    def _created_event(self, caller: Caller, grant: Grant, correlation_id: str) -> AuditEvent:
        return AuditEvent(
            action=f"grant.{grant.kind}",
            object_id=grant.grant_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=grant.created_at,
            correlation_id=correlation_id,
            details={
                "scopes": " ".join(scope.name for scope in grant.scopes),
                "amount_micros": grant.amount_micros,
                "surcharge_micros": grant.surcharge_micros,
                "ends_at": grant.ends_at,
                "requested_by": grant.requested_by,
                "reason": grant.reason,
            },
        )

    def _surcharge_event(self, caller: Caller, grant: Grant, correlation_id: str) -> AuditEvent:
        created = self._created_event(caller, grant, correlation_id)
        return replace(
            created,
            action="adjustment.booked",
            details={"kind": "surcharge", "amount_micros": grant.surcharge_micros},
        )


def _check_shape(scopes: Sequence[Scope], departments: set[str], order: GrantOrder) -> None:
    """One department, each budget once; a surcharge is one entry with one payer of each kind."""
    kinds = [scope.kind for scope in scopes]
    problem = None
    if not 1 <= len(scopes) <= GRANT_SCOPES_MAX or len(set(scopes)) != len(scopes):
        problem = f"name 1 to {GRANT_SCOPES_MAX} different budgets"
    elif len(departments) > 1:
        problem = "name budgets of one department"
    elif order.surcharge_percent and len(set(kinds)) != len(kinds):
        problem = "with a surcharge, name at most one budget of each kind"
    if problem:
        raise Invalid("The budgets do not go together.", faults=[FieldFault("/scopes", problem)])


def _permission_for(order: GrantOrder) -> Permission:
    override = order.kind == "override"
    return Permission.OVERRIDES_CREATE if override else Permission.GRANTS_WRITE


def _require_manager(caller: Caller) -> None:
    if caller.reach(Permission.GRANTS_READ) < Reach.DEPARTMENT:
        raise PolicyDenied("Only managers and administrators see grants.")


def _bad_end(hint: str) -> Invalid:
    return Invalid("The end does not fit.", faults=[FieldFault("/ends_at", hint)])


def _hash_of(order: GrantOrder) -> str:
    ends_at = order.ends_at.isoformat() if order.ends_at else None
    return request_hash(
        order.kind,
        list(order.scopes),
        order.amount_micros,
        order.reason,
        ends_at,
        order.department_id,
        order.requested_by,
        order.surcharge_percent,
    )
