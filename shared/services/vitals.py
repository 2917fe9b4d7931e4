"""Reads the platform's vital figures from the stores themselves, so that no counter can drift."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain import vitals
from shared.domain.budgets import Scope
from shared.domain.ids import Partition
from shared.domain.vitals import Reading
from shared.ports import EVENTS_PER_APPEND_MAX, Clock, Ledger, Records

logger = logging.getLogger("eig.vitals")

Outbox = tuple[Records, Sequence[Partition]]  # a container that has one, and where in it


@dataclass(frozen=True)
class Vitals:
    """A timer's work: reads only."""

    ledger: Ledger
    records: Records
    clock: Clock

    async def measure(
        self, open_partitions: Sequence[Partition], outboxes: Sequence[Outbox]
    ) -> list[Reading]:
        """Every reading of this moment; a partition that cannot be read is left out."""
        readings: list[Reading] = []
        for partition in open_partitions:
            try:
                readings += await self._of_department(partition)
            except Exception:  # the figures of the other departments are still wanted
                logger.exception("a department's figures were not read")
        oldest_s = 0
        for records, partition in ((each, part) for each, parts in outboxes for part in parts):
            try:
                oldest_s = max(oldest_s, await self._waiting_s(records, partition))
            except Exception:
                logger.exception("an outbox was not read")
        return [*readings, Reading(vitals.AUDIT_LAG, oldest_s)]

    async def _of_department(self, partition: Partition) -> list[Reading]:
        named = {"department": partition.department_id, "period": partition.period}
        now = self.clock.now().isoformat()
        holds = await self.records.open_holds(partition, now)
        unknown = await self.records.unknown_generations(partition, now)
        ages_s = [self._age_s(hold.created_at) for hold in holds]
        readings = [
            Reading(vitals.HOLDS_OPEN, len(holds), named),
            Reading(vitals.HOLDS_OLDEST_AGE, max(ages_s, default=0), named),
            Reading(vitals.OUTCOMES_UNKNOWN, len(unknown), named),
        ]
        scope = Scope("department", partition.department_id)
        budget = await self.ledger.budget(partition, scope)
        if budget is None:
            return readings
        return [
            *readings,
            Reading(vitals.BUDGET_SPENT, budget.spent_micros, named),
            Reading(vitals.BUDGET_RESERVED, budget.reserved_micros, named),
            Reading(vitals.BUDGET_CEILING, budget.ceiling_micros, named),
        ]

    async def _waiting_s(self, records: Records, partition: Partition) -> int:
        """The age of the oldest event in an outbox, as far as one page shows it."""
        waiting = await records.outbox(partition, EVENTS_PER_APPEND_MAX)
        return max((self._age_s(item["event"]["occurred_at"]) for item in waiting), default=0)

    def _age_s(self, since: str) -> int:
        return max(0, int((self.clock.now() - datetime.fromisoformat(since)).total_seconds()))
