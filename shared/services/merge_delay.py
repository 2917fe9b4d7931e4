"""How long the oldest event has waited for a checkpoint that the witness has cosigned."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain import vitals
from shared.domain.log_tiles import TILE_WIDTH
from shared.domain.sequencing import LogState, read_signed_state, read_state
from shared.domain.signed_notes import read_checkpoint, read_note
from shared.domain.vitals import Reading
from shared.ports import Clock
from shared.ports.audit_log import AuditFeed, LogFiles, Registers
from shared.services.audit_sequencer import STATE
from shared.services.audit_witness import WITNESSED, cosigned_note
from shared.services.log_proofs import LogProofs


@dataclass(frozen=True)
class MergeDelay:
    """Looks where the next event of the log stands: behind the witness, the sequencer, the feed.

    It is a figure for operators and believes what it reads; who checks the log is the witness.
    """

    feed: AuditFeed
    files: LogFiles
    registers: Registers
    witnessed: Registers
    clock: Clock

    async def reading(self) -> Reading:
        """The delay of this moment, 0 if nothing waits."""
        happened = _moments(await self._waiting())
        since = min(happened, default=None)
        age_s = (self.clock.now() - since).total_seconds() if since else 0
        return Reading(vitals.AUDIT_MERGE_DELAY, max(0, int(age_s)))

    async def _waiting(self) -> list[Any]:
        """When the events happened that come next; not all of them, but always the first."""
        held = await self.registers.load(STATE)
        state = read_state(read_signed_state(held.content)[0]) if held else LogState()
        seen = await self.witnessed.load(WITNESSED)
        size = read_checkpoint(read_note(cosigned_note(seen))).size if seen else 0
        if size < state.edge.size:
            number, at = divmod(size, TILE_WIDTH)
            bundle = await LogProofs(self.files).bundle(number, state.edge.size)
            return [json.loads(entry).get("at") for entry in bundle[at:]]
        if state.pending and state.pending.entries:
            return [json.loads(entry.content).get("at") for entry in state.pending.entries]
        page = await self.feed.after(state.pending.position if state.pending else state.position)
        events = [record.event for record in page.records if isinstance(record.event, dict)]
        return [event.get("occurred_at") for event in events]


def _moments(texts: Iterable[Any]) -> list[datetime]:
    """Those that are a time: a document of the audit container may hold anything."""
    found = []
    for text in texts:
        try:
            moment = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            continue
        if moment.tzinfo is not None:
            found.append(moment)
    return found
