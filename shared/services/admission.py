"""The gate to spending: derive the operation id, reserve, open a period when its time has come."""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Scope
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Principal
from shared.domain.ids import Partition, operation_id, period_of, previous_period
from shared.domain.ledger import Reservation, partition_for
from shared.errors import BudgetExceeded, PeriodNotOpen, PolicyDenied
from shared.ports import Clock, Directory, Ledger

IDEMPOTENCY_CARRY_OVER = timedelta(hours=24)  # a key from before midnight on the last of a month


@dataclass(frozen=True)
class Admission:
    """Reserves money for one operation; a budget that refuses leaves an audit event."""

    ledger: Ledger
    directory: Directory
    clock: Clock

    async def operation_id(self, caller: Caller, kind: str, key: str | None) -> str:
        """The id that this caller's idempotency key stands for; a fresh one without a key."""
        now = self.clock.now()
        partition = Partition(caller.department_id, period_of(now))
        seed = (caller.tenant_id, caller.principal.object_id, kind, key or self.clock.new_id())
        month_start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if key and now - month_start < IDEMPOTENCY_CARRY_OVER:
            before = Partition(caller.department_id, previous_period(partition.period))
            earlier = operation_id(before, *seed)
            if await self.ledger.hold(earlier) is not None:
                return earlier
        return operation_id(partition, *seed)

    async def reserve(self, caller: Caller, reservation: Reservation) -> bool:
        """Set the money aside; False when the same request did so before."""
        try:
            try:
                return await self.ledger.reserve(reservation)
            except PeriodNotOpen:
                await self._open_period(caller, reservation)
                return await self.ledger.reserve(reservation)
        except BudgetExceeded as refusal:
            await self._note_denial(caller, reservation, refusal)
            raise

    async def limits(self, principal: Principal, department_id: str) -> dict[Scope, int]:
        """The monthly limit of each scope that this person is charged to."""
        user = await self.directory.user(principal)
        department_limit = await self.directory.department_limit_micros(
            principal.tenant_id, department_id
        )
        if user is None or department_limit is None:
            raise PolicyDenied("Your department has no budget yet.", code="no_budget")
        return {
            Scope("department", department_id): department_limit,
            Scope("user", principal.key): user.monthly_limit_micros,
        }

    async def _open_period(self, caller: Caller, reservation: Reservation) -> None:
        limits = await self.limits(caller.principal, caller.department_id)
        await self.ledger.open_period(partition_for(reservation.hold.operation_id), limits)

    async def _note_denial(
        self, caller: Caller, reservation: Reservation, refusal: BudgetExceeded
    ) -> None:
        hold = reservation.hold
        event = AuditEvent(
            action=f"admission.denied.{self.clock.new_id()}",
            object_id=hold.operation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=reservation.event.correlation_id,
            reason=refusal.problem_code,
            details={
                "scope": refusal.extra.get("scope"),
                "needed_micros": hold.amount_micros,
                "available_micros": refusal.extra.get("available_micros"),
            },
        )
        await self.ledger.note_event(partition_for(hold.operation_id), event)
