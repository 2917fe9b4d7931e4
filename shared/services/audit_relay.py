"""Copies audit events from the ledger's outbox into the append-only log."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.ids import Partition
from shared.ports import EVENTS_PER_APPEND_MAX, AuditLog, Records

logger = logging.getLogger("eig.audit_relay")

PAGES_PER_RUN_MAX = 200  # of one partition: one run ends well before the next is due


@dataclass(frozen=True)
class AuditRelay:
    """Append, then drop: a crash between the two copies the events again, which changes nothing."""

    records: Records
    audit: AuditLog

    async def run(self, partitions: Sequence[Partition]) -> int:
        """Copy what is waiting; returns how many events were copied."""
        copied = 0
        for partition in partitions:
            try:
                copied += await self._copy(partition)
            except Exception:  # one bad document must not hold up the other departments
                logger.exception("audit events of a partition not copied")
        return copied

    async def _copy(self, partition: Partition) -> int:
        copied = 0
        for _ in range(PAGES_PER_RUN_MAX):
            waiting = await self.records.outbox(partition, EVENTS_PER_APPEND_MAX)
            if not waiting:
                break
            await self.audit.append(partition, [item["event"] for item in waiting])
            await self.records.drop_outbox(partition, waiting)
            copied += len(waiting)
        return copied
