"""Brings every hold to its end: restarts lost work, resolves unknown outcomes (I6)."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain.attempts import AttemptReport
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.ledger import Document, Hold
from shared.domain.settlements import expired_report
from shared.domain.work import WorkItem, read_work_item
from shared.ports import Clock, Ledger, Orchestrations, Records
from shared.services.attempts import Attempts
from shared.services.batch_results import BatchResults
from shared.services.budgets import Budgets
from shared.services.calendars import Calendars
from shared.services.settlements import Settlements

LOOK_TIME_S = 15.0  # for one unknown outcome
LAST_LOOK_TIME_S = 120.0  # for one past its horizon: a file of results may have gigabytes
WAITING_TIME = timedelta(hours=24)  # rows with a deadline may make no progress for so long
RUN_TIME = timedelta(minutes=4)  # to begin looks in: with the last one below functionTimeout

logger = logging.getLogger("eig.ledger_sweep")


@dataclass(frozen=True)
class SweepTimes:
    """When the sweep steps in; each is an age of the hold."""

    grace: timedelta  # younger holds are left to their own orchestration
    restart_until: timedelta  # holds without progress for longer are released, not started again
    unknown_horizon: timedelta  # unknown outcomes are booked at the maximum after this


@dataclass
class SweepReport:
    """What one run did."""

    restarted: int = 0
    released: int = 0
    resolved: int = 0
    booked_at_maximum: int = 0
    finished: int = 0
    errors: int = 0


@dataclass(frozen=True)
class LedgerSweep:
    """A timer's work; every step is safe to repeat and to run beside itself."""

    ledger: Ledger
    records: Records
    calendars: Calendars
    budgets: Budgets
    attempts: Attempts
    settlements: Settlements
    results: BatchResults
    times: SweepTimes
    clock: Clock

    async def run(self, orchestrations: Orchestrations) -> SweepReport:
        """Look at every open hold and every unknown outcome once."""
        report = SweepReport()
        now = self.clock.now()
        partitions = await self.calendars.open_partitions()
        for partition in partitions:
            await self._guarded(report, self._sweep(partition, now, orchestrations, report))
        for department_id in sorted({partition.department_id for partition in partitions}):
            await self._guarded(report, self.budgets.apply_pending(department_id))
        return report

    async def _sweep(
        self,
        partition: Partition,
        now: datetime,
        orchestrations: Orchestrations,
        report: SweepReport,
    ) -> None:
        before = (now - self.times.grace).isoformat()
        for hold in await self.records.open_holds(partition, before):
            await self._guarded(report, self._revive(hold, now, orchestrations, report))
        for record in await self.records.unknown_generations(partition, before):
            if self.clock.now() - now < RUN_TIME:
                await self._guarded(report, self._resolve(record, now, report))
        for batch in await self.records.unfinished_batches(partition, before):
            await self._guarded(report, self._finish(batch, orchestrations, report))

    async def _guarded(self, report: SweepReport, step: Coroutine[Any, Any, object]) -> None:
        try:
            await step
        except Exception:  # one bad document must not keep the others from their end
            report.errors += 1
            logger.exception("sweep step failed")

    async def _revive(
        self, hold: Hold, now: datetime, orchestrations: Orchestrations, report: SweepReport
    ) -> None:
        if await orchestrations.is_running(hold.operation_id):
            return
        batch = await self.records.batch(hold.operation_id)
        moved_at = (batch and batch["progress_at"]) or hold.created_at
        patience = self.times.restart_until
        if batch is not None and batch.get("deadline_rows"):
            patience += WAITING_TIME
        expired = now - datetime.fromisoformat(moved_at) > patience
        if batch is not None:
            if batch["status"] != "running":
                return
            if expired:
                await self.records.request_cancel(hold.operation_id, _expiry(hold, now))
            deadline_rows = batch.get("deadline_rows", 0)
            await orchestrations.start_batch(hold.operation_id, batch["rows"], deadline_rows)
            report.restarted += 1
            return
        record = await self.records.generation(hold.operation_id)
        if record is None or record["status"] != "queued":
            return
        if not expired:
            await orchestrations.start_generation(hold.operation_id)
            report.restarted += 1
            return
        stopped = await self._stopped(read_work_item(record), LOOK_TIME_S)
        await self.settlements.settle(hold.operation_id, [stopped])
        report.released += 1

    async def _stopped(self, item: WorkItem, look_time_s: float) -> AttemptReport:
        """How an outcome stands at a look; unknown if its evidence cannot be read, or not in time.

        So a horizon comes for evidence that is gone, too (I6).
        """
        try:
            async with asyncio.timeout(look_time_s):  # it does not wait for a job that runs
                return await self.attempts.stop(item, "sweeper")
        except Exception:
            logger.warning("the evidence of an outcome could not be read", exc_info=True)
            return await self.attempts.stop(item, "sweeper", look=False)

    async def _resolve(self, record: Document, now: datetime, report: SweepReport) -> None:
        item = read_work_item(record)
        age = now - datetime.fromisoformat(record["unknown_since"])
        is_last = age > self.times.unknown_horizon
        found = await self._stopped(item, LAST_LOOK_TIME_S if is_last else LOOK_TIME_S)
        if found.ending == "unknown":
            if not is_last:
                return
            found = expired_report(item, found)
            report.booked_at_maximum += 1
        await self.settlements.settle(item.operation_id, [found])
        report.resolved += 1

    async def _finish(
        self, batch: Document, orchestrations: Orchestrations, report: SweepReport
    ) -> None:
        """Close a batch whose last row ended after its orchestration did."""
        counts = batch["counts"]
        ended = sum(counts.values()) - counts["indeterminate"]
        batch_id = batch["batch_id"]
        if ended == batch["valid_rows"] and not await orchestrations.is_running(batch_id):
            await self.results.finish(batch_id)
            report.finished += 1


def _expiry(hold: Hold, now: datetime) -> AuditEvent:
    return AuditEvent(
        action="batch.expired",
        object_id=hold.operation_id,
        actor="system:sweeper",
        actor_role="system",
        outcome="failure",
        occurred_at=now.isoformat(),
        correlation_id=hold.operation_id,
        reason="restart_window_passed",
    )
