"""Every minute: end grants whose time has come, and revive approvals and deferred work."""

import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain.approvals import read_approval
from shared.domain.ids import Partition
from shared.domain.instances import approval_instance_id, deferred_instance_id
from shared.domain.parked_work import read_move
from shared.ports import Clock, Orchestrations
from shared.ports.parked_work import ParkedWork
from shared.services.approvals import Approvals
from shared.services.calendars import Calendars
from shared.services.grants import Grants
from shared.services.overage import Overage

logger = logging.getLogger("eig.overage_sweep")


@dataclass
class OverageReport:
    """What one run did."""

    grants_ended: int = 0
    watches_started: int = 0
    landed: int = 0
    errors: int = 0


@dataclass(frozen=True)
class OverageSweep:
    """A timer's work; every step is safe to repeat and to run beside itself."""

    store: ParkedWork
    grants: Grants
    approvals: Approvals
    overage: Overage
    calendars: Calendars
    grace: timedelta  # younger waits are left to whoever has just begun them
    clock: Clock

    async def run(self, orchestrations: Orchestrations) -> OverageReport:
        """Look once at everything that is due in every open period."""
        report = OverageReport()
        for partition in await self.calendars.open_partitions():
            await self._guarded(report, self._end_grants(partition, report))
            await self._revive_all(partition, orchestrations, report)
        return report

    async def _revive_all(
        self, partition: Partition, orchestrations: Orchestrations, report: OverageReport
    ) -> None:
        now, after = self.clock.now().isoformat(), ""
        while page := await self.store.waiting(partition, now, after):
            for document in page:
                await self._guarded(report, self._revive(document, orchestrations, report))
            after = str(page[-1]["id"])

    async def _guarded(self, report: OverageReport, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except Exception:  # one bad document must not keep the others from their end
            report.errors += 1
            logger.exception("overage sweep step failed")

    async def _end_grants(self, partition: Partition, report: OverageReport) -> None:
        report.grants_ended += await self.grants.end_due(partition)

    async def _revive(
        self, document: Mapping[str, Any], orchestrations: Orchestrations, report: OverageReport
    ) -> None:
        since = datetime.fromisoformat(document["created_at"])
        if self.clock.now() - since < self.grace:
            return
        if document["type"] == "moved_hold":
            await self.overage.land(read_move(document), orchestrations)
            report.landed += 1
        elif document["type"] == "approval":
            approval = read_approval(document)
            if not await orchestrations.is_running(approval_instance_id(approval.operation_id)):
                await self.approvals.watch(approval, orchestrations)
                report.watches_started += 1
        else:
            await self._await_period(document["operation_id"], orchestrations, report)

    async def _await_period(
        self, operation_id: str, orchestrations: Orchestrations, report: OverageReport
    ) -> None:
        if await orchestrations.is_running(deferred_instance_id(operation_id)):
            return
        work = await self.store.parked(operation_id)
        if work is not None and work.record["status"] == "deferred":
            await self.overage.start_deferred(work, orchestrations)
            report.watches_started += 1
