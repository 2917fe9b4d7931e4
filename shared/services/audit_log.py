"""What auditors may ask the log: checkpoint, files, entries, proofs."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.audit_entries import entry_key
from shared.domain.evidence_views import AuditEntryView, AuditKeysView, ConsistencyView
from shared.domain.identity import Caller, Role
from shared.domain.log_index import MARK_BYTES, Place, bucket_name, read_bucket
from shared.domain.log_tiles import (
    TILE_WIDTH,
    Tiles,
    bundle_name,
    decode_bundle,
    is_file_name,
    tile_width,
    tiles_for,
)
from shared.domain.merkle import (
    Range,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    verify_inclusion,
)
from shared.domain.signed_notes import Checkpoint, proof_text, read_checkpoint, read_note
from shared.errors import Conflict, Invalid, InvariantBroken, NotFound, PolicyDenied
from shared.ports.audit_log import AuditFeed, Checkpoints, LogFiles, NoteSigner, Registers
from shared.services.audit_witness import WITNESSED, cosigned_note

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

    async def checkpoint(self, caller: Caller) -> str:
        """The newest checkpoint, with the witness's signature once it has seen it."""
        require_auditor(caller)
        return (await self.newest()).note

    async def keys(self) -> AuditKeysView:
        """Both public keys."""
        log, witness = await self.signer.verifier(), await self.witness_signer.verifier()
        return AuditKeysView(log=log.text, witness=witness.text)

    async def file(self, caller: Caller, name: str) -> bytes:
        """A tile or a bundle of entries, as it lies in storage."""
        require_auditor(caller)
        content = await self.files.read(name) if is_file_name(name) else None
        if content is None:
            raise NotFound("The audit log has no such file.")
        return content

    async def entries(
        self, caller: Caller, event_id: str, partition_key: str | None
    ) -> AuditEntryView:
        """The entry of an event; Conflict while it waits to be sequenced."""
        require_auditor(caller)
        found = [
            record.partition_key
            for record in await self.feed.named(event_id)
            if partition_key in (None, record.partition_key)
        ]
        if not found:
            raise NotFound(NO_SUCH)
        if len(found) > 1:
            raise Conflict("Say which partition it is of.", code="ambiguous")
        proven = await self.prove(found[0], event_id, await self.newest())
        return AuditEntryView(
            event_id=event_id,
            partition=found[0],
            index=proven.index,
            entry=proven.entry.decode(),
            leaf_hash=leaf_hash(proven.entry).hex(),
            proof=proven.proof,
        )

    async def inclusion(self, caller: Caller, index: int) -> str:
        """The proof of the entry at an index."""
        require_auditor(caller)
        signed = await self.newest()
        if index >= signed.checkpoint.size:
            raise NotFound(NO_SUCH)
        return (await self._proven(index, signed)).proof

    async def consistency(self, caller: Caller, old_size: int, new_size: int) -> ConsistencyView:
        """The proof between two sizes that the log has had."""
        require_auditor(caller)
        signed = await self.newest()
        if not 0 < old_size <= new_size <= signed.checkpoint.size:
            raise Invalid("Ask for 0 < old <= new <= the size of the newest checkpoint.")
        hashes = await self._roots(consistency_ranges(old_size, new_size), signed.checkpoint.size)
        return ConsistencyView(
            old_size=old_size,
            new_size=new_size,
            hashes=tuple(b64encode(each).decode() for each in hashes),
            checkpoint=signed.note,
        )

    async def newest(self) -> Signed:
        """The newest checkpoint; NotFound before the first."""
        note = await self.checkpoints.newest()
        if note is None:
            raise NotFound("The audit log has no checkpoint yet.")
        checkpoint = read_checkpoint(read_note(note))
        witnessed = await self._witnessed()
        if witnessed is not None and witnessed.checkpoint == checkpoint:
            return witnessed
        return Signed(checkpoint, note)

    async def _witnessed(self) -> Signed | None:
        held = await self.witnessed.load(WITNESSED)
        if held is None:
            return None
        note = cosigned_note(held)
        return Signed(read_checkpoint(read_note(note)), note)

    async def covering(self, keys: Sequence[tuple[str, str]]) -> Signed:
        """A checkpoint over all of these events (partition, id): the witnessed one if it can be."""
        places = [await self._place(*key) for key in keys]
        reach = max(place.index for place in places) + 1
        witnessed = await self._witnessed()
        if witnessed is not None and witnessed.checkpoint.size >= reach:
            return witnessed
        newest = await self.newest()
        if newest.checkpoint.size < reach:
            raise not_in_log_yet()
        return newest

    async def prove(self, partition_key: str, event_id: str, signed: Signed) -> Proven:
        """The entry of an event and its proof; Conflict if the checkpoint does not cover it."""
        place = await self._place(partition_key, event_id)
        if place.index >= signed.checkpoint.size:
            raise not_in_log_yet()
        proven = await self._proven(place.index, signed)
        logged = json.loads(proven.entry)
        is_it = (logged.get("partition"), logged.get("id")) == (partition_key, event_id)
        if not is_it or leaf_hash(proven.entry)[:MARK_BYTES] != place.mark:
            raise InvariantBroken("The index of the audit log points to another entry.")
        return proven

    async def _place(self, partition_key: str, event_id: str) -> Place:
        key = entry_key(partition_key, event_id)
        held = await self.registers.load(bucket_name(partition_key, key))
        place = read_bucket(held.content).get(key) if held else None
        if place is None:
            raise not_in_log_yet()
        return place

    async def _proven(self, index: int, signed: Signed) -> Proven:
        size = signed.checkpoint.size
        number, at = divmod(index, TILE_WIDTH)
        bundle = await self._file(bundle_name(number, tile_width(0, number, size)))
        entry = decode_bundle(bundle)[at]
        proof = await self._roots(inclusion_ranges(index, size), size)
        if not verify_inclusion(leaf_hash(entry), index, size, proof, signed.checkpoint.root):
            raise InvariantBroken("The files of the audit log are not what was signed.")
        return Proven(index, entry, proof_text(index, proof, signed.note))

    async def _roots(self, ranges: Sequence[Range], size: int) -> list[bytes]:
        names = sorted(tiles_for(ranges, size))
        contents = await asyncio.gather(*(self._file(name) for name in names))
        tiles = Tiles(size, dict(zip(names, contents, strict=True)))
        return [tiles.root_of(each) for each in ranges]

    async def _file(self, name: str) -> bytes:
        content = await self.files.read(name)
        if content is None:
            raise InvariantBroken(f"{name} of the audit log is missing.")
        return content


def not_in_log_yet() -> Conflict:
    return Conflict(
        "The log does not show it yet; try again.", code="not_in_log_yet", retry_after_s=SOON_S
    )


def require_auditor(caller: Caller) -> None:
    if caller.role < Role.ORG_ADMIN:
        raise PolicyDenied(AUDITORS_ONLY)
