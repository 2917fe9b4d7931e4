"""Takes audit events, in order and each once, into the verifiable log, and signs how far it is.

A run chooses a batch and saves it, writes files and index, then saves the state behind the batch.
Saves go by version and files never change, so two runs at once write the same log or one gives way.
"""

import logging
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.audit_entries import AuditRecord, LogEntry, altered_entry, entry_of
from shared.domain.log_index import Place, with_places
from shared.domain.log_tiles import Tiles, decode_bundle, tiles_for
from shared.domain.sequencing import (
    STATE_CONTEXT,
    LogState,
    Pending,
    partial_bundle,
    read_signed_state,
    read_state,
    signed_state,
    state_json,
    write_pending,
)
from shared.domain.signed_notes import Checkpoint, read_checkpoint, read_note
from shared.errors import InvariantBroken, Unavailable
from shared.ports.audit_log import (
    AuditFeed,
    Checkpoints,
    FeedPage,
    LogFiles,
    NoteSigner,
    Registers,
)
from shared.services.log_index import LogIndex
from shared.services.side_by_side import Call, together

logger = logging.getLogger("eig.audit_sequencer")

STEPS_PER_RUN_MAX: Final = 20  # 10 batches, 20,000 events: a run ends before the next is due
BUCKET_TRIES_MAX: Final = 5  # another run may be filling the same bucket
STATE: Final = "sequencer.json"


@dataclass(frozen=True)
class AuditSequencer:
    """The log's one writer, whoever runs it."""

    feed: AuditFeed
    files: LogFiles
    registers: Registers
    checkpoints: Checkpoints
    signer: NoteSigner
    text_key: bytes

    async def run(self) -> int:
        """Sequence what is waiting, publish a checkpoint; returns how many events were chosen."""
        chosen = 0
        for _ in range(STEPS_PER_RUN_MAX):
            state, version = await self._loaded()
            if state.pending is not None:
                is_ours = await self._save(await self._written(state), version)
            else:
                page = await self.feed.after(state.position)
                if not page.records:
                    break
                entries = tuple(await self._unlogged(page, state))
                pending = Pending(entries, page.position)
                is_ours = await self._save(replace(state, pending=pending), version)
                chosen += len(entries) if is_ours else 0
            if not is_ours:  # another run is ahead of this one, and goes on
                return chosen
        await self._publish()
        return chosen

    @property
    def index(self) -> LogIndex:
        return LogIndex(self.registers, self.files)

    async def _loaded(self) -> tuple[LogState, str | None]:
        """The state, if the log's own key signed it: whoever forged it could write the log."""
        held = await self.registers.load(STATE)
        if held is None:
            return LogState(), None
        content, signature = read_signed_state(held.content)
        if not (await self.signer.verifier()).accepts(STATE_CONTEXT + content, signature):
            raise InvariantBroken("The sequencer's state is not signed by the log's key.")
        return read_state(content), held.version

    async def _save(self, state: LogState, version: str | None) -> bool:
        content = state_json(state)
        signature = await self.signer.sign(STATE_CONTEXT + content)
        return await self.registers.save(STATE, signed_state(content, signature), version)

    async def _unlogged(self, page: FeedPage, state: LogState) -> list[LogEntry]:
        """The entries of a page that are not in the log yet, and notes of altered ones."""
        index, reach = self.index, (state.edge.size, state.edge.root())
        found: dict[bytes, tuple[AuditRecord, LogEntry]] = {}
        for record in page.records:
            entry = entry_of(record, self.text_key)
            found.setdefault(entry.key, (record, entry))
        logged = await index.logged([entry for _, entry in found.values()], *reach)
        fresh: list[LogEntry] = []
        altered: list[LogEntry] = []
        for key, (record, entry) in found.items():
            standing = logged.get(key)
            if standing is None:
                fresh.append(entry)
                if not entry.is_readable:
                    logger.error("an audit document is no event, and was logged by its hash")
            elif standing[1] != entry.content:
                logger.error("an audit event was altered", extra={"report": {"at": standing[0]}})
                altered.append(altered_entry(record, standing[0], self.text_key))
        known = await index.logged(altered, *reach)
        return [*fresh, *(entry for entry in altered if entry.key not in known)]

    async def _written(self, state: LogState) -> LogState:
        """Write what is pending: files, then the index; a run that died may have done so before."""
        written = write_pending(state, await self._last_entries(state))
        await together([_creating(self.files, *file) for file in written.files.items()])
        await together([self._filing(*bucket) for bucket in written.places.items()])
        return written.state

    async def _last_entries(self, state: LogState) -> list[bytes]:
        name = partial_bundle(state.edge)
        if name is None:
            return []
        content = await self.files.read(name)
        if content is None:
            raise InvariantBroken("The last entries of the audit log are missing.")
        return decode_bundle(content)

    def _filing(self, name: str, places: dict[bytes, Place]) -> Call[None]:
        async def file() -> None:
            for _ in range(BUCKET_TRIES_MAX):
                held = await self.registers.load(name)
                before = held.content if held else b""
                after = with_places(before, places)
                version = held.version if held else None
                if after == before or await self.registers.save(name, after, version):
                    return
            raise Unavailable("An index bucket is being written by others.", retry_after_s=5)

        return file

    async def _publish(self) -> None:
        """Sign how far the log is, unless that was done; never what contradicts a signature."""
        verifier = await self.signer.verifier()
        newest = await self.checkpoints.newest(verifier)
        signed = read_checkpoint(read_note(newest)) if newest else None
        state, _ = await self._loaded()  # after the checkpoint, which is signed behind the state
        checkpoint = Checkpoint(verifier.name, state.edge.size, state.edge.root())
        if signed is not None and signed.size > checkpoint.size:
            raise InvariantBroken("A larger audit log was signed before: its state went back.")
        await self._require_growth(checkpoint, signed)
        if signed is not None and signed.size == checkpoint.size:
            return
        signature = await self.signer.sign(checkpoint.text.encode())
        note = f"{checkpoint.text}\n{verifier.line(signature)}"
        standing = await self.checkpoints.keep(verifier, checkpoint.size, note)
        if read_checkpoint(read_note(standing)).root != checkpoint.root:
            raise InvariantBroken("Another audit log of this size was signed before.")

    async def _require_growth(self, now: Checkpoint, signed: Checkpoint | None) -> None:
        """The files have this root, and had the root that was signed last."""
        roots = {now.size: now.root}
        if signed is not None and roots.setdefault(signed.size, signed.root) != signed.root:
            raise InvariantBroken("Another audit log of this size was signed before.")
        ranges = [(0, size) for size in roots]
        names = sorted(tiles_for(ranges, now.size))
        contents = await together([_reading(self.files, name) for name in names])
        tiles = Tiles(now.size, dict(zip(names, contents, strict=True)))
        if any(tiles.root_of((0, size)) != root for size, root in roots.items()):
            raise InvariantBroken("The files of the audit log are not what was signed.")


def _reading(files: LogFiles, name: str) -> Call[bytes]:
    async def read() -> bytes:
        content = await files.read(name)
        if content is None:
            raise InvariantBroken(f"{name} of the audit log is missing.")
        return content

    return read


def _creating(files: LogFiles, name: str, content: bytes) -> Call[None]:
    return lambda: files.create(name, content)
