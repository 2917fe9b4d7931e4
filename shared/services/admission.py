"""The gate to spending: derive the operation id, reserve, open a period when its time has come."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time

from shared.domain.audit_events import AuditEvent
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Reservation, partition_for
from shared.domain.periods import IDEMPOTENCY_CARRY_OVER
from shared.domain.rate_limits import images_of
from shared.errors import (
    BudgetExceeded,
    Invalid,
    PeriodNotOpen,
    PolicyDenied,
    Rejected,
)
from shared.ports import Clock, Ledger
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.freezes import Freezes
from shared.services.rate_limits import RateLimits


@dataclass(frozen=True)
class Admission:
    """Reserves money for one operation; a budget that refuses leaves an audit event."""

    ledger: Ledger
    calendars: Calendars
    periods: BudgetPeriods
    clock: Clock
    alerts: Alerts | None = None  # told of every reservation; nobody is in proofs of money alone
    freezes: Freezes | None = None  # asked before every reservation; nobody is in such proofs
    rate_limits: RateLimits | None = None  # counts every reservation; nobody does in such proofs

    async def operation_id(self, caller: Caller, kind: str, key: str | None) -> str:
        """The id that this caller's idempotency key stands for; a fresh one without a key.

        What was asked for under the key where it may have been before, in the period before or in
        a former department, is found there, or can no longer be admitted there.
        """
        now = self.clock.now()
        seed = (caller.tenant_id, caller.principal.object_id, kind, key or self.clock.new_id())
        present, *earlier = await self._partitions(caller, caller.left if key else (), now)
        for partition in earlier if key else ():
            name = operation_id(partition, *seed)
            if not await self.ledger.bar(name, now.isoformat()):
                return name
        return operation_id(present, *seed)

    async def _partitions(
        self, caller: Caller, former: Iterable[str], now: datetime
    ) -> list[Partition]:
        """Where a key of this caller may stand: first the present place, then earlier ones."""
        found = []
        for department_id in (caller.department_id, *former):
            calendar = await self.calendars.of(department_id)
            period = calendar.period_at(now)
            start = datetime.combine(calendar.start(period), time(), UTC)
            left = caller.left.get(department_id)
            if left is None or datetime.fromisoformat(left) >= start:
                found.append(Partition(department_id, period))
            if now - start < IDEMPOTENCY_CARRY_OVER:
                found.append(Partition(department_id, calendar.previous(period)))
        return found

    async def reserve(
        self, caller: Caller, reservation: Reservation, *, quietly: bool = False
    ) -> bool:
        """Set the money aside; False when the same request did so before.

        With `quietly`, a budget that refuses is no denial yet: the caller of this method may try
        less, or ask somebody, and notes the denial if that comes to nothing.
        """
        frozen = await self.freezes.refusal(reservation) if self.freezes else None
        if frozen is not None:
            await self.note_denial(caller, reservation, frozen)
            raise frozen
        if self.rate_limits is None:
            return await self._reserved(caller, reservation, quietly=quietly)
        hold = reservation.hold
        taken = await self.rate_limits.take(
            caller,
            images_of(reservation.record),
            hold.amount_micros,
            hold.operation_id,
            reservation.event.correlation_id,
        )
        try:
            reserved = await self._reserved(caller, reservation, quietly=quietly)
        except Rejected:  # after any other end the money may be set aside, for all we know
            await self.rate_limits.give_back(taken)
            raise
        if not reserved:
            await self.rate_limits.give_back(taken)
        return reserved

    async def _reserved(self, caller: Caller, reservation: Reservation, *, quietly: bool) -> bool:
        try:
            try:
                budgets = await self.ledger.reserve(reservation)
            except PeriodNotOpen:
                hold = reservation.hold
                await self.periods.open(partition_for(hold.operation_id), hold.scopes)
                budgets = await self.ledger.reserve(reservation)
        except BudgetExceeded as refusal:
            if not quietly:
                await self.note_denial(caller, reservation, refusal)
            raise
        except (PolicyDenied, Invalid) as refusal:  # a scope that has no budget at all
            await self.note_denial(caller, reservation, refusal)
            raise
        if budgets is not None and self.alerts is not None:
            await self.alerts.note(partition_for(reservation.hold.operation_id), budgets)
        return budgets is not None

    async def note_denial(
        self, caller: Caller, reservation: Reservation, refusal: Rejected
    ) -> None:
        """Record that nothing was reserved, and why."""
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
                "frozen": refusal.extra.get("target"),
                "needed_micros": hold.amount_micros,
                "available_micros": refusal.extra.get("available_micros"),
            },
        )
        await self.ledger.note_event(partition_for(hold.operation_id), event)
