"""Compares the log with Cosmos DB, both ways: what was deleted there, and what was never logged.

Nobody is given the role that could delete an event, and the change feed says nothing of deletions,
so somebody has to look. Each run goes on where the last one stopped, and begins again at the end.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.domain.audit_entries import ALTERED, UNREADABLE, LogEntry, entry_key, entry_of
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.log_tiles import TILE_WIDTH
from shared.domain.merkle import leaf_hash
from shared.domain.signed_notes import Checkpoint, read_checkpoint, read_note
from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock, Ledger
from shared.ports.audit_log import AuditFeed, Checkpoints, LogFiles, NoteSigner, Registers
from shared.services.log_index import LogIndex
from shared.services.log_proofs import LogProofs

BUNDLES_PER_RUN_MAX: Final = 2_000  # 512,000 events, about two minutes
PAGES_PER_RUN_MAX: Final = 100  # 200,000 events, about a minute
NOTED_PER_RUN_MAX: Final = 1_000  # if the whole container is gone, the first ones are enough
CURSOR: Final = "deletions.json"  # in the register: where the next run goes on
MISSING: Final = "audit.event_missing"
UNLOGGED: Final = "audit.event_unlogged"

Named = tuple[str, str]  # partition and event id

logger = logging.getLogger("eig.audit_deletions")


@dataclass(frozen=True)
class DeletionReport:
    """What a run looked at; `whole` if it reached the end of the log.

    `broken` bundles of the log are not what was signed: nothing is known of their events.
    """

    looked_at: int
    missing: int
    unlogged: int
    whole: bool
    broken: int = 0


@dataclass(frozen=True)
class _Cursor:
    """Where to go on: the bundle of the log, the position in the feed, and who is suspected.

    An event that is new is not in the log yet: whoever is still not there at the next run, a night
    later, was left out.
    """

    bundle: int = 0
    position: str | None = None
    suspects: tuple[Named, ...] = field(default=())


def deletions_partition(tenant_id: str) -> Partition:
    """The ledger partition in which the notes wait to be copied."""
    return Partition(f"organisation.{tenant_id}", "audit")


@dataclass(frozen=True)
class AuditDeletions:
    """Asks Cosmos DB for what the log has, and the log for what Cosmos DB has."""

    feed: AuditFeed
    files: LogFiles
    registers: Registers
    checkpoints: Checkpoints
    signer: NoteSigner
    ledger: Ledger
    clock: Clock
    tenant_id: str
    text_key: bytes

    async def run(self) -> DeletionReport:
        """Look at the next part of both; each finding is noted once, and alerted."""
        note = await self.checkpoints.newest(await self.signer.verifier())
        if note is None:
            return DeletionReport(0, 0, 0, whole=True)
        checkpoint = read_checkpoint(read_note(note))
        held = await self.registers.load(CURSOR)
        cursor = _read(held.content) if held else _Cursor()
        left_out = await self._absent(cursor.suspects, checkpoint)
        for name in left_out:
            await self._note(UNLOGGED, name)
        if left_out:
            logger.error("audit events were left out of the log", extra={"report": len(left_out)})
        found, last = await self._bundles(cursor.bundle, checkpoint)
        if found.missing:
            logger.error(
                "audit events were deleted from Cosmos DB", extra={"report": found.missing}
            )
        position, suspects = await self._suspects(cursor.position, checkpoint)
        after = _Cursor(0 if found.whole else last, position, suspects)
        version = held.version if held else None
        if not await self.registers.save(CURSOR, json.dumps(vars(after)).encode(), version):
            raise Unavailable("Another check of deletions was faster.", retry_after_s=60)
        return replace(found, unlogged=len(left_out))

    async def _bundles(self, first: int, checkpoint: Checkpoint) -> tuple[DeletionReport, int]:
        """What the next part of the log shows, and which bundle is next.

        One that is not what was signed is alerted and passed over: it must hide no other.
        """
        bundles = -(-checkpoint.size // TILE_WIDTH)
        looked_at = missing = broken = 0
        last = first if first < bundles else 0
        end = min(bundles, last + BUNDLES_PER_RUN_MAX)
        while last < end and missing < NOTED_PER_RUN_MAX:
            try:
                entries = await self._entries(last, checkpoint)
            except InvariantBroken:
                # Without the exception: the alert reads messages alone.
                logger.error(
                    "a bundle of the audit log is not what was signed", extra={"report": last}
                )
                broken += 1
            else:
                missing += await self._compared(entries)
                looked_at += len(entries)
            last += 1
        whole = last * TILE_WIDTH >= checkpoint.size
        return DeletionReport(looked_at, missing, 0, whole, broken), last

    async def _entries(self, number: int, checkpoint: Checkpoint) -> list[bytes]:
        """A bundle of the log, proven by its first entry and by the tile of its leaf hashes."""
        proofs, size = LogProofs(self.files), checkpoint.size
        entries = await proofs.bundle(number, size)
        start = number * TILE_WIDTH
        leaves = [(at, at + 1) for at in range(start, min(start + TILE_WIDTH, size))]
        if await proofs.roots(leaves, size) != [leaf_hash(entry) for entry in entries]:
            raise InvariantBroken("The files of the audit log are not what was signed.")
        await proofs.entry(start, size, checkpoint.root)
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
                    await self._note(MISSING, (partition_key, event_id))
                    missing += 1
        return missing

    async def _suspects(
        self, position: str | None, checkpoint: Checkpoint
    ) -> tuple[str | None, tuple[Named, ...]]:
        """Events of the feed that the log has not; the position is None at the feed's end."""
        found: list[Named] = []
        for _ in range(PAGES_PER_RUN_MAX):
            page = await self.feed.after(position)
            if not page.records:
                return None, tuple(found)
            position = page.position
            entries = [entry_of(record, self.text_key) for record in page.records]
            named = [(each.partition_key, each.event_id) for each in entries]
            found += await self._absent(named, checkpoint)
            if len(found) > NOTED_PER_RUN_MAX:
                return position, tuple(found[:NOTED_PER_RUN_MAX])
        return position, tuple(found)

    async def _absent(self, named: Sequence[Named], checkpoint: Checkpoint) -> list[Named]:
        """Those of these events that the log of this checkpoint has not.

        Of an event whose entry cannot be proven nobody can say so; its bundle is alerted.
        """
        entries = [LogEntry(*each, b"") for each in named]
        index = LogIndex(self.registers, self.files)
        found = await index.look_up(entries, checkpoint.size, checkpoint.root)
        if found.unproven:
            count = len(found.unproven)
            logger.error(
                "entries of the audit log are not what was signed", extra={"report": count}
            )
        known = {*found.logged, *found.unproven}
        return [each for each, entry in zip(named, entries, strict=True) if entry.key not in known]

    async def _note(self, action: str, named: Named) -> None:
        """An event about an event; its own id is a hash, whatever the other's is."""
        partition_key, event_id = named
        digest = entry_key(partition_key, event_id).hex()
        event = AuditEvent(
            action=action,
            object_id=digest,
            actor="system:audit-check",
            actor_role="system",
            outcome="failure",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=digest,
            details={"partition": partition_key, "event": event_id},
        )
        await self.ledger.note_event(deletions_partition(self.tenant_id), event)


def _read(content: bytes) -> _Cursor:
    document = json.loads(content)
    suspects = tuple((str(key), str(name)) for key, name in document["suspects"])
    return _Cursor(int(document["bundle"]), document["position"], suspects)
