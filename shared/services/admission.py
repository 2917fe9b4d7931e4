"""The gate to spending: derive the operation id, reserve, open a period when its time has come."""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.audit_events import AuditEvent
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Reservation, partition_for
from shared.errors import BudgetExceeded, PeriodNotOpen
from shared.ports import Clock, Ledger
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars

IDEMPOTENCY_CARRY_OVER = timedelta(days=1)  # a key from the last day of the period before


@dataclass(frozen=True)
class Admission:
    """Reserves money for one operation; a budget that refuses leaves an audit event."""

    ledger: Ledger
    calendars: Calendars
    periods: BudgetPeriods
    clock: Clock

    async def operation_id(self, caller: Caller, kind: str, key: str | None) -> str:
        """The id that this caller's idempotency key stands for; a fresh one without a key."""
        now = self.clock.now()
        calendar = await self.calendars.of(caller.department_id)
        period = calendar.period_at(now)
        seed = (caller.tenant_id, caller.principal.object_id, kind, key or self.clock.new_id())
        if key and now.date() - calendar.start(period) < IDEMPOTENCY_CARRY_OVER:
            before = Partition(caller.department_id, calendar.previous(period))
            earlier = operation_id(before, *seed)
            if await self.ledger.hold(earlier) is not None:
                return earlier
        return operation_id(Partition(caller.department_id, period), *seed)

    async def reserve(self, caller: Caller, reservation: Reservation) -> bool:
        """Set the money aside; False when the same request did so before."""
        try:
            try:
                budgets = await self.ledger.reserve(reservation)
            except PeriodNotOpen:
                hold = reservation.hold
                await self.periods.open(partition_for(hold.operation_id), hold.scopes)
                budgets = await self.ledger.reserve(reservation)
        except BudgetExceeded as refusal:
            await self._note_denial(caller, reservation, refusal)
            raise
        return budgets is not None

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
