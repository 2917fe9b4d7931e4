"""Deferred work: when its period starts it is priced anew, reserved and started, or dropped."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.audit_events import AuditEvent
from shared.domain.parked_work import Parked, ended_record
from shared.errors import PeriodNotOpen, Rejected, Unavailable
from shared.ports import Clock, Records
from shared.ports.parked_work import ParkedWork
from shared.services.alerts import Alerts
from shared.services.approvals import Ending
from shared.services.budget_periods import BudgetPeriods
from shared.services.departures import Departures
from shared.services.repricing import Repricing

ADMITTED = "admitted"

_STARTED = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Deferrals:
    """Brings work that waited for a period to its start, or to an end without a charge."""

    store: ParkedWork
    records: Records
    repricing: Repricing
    periods: BudgetPeriods
    clock: Clock
    alerts: Alerts | None = None  # told of every reservation
    departures: Departures | None = None  # asked before it; nobody is in proofs of money alone

    async def release(self, operation_id: str) -> Ending:
        """Price anew and reserve, once; a budget that refuses again ends it, and costs nothing."""
        work = await self.store.parked(operation_id)
        if work is None or work.record["status"] != "deferred":
            return await self._ending(operation_id)
        now = self.clock.now()
        if now < datetime.fromisoformat(work.record["starts_at"]):
            raise Unavailable("Its period has not started yet.", retry_after_s=1)
        try:
            held = await self.departures.check(work) if self.departures else None
            priced, changes = await self.repricing.priced(work, now)
            await self._reserve(priced, changes | {"starts_at": None}, now.isoformat(), held)
        except PeriodNotOpen as unopened:
            raise Unavailable("The period could not be opened yet.") from unopened
        except Rejected as refusal:
            await self._drop(work, refusal)
        return await self._ending(operation_id)

    async def _reserve(
        self, work: Parked, changes: Mapping[str, Any], now: str, policy_version: str | None
    ) -> None:
        record = work.record
        event = AuditEvent(
            action=f"{work.kind}.admitted",
            object_id=work.operation_id,
            actor=record["user_key"],
            actor_role="deferred",
            outcome="success",
            occurred_at=now,
            correlation_id=record["correlation_id"],
            details={
                "reserved_micros": work.hold.amount_micros,
                "price_version": self._price_version(now),
                "policy_version": policy_version,
            },
        )
        try:
            budgets = await self.store.release(work, changes, now, event)
        except PeriodNotOpen:
            await self.periods.open(work.partition, work.hold.scopes)
            budgets = await self.store.release(work, changes, now, event)
        if budgets is not None and self.alerts is not None:
            await self.alerts.note(work.partition, budgets)

    def _price_version(self, now: str) -> str:
        return self.repricing.catalogues.at(datetime.fromisoformat(now)).version

    async def _drop(self, work: Parked, refusal: Rejected) -> None:
        now = self.clock.now().isoformat()
        event = AuditEvent(
            action=f"{work.kind}.dropped",
            object_id=work.operation_id,
            actor="system:overage",
            actor_role="system",
            outcome="denied",
            occurred_at=now,
            correlation_id=work.record["correlation_id"],
            reason=refusal.problem_code,
        )
        record = ended_record(work.kind, refusal.problem_code, refusal.detail, now)
        await self.store.drop(work, record, event)

    async def _ending(self, operation_id: str) -> Ending:
        """How the work stands now: another delivery may have brought it further."""
        batch = await self.records.batch(operation_id)
        if batch is not None:
            status = ADMITTED if batch["status"] in _STARTED else str(batch["status"])
            deadline_rows = int(batch.get("deadline_rows", 0))
            return Ending(status, "batch", int(batch["rows"]), deadline_rows)
        record = await self.records.generation(operation_id)
        if record is None:
            raise Unavailable("The deferred work could not be read yet.")
        status = ADMITTED if record["status"] in _STARTED else str(record["status"])
        return Ending(status, "generation", 1)
