"""Copies audit events from the ledger's outbox into the append-only log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.ports import AuditLog, Records

PAGE_MAX = 100  # events read at a time
PAGES_PER_RUN_MAX = 200  # one run ends well before the next is due
COPIES_AT_ONCE = 16


@dataclass(frozen=True)
class AuditRelay:
    """Append, then drop: a crash between the two copies the event again, which changes nothing."""

    records: Records
    audit: AuditLog

    async def run(self, partitions: Sequence[Partition]) -> int:
        """Copy what is waiting; returns how many events were copied."""
        copied = 0
        for partition in partitions:
            for _ in range(PAGES_PER_RUN_MAX):
                waiting = await self.records.outbox(partition, PAGE_MAX)
                for start in range(0, len(waiting), COPIES_AT_ONCE):
                    group = waiting[start : start + COPIES_AT_ONCE]
                    await asyncio.gather(*(self._copy(partition, item) for item in group))
                copied += len(waiting)
                if len(waiting) < PAGE_MAX:
                    break
        return copied

    async def _copy(self, partition: Partition, item: Document) -> None:
        await self.audit.append(partition, item["event"])
        await self.records.drop_outbox(item)
