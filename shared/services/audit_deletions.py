"""Compares the log with what Cosmos DB still has: whatever was deleted there is noted and alerted.

Nobody is given the role that could delete an event, and the change feed says nothing of deletions,
so somebody has to look. Each run goes on where the last one stopped, and begins again at the end.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.audit_entries import ALTERED, UNREADABLE, entry_key
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.log_tiles import TILE_WIDTH
from shared.domain.merkle import leaf_hash
from shared.domain.signed_notes import read_checkpoint, read_note
from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock, Ledger
from shared.ports.audit_log import AuditFeed, Checkpoints, LogFiles, NoteSigner, Registers
from shared.services.log_proofs import LogProofs

BUNDLES_PER_RUN_MAX: Final = 2_000  # 512,000 events, about two minutes
NOTED_PER_RUN_MAX: Final = 1_000  # if the whole container is gone, the first ones are enough
CURSOR: Final = "deletions.json"  # in the register: the bundle that comes next
MISSING: Final = "audit.event_missing"

logger = logging.getLogger("eig.audit_deletions")


@dataclass(frozen=True)
class DeletionReport:
    """What a run looked at; `whole` if it reached the end of the log."""

    looked_at: int
    missing: int
    whole: bool


def deletions_partition(tenant_id: str) -> Partition:
    """The ledger partition in which the notes wait to be copied."""
    return Partition(f"organisation.{tenant_id}", "audit")


@dataclass(frozen=True)
class AuditDeletions:
    """Reads the log's entries from its files and asks Cosmos DB for each of them."""

    feed: AuditFeed
    files: LogFiles
    registers: Registers
    checkpoints: Checkpoints
    signer: NoteSigner
    ledger: Ledger
    clock: Clock
    tenant_id: str

    def outbox_partitions(self) -> Sequence[Partition]:
        """Where the notes wait to be copied into the audit container."""
        return [deletions_partition(self.tenant_id)]

    async def run(self) -> DeletionReport:
        """Look at the next part of the log; a deletion is noted once, alerted in every round."""
        note = await self.checkpoints.newest(await self.signer.verifier())
        if note is None:
            return DeletionReport(0, 0, whole=True)
        checkpoint = read_checkpoint(read_note(note))
        bundles = -(-checkpoint.size // TILE_WIDTH)
        held = await self.registers.load(CURSOR)
        first = int(json.loads(held.content)["bundle"]) if held else 0
        first = first if first < bundles else 0
        looked_at = missing = 0
        last = first
        while last < min(bundles, first + BUNDLES_PER_RUN_MAX) and missing < NOTED_PER_RUN_MAX:
            entries = await self._entries(last, checkpoint.size, checkpoint.root)
            missing += await self._compared(entries)
            looked_at += len(entries)
            last += 1
        cursor = json.dumps({"bundle": last % max(bundles, 1)}).encode()
        if not await self.registers.save(CURSOR, cursor, held.version if held else None):
            raise Unavailable("Another check of deletions was faster.", retry_after_s=60)
        if missing:
            logger.error("audit events were deleted from Cosmos DB", extra={"copied": missing})
        return DeletionReport(looked_at, missing, whole=last == bundles)

    async def _entries(self, number: int, size: int, root: bytes) -> list[bytes]:
        """A bundle of the log, proven by its first entry and by the tile of its leaf hashes."""
        proofs = LogProofs(self.files)
        entries = await proofs.bundle(number, size)
        start = number * TILE_WIDTH
        leaves = [(at, at + 1) for at in range(start, min(start + TILE_WIDTH, size))]
        if await proofs.roots(leaves, size) != [leaf_hash(entry) for entry in entries]:
            raise InvariantBroken("The files of the audit log are not what was signed.")
        await proofs.entry(start, size, root)
        return entries

    async def _compared(self, entries: Sequence[bytes]) -> int:
        """Note what is missing; returns how many of these events are."""
        wanted: dict[str, list[str]] = {}
        for content in entries:
            event = json.loads(content)
            if event["action"] not in (ALTERED, UNREADABLE):  # the sequencer's own: nowhere else
                wanted.setdefault(event["partition"], []).append(event["id"])
        missing = 0
        for partition_key, ids in wanted.items():
            standing = await self.feed.standing(partition_key, ids)
            for event_id in ids:
                if event_id not in standing:
                    await self._note(partition_key, event_id)
                    missing += 1
        return missing

    async def _note(self, partition_key: str, event_id: str) -> None:
        missing = entry_key(partition_key, event_id).hex()
        event = AuditEvent(
            action=MISSING,
            object_id=missing,
            actor="system:audit-check",
            actor_role="system",
            outcome="failure",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=missing,
            details={"partition": partition_key, "event": event_id},
        )
        await self.ledger.note_event(deletions_partition(self.tenant_id), event)
