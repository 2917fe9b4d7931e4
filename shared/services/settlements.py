"""Books how generations ended: each hold's rows exactly once, many rows in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.attempts import AttemptReport
from shared.domain.ids import operation_of
from shared.domain.ledger import resolve_groups
from shared.domain.settlements import resolution_for, unknown_event, unknown_record
from shared.errors import InvariantBroken
from shared.ports import Clock, Ledger
from shared.services.work import WorkItems


@dataclass(frozen=True)
class Settlements:
    """Turns attempt reports into ledger entries."""

    ledger: Ledger
    work: WorkItems
    clock: Clock

    async def settle(self, operation_id: str, reports: Sequence[AttemptReport]) -> None:
        """Settle final reports and note unknown ones; repeating it changes nothing (I5)."""
        now = self.clock.now().isoformat()
        resolutions = []
        for report in reports:
            if operation_of(report.generation_id) != operation_id:
                raise InvariantBroken("A report belongs to another hold.")
            item = await self.work.find(report.generation_id)
            if report.ending == "unknown":
                await self.ledger.note_unknown(
                    unknown_record(item, report, now), unknown_event(item, report, now)
                )
            else:
                salt = self.clock.new_id()
                resolutions.append(resolution_for(item, report, now, salt))
        for group in resolve_groups(resolutions):
            await self.ledger.resolve(operation_id, group)
