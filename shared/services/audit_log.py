"""What auditors may ask the log: checkpoint, files, entries, proofs."""

import logging
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.audit_entries import entry_key, is_entry_of
from shared.domain.evidence_views import AuditEntryView, AuditKeysView, ConsistencyView
from shared.domain.identity import Caller, Permission, Reach, require_reach, require_tenant
from shared.domain.ids import partition_of
from shared.domain.log_index import Place, bucket_name, read_bucket
from shared.domain.log_tiles import is_file_name
from shared.domain.merkle import consistency_ranges, leaf_hash
from shared.domain.signed_notes import (
    Checkpoint,
    proof_text,
    read_checkpoint,
    read_note,
    signed_checkpoint,
)
from shared.errors import Conflict, Invalid, InvariantBroken, NotFound
from shared.ports.audit_log import AuditFeed, Checkpoints, LogFiles, NoteSigner, Registers
from shared.services.audit_witness import WITNESSED, cosigned_note
from shared.services.log_proofs import LogProofs

logger = logging.getLogger("eig.audit_log")

AUDITORS_ONLY: Final = "The audit log is for Org Admins."
NO_SUCH: Final = "The audit log has no such entry."
SOON_S: Final = 30  # relay, sequencer and witness each run every 15 s


@dataclass(frozen=True)
class Signed:
    """A checkpoint and the note around it."""

    checkpoint: Checkpoint
    note: str


@dataclass(frozen=True)
class Proven:
    """One entry and the proof that the log has it."""

    index: int
    entry: bytes
    proof: str


@dataclass(frozen=True)
class AuditLogReader:
    """Reads what the sequencer wrote, and checks it before it is handed out."""

    feed: AuditFeed
    files: LogFiles
    registers: Registers
    checkpoints: Checkpoints
    witnessed: Registers
    signer: NoteSigner
    witness_signer: NoteSigner
    tenant_id: str  # the operator's: one log tells of every tenant, so no other one reads it

    async def checkpoint(self, caller: Caller) -> str:
        """The newest checkpoint, with the witness's signature once it has seen it."""
        self._require_auditor(caller)
        return (await self.newest()).note

    async def keys(self) -> AuditKeysView:
        """Both public keys."""
        log, witness = await self.signer.verifier(), await self.witness_signer.verifier()
        return AuditKeysView(log=log.text, witness=witness.text)

    async def file(self, caller: Caller, name: str) -> bytes:
        """A tile or a bundle of entries, as it lies in storage."""
        self._require_auditor(caller)
        content = await self.files.read(name) if is_file_name(name) else None
        if content is None:
            raise NotFound("The audit log has no such file.")
        return content

    async def entries(
        self, caller: Caller, event_id: str, partition_key: str | None
    ) -> AuditEntryView:
        """The entry of an event, also of one that is in the log alone.

        Conflict while it waits to be sequenced.
        """
        self._require_auditor(caller)
        found = await self._partition(event_id, partition_key)
        proven = await self.prove(found, event_id, await self.covering([(found, event_id)]))
        return AuditEntryView(
            event_id=event_id,
            partition=found,
            index=proven.index,
            entry=proven.entry.decode(),
            leaf_hash=leaf_hash(proven.entry).hex(),
            proof=proven.proof,
        )

    async def inclusion(self, caller: Caller, index: int) -> str:
        """The proof of the entry at an index."""
        self._require_auditor(caller)
        signed = await self.newest()
        if index >= signed.checkpoint.size:
            raise NotFound(NO_SUCH)
        return (await self._proven(index, signed)).proof

    async def consistency(self, caller: Caller, old_size: int, new_size: int) -> ConsistencyView:
        """The proof between two sizes that the log has had."""
        self._require_auditor(caller)
        signed = await self.newest()
        if not 0 < old_size <= new_size <= signed.checkpoint.size:
            raise Invalid("Ask for 0 < old <= new <= the size of the newest checkpoint.")
        ranges = consistency_ranges(old_size, new_size)
        hashes = await LogProofs(self.files).roots(ranges, signed.checkpoint.size)
        return ConsistencyView(
            old_size=old_size,
            new_size=new_size,
            hashes=tuple(b64encode(each).decode() for each in hashes),
            checkpoint=signed.note,
        )

    def _require_auditor(self, caller: Caller) -> None:
        require_reach(caller, Permission.AUDIT_READ, Reach.ORGANISATION, AUDITORS_ONLY)
        require_tenant(caller, self.tenant_id, "audit log")

    async def newest(self) -> Signed:
        """The newest checkpoint; NotFound before the first."""
        note = await self.checkpoints.newest(await self.signer.verifier())
        if note is None:
            raise NotFound("The audit log has no checkpoint yet.")
        checkpoint = read_checkpoint(read_note(note))
        witnessed = await self._witnessed()
        if witnessed is not None and witnessed.checkpoint == checkpoint:
            return witnessed
        return Signed(checkpoint, note)

    async def _witnessed(self) -> Signed | None:
        """What the witness saw last, if it is the log's own."""
        held = await self.witnessed.load(WITNESSED)
        if held is None:
            return None
        note = cosigned_note(held)
        checkpoint = signed_checkpoint(note, await self.signer.verifier())
        if checkpoint is None:
            logger.error("the witness shows a checkpoint that the log has not signed")
            return None
        return Signed(checkpoint, note)

    async def _partition(self, event_id: str, partition_key: str | None) -> str:
        """The one partition with this event: by the log's index, not by what Cosmos DB has left."""
        standing = {record.partition_key for record in await self.feed.named(event_id)}
        if partition_key is not None:
            standing &= {partition_key}
            candidates = {partition_key}
        else:
            named = partition_of(event_id.split(":", 1)[0])  # most objects name their partition
            candidates = standing | ({named.key} if named else set())
        logged = [key for key in sorted(candidates) if await self.has(key, event_id)]
        found = logged or sorted(standing)
        if not found:
            raise NotFound(NO_SUCH)
        if len(found) > 1:
            raise Conflict("Say which partition it is of.", code="ambiguous")
        return found[0]

    async def covering(self, keys: Sequence[tuple[str, str]]) -> Signed:
        """A checkpoint over all of these events (partition, id): the witnessed one if it can be."""
        places = [await self._place(*key) for key in keys]
        reach = max(place.index for place in places) + 1
        witnessed = await self._witnessed()
        if witnessed is not None and witnessed.checkpoint.size >= reach:
            return witnessed
        try:
            newest = await self.newest()
        except NotFound:  # its entry is written, and the first checkpoint is not
            raise not_in_log_yet() from None
        if newest.checkpoint.size < reach:
            raise not_in_log_yet()
        return newest

    async def prove(self, partition_key: str, event_id: str, signed: Signed) -> Proven:
        """The entry of an event and its proof; Conflict if the checkpoint does not cover it."""
        place = await self._place(partition_key, event_id)
        if place.index >= signed.checkpoint.size:
            raise not_in_log_yet()
        proven = await self._proven(place.index, signed)
        if not is_entry_of(proven.entry, partition_key, event_id):
            raise InvariantBroken("The index of the audit log points to another entry.")
        return proven

    async def has(self, partition_key: str, event_id: str) -> bool:
        """Whether the index has a place for this event."""
        return await self._looked_up(partition_key, event_id) is not None

    async def _place(self, partition_key: str, event_id: str) -> Place:
        place = await self._looked_up(partition_key, event_id)
        if place is None:
            raise not_in_log_yet()
        return place

    async def _looked_up(self, partition_key: str, event_id: str) -> Place | None:
        key = entry_key(partition_key, event_id)
        held = await self.registers.load(bucket_name(partition_key, key))
        return read_bucket(held.content).get(key) if held else None

    async def _proven(self, index: int, signed: Signed) -> Proven:
        checkpoint = signed.checkpoint
        entry, proof = await LogProofs(self.files).entry(index, checkpoint.size, checkpoint.root)
        return Proven(index, entry, proof_text(index, proof, signed.note))


def not_in_log_yet() -> Conflict:
    return Conflict(
        "The log does not show it yet; try again.", code="not_in_log_yet", retry_after_s=SOON_S
    )
