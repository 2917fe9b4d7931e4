"""The organisation's budget as administrators see, change and give it out."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from shared.domain.allocations import Transfer, TransferKind
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.budgets import Budget, Scope
from shared.domain.generations import request_hash
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.ids import Partition
from shared.domain.organisation_policies import (
    OrganisationPolicy,
    cap_partition,
    nests,
    organisation_policies,
    organisation_scope,
    rule_of,
)
from shared.domain.organisation_views import (
    AllocationList,
    AllocationView,
    OrganisationBudgetView,
    allocation_view,
    organisation_budget_view,
)
from shared.domain.periods import IDEMPOTENCY_CARRY_OVER, Calendar, PeriodKind, PeriodRule, month_of
from shared.errors import (
    AllocationTooSmall,
    BudgetExceeded,
    Conflict,
    FieldFault,
    Invalid,
    NotFound,
    PolicyDenied,
    PreconditionFailed,
)
from shared.services.allocations import Allocations
from shared.services.budget_changes import differences

NAMED_MAX = 20  # departments named in one refusal
NO_SUCH = "The organisation has no budget yet."


@dataclass(frozen=True)
class OrganisationChange:
    """What the policy shall say; `period` None leaves the calendar as it is."""

    limit_micros: int
    period: PeriodKind | None = None
    fiscal_start_month: int = 1


@dataclass(frozen=True)
class AllocationOrder:
    """What shall be moved; a department that is None is the organisation itself."""

    source: str | None
    target: str | None
    amount_micros: int
    reason: str

    @property
    def kind(self) -> TransferKind:
        if self.source is None:
            return "allocate"
        return "return" if self.target is None else "move"


@dataclass(frozen=True)
class OrganisationBudgets:
    """For Org Admins only; whoever else tries to change something leaves an audit event."""

    allocations: Allocations

    async def get(self, caller: Caller, month: str | None) -> OrganisationBudgetView:
        """The budget in the period that contains a month 'yyyymm' (default: now)."""
        _require_admin(caller, Permission.ALLOCATIONS_READ)
        return await self._shown(await self._policy(caller), month)

    async def put(
        self,
        caller: Caller,
        change: OrganisationChange,
        *,
        expected: int | None,
        correlation_id: str,
    ) -> OrganisationBudgetView:
        """Create or replace the policy; `expected` is the revision read, 0 none, None any."""
        await self._admit(caller, "budget.change_denied", correlation_id)
        moves = self.allocations
        standing = await moves.organisations.policy(caller.tenant_id)
        _check_expected(standing, expected)
        revised = OrganisationPolicy(
            tenant_id=caller.tenant_id,
            limit_micros=change.limit_micros,
            calendar=self._calendar(standing, change),
            revision=standing.revision + 1 if standing else 1,
        )
        await self._check_nests(revised)
        event = self._event(
            caller,
            f"budget.changed.{revised.revision}",
            organisation_scope(caller.tenant_id),
            correlation_id,
            details=differences(rule_of(standing) if standing else None, rule_of(revised)),
        )
        await moves.organisations.put(revised, event)
        await moves.follow(revised, caller.key, CLAIM_BY_ROLE[caller.role], correlation_id)
        return await self._shown(revised, None)

    async def allocate(
        self, caller: Caller, order: AllocationOrder, *, key: str | None, correlation_id: str
    ) -> AllocationView:
        """Move allocation now.

        Raises BudgetExceeded (the organisation has not so much left), AllocationTooSmall (the
        source cannot spare it) or Conflict (a department has not opened its period).
        """
        await self._admit(caller, "allocation.denied", correlation_id)
        policy = await self._policy(caller)
        transfer = await self._transfer(caller, policy, order, key, correlation_id)
        try:
            ended = await self.allocations.carry_out(await self.allocations.ask(policy, transfer))
        except BudgetExceeded as refusal:
            await self._deny(caller, "allocation.denied", correlation_id, refusal)
            raise
        await self._check_ended(ended)
        return allocation_view(ended)

    async def movements(
        self, caller: Caller, month: str | None, continuation: str | None, limit: int
    ) -> AllocationList:
        """Movements of the period that contains a month, by people and by the system."""
        _require_admin(caller, Permission.ALLOCATIONS_READ)
        policy = await self._policy(caller)
        period = policy.calendar.period_of_month(month or self._month())
        partition = cap_partition(caller.tenant_id, period)
        found, more = await self.allocations.books.transfers(partition, continuation, limit)
        return AllocationList(items=tuple(map(allocation_view, found)), continuation=more)

    async def _transfer(
        self,
        caller: Caller,
        policy: OrganisationPolicy,
        order: AllocationOrder,
        key: str | None,
        correlation_id: str,
    ) -> Transfer:
        now = self.allocations.clock.now()
        seed = [caller.tenant_id, caller.principal.object_id, "allocation"]
        text = "\x1f".join([*seed, key or self.allocations.clock.new_id()])
        transfer_id = hashlib.sha256(text.encode()).hexdigest()[:32]
        return Transfer(
            transfer_id=transfer_id,
            tenant_id=caller.tenant_id,
            period=await self._period(policy, transfer_id if key else None),
            kind=order.kind,
            amount_micros=order.amount_micros,
            source=await self._side(caller, order.source, "/from"),
            target=await self._side(caller, order.target, "/to"),
            reason=order.reason,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            correlation_id=correlation_id,
            request_hash=request_hash(asdict(order)),
            created_at=now.isoformat(),
        )

    async def _period(self, policy: OrganisationPolicy, transfer_id: str | None) -> str:
        """The present period, or the one before if this very transfer was asked for in it."""
        today = self.allocations.clock.now().date()
        calendar = policy.calendar
        period = calendar.period_at(today)
        if transfer_id and today - calendar.start(period) < IDEMPOTENCY_CARRY_OVER:
            before = calendar.previous(period)
            partition = cap_partition(policy.tenant_id, before)
            if await self.allocations.books.transfer(partition, transfer_id) is not None:
                return before
        return period

    async def _side(
        self, caller: Caller, department_id: str | None, field: str
    ) -> Partition | None:
        if department_id is None:
            return None
        if not await self.allocations.directory.has_department(caller.tenant_id, department_id):
            raise Invalid(
                "There is no such department.",
                code="unknown_department",
                faults=[FieldFault(field, "name a department of your organisation, or null")],
            )
        return await self.allocations.calendars.partition(department_id)

    async def _check_ended(self, ended: Transfer) -> None:
        """Tell the caller how a transfer ended that did not move anything to where it should."""
        if ended.status == "refused" and ended.source:
            budget = await self._budget(ended.source)
            raise AllocationTooSmall(
                "The department cannot spare so much: lower its limit first "
                "(PUT /budgets/department:{id}), or move less.",
                extra={
                    "allocation_id": ended.transfer_id,
                    "scope": f"department:{ended.source.department_id}",
                    "period": ended.source.period,
                    "needed_micros": ended.amount_micros,
                    "available_micros": _spare_micros(budget),
                },
            )
        if ended.status == "returned" and ended.target:
            raise Conflict(
                "The department has not opened its period under the cap yet; the organisation "
                "keeps the amount. Its budget opens with its first request.",
                code="department_not_open",
                extra={
                    "allocation_id": ended.transfer_id,
                    "scope": f"department:{ended.target.department_id}",
                    "period": ended.target.period,
                },
            )

    async def _policy(self, caller: Caller) -> OrganisationPolicy:
        policy = await self.allocations.organisations.policy(caller.tenant_id)
        if policy is None:
            raise NotFound(NO_SUCH)
        return policy

    async def _shown(self, policy: OrganisationPolicy, month: str | None) -> OrganisationBudgetView:
        period = policy.calendar.period_of_month(month or self._month())
        cap = await self.allocations.organisations.cap(cap_partition(policy.tenant_id, period))
        departments = await self._departments(policy.tenant_id)
        found = await asyncio.gather(*(self._share(each, month) for each in departments))
        budgets = [
            (department_id, budget)
            for department_id, budget in zip(departments, found, strict=True)
            if budget is not None
        ]
        return organisation_budget_view(policy, period, cap, budgets)

    async def _share(self, department_id: str, month: str | None) -> Budget | None:
        calendar = await self.allocations.calendars.of(department_id)
        period = calendar.period_of_month(month or self._month())
        return await self._budget(Partition(department_id, period))

    def _calendar(
        self, standing: OrganisationPolicy | None, change: OrganisationChange
    ) -> Calendar:
        if standing is None:
            return Calendar((PeriodRule(change.period or "month", change.fiscal_start_month),))
        last = standing.calendar.rules[-1]
        same = (last.kind, last.fiscal_start_month) == (change.period, change.fiscal_start_month)
        if change.period is None or same:
            return standing.calendar
        now = self.allocations.clock.now()
        return standing.calendar.changed(change.period, change.fiscal_start_month, now)

    async def _check_nests(self, policy: OrganisationPolicy) -> None:
        """Every end of the organisation's period must be an end of each department's."""
        crossing = [
            department_id
            for department_id in await self._departments(policy.tenant_id)
            if not nests(
                await self.allocations.calendars.of(department_id), policy.calendar, self._month()
            )
        ]
        if crossing:
            raise Invalid(
                "Some departments have periods that reach over an end of this one.",
                code="calendar_does_not_nest",
                faults=[FieldFault("/period", "as long as the departments' periods, or longer")],
                extra={"departments": crossing[:NAMED_MAX]},
            )

    async def _departments(self, tenant_id: str) -> list[str]:
        directory = self.allocations.directory
        known = await directory.departments()
        own = await asyncio.gather(*(directory.has_department(tenant_id, each) for each in known))
        return [each for each, is_own in zip(known, own, strict=True) if is_own]

    async def _budget(self, side: Partition) -> Budget | None:
        scope = Scope("department", side.department_id)
        return await self.allocations.ledger.budget(side, scope)

    async def _admit(self, caller: Caller, action: str, correlation_id: str) -> None:
        try:
            _require_admin(caller, Permission.ALLOCATIONS_WRITE)
        except PolicyDenied as refusal:
            await self._deny(caller, action, correlation_id, refusal)
            raise

    async def _deny(
        self,
        caller: Caller,
        action: str,
        correlation_id: str,
        refusal: PolicyDenied | BudgetExceeded,
    ) -> None:
        names = ("period", "needed_micros", "available_micros")
        event = self._event(
            caller,
            f"{action}.{self.allocations.clock.new_id()}",
            organisation_scope(caller.tenant_id),
            correlation_id,
            outcome="denied",
            reason=refusal.problem_code,
            details={name: refusal.extra[name] for name in names if name in refusal.extra},
        )
        partition = organisation_policies(caller.tenant_id)
        await self.allocations.ledger.note_event(partition, event)

    def _event(
        self,
        caller: Caller,
        action: str,
        object_id: str,
        correlation_id: str,
        *,
        outcome: Outcome = "success",
        reason: str | None = None,
        details: Mapping[str, str | int | bool | None],
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=object_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome=outcome,
            occurred_at=self.allocations.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=reason,
            details=details,
        )

    def _month(self) -> str:
        return month_of(self.allocations.clock.now())


def _require_admin(caller: Caller, permission: Permission) -> None:
    if caller.reach(permission) < Reach.ORGANISATION:
        raise PolicyDenied("Only administrators of the organisation may do this.")


def _check_expected(standing: OrganisationPolicy | None, expected: int | None) -> None:
    if expected == 0 and standing is not None:
        raise PreconditionFailed("It exists already; send If-Match to change it.")
    if expected != 0 and standing is None:
        raise NotFound(NO_SUCH)
    if expected and standing is not None and standing.revision != expected:
        raise PreconditionFailed("It was changed since you read it; read it again.")


def _spare_micros(budget: Budget | None) -> int:
    if budget is None or budget.allocated_micros is None:
        return 0
    return max(0, budget.allocated_micros - max(budget.ceiling_micros, budget.committed_micros))
