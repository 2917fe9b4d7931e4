"""Which events the log has: looked up in the index, and believed only after reading the entry."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.domain.audit_entries import LogEntry, is_entry_of
from shared.domain.log_index import Place, bucket_name, read_bucket
from shared.errors import InvariantBroken
from shared.ports.audit_log import LogFiles, Registers
from shared.services.log_proofs import LogProofs
from shared.services.side_by_side import Call, together

logger = logging.getLogger("eig.audit_log_index")


@dataclass(frozen=True)
class LookedUp:
    """Index and bytes of the entries that the log has, and why others are not proven; by key."""

    logged: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    unproven: dict[bytes, InvariantBroken] = field(default_factory=dict)


@dataclass(frozen=True)
class LogIndex:
    """The index of one log, and the files that it points into."""

    registers: Registers
    files: LogFiles

    async def logged(
        self, entries: Sequence[LogEntry], size: int, root: bytes
    ) -> dict[bytes, tuple[int, bytes]]:
        """Index and bytes of those that the log of this size and root has, by their keys.

        InvariantBroken if of any of them nobody can say.
        """
        found = await self.look_up(entries, size, root)
        for fault in found.unproven.values():
            raise fault
        return found.logged

    async def look_up(self, entries: Sequence[LogEntry], size: int, root: bytes) -> LookedUp:
        """The same, and those whose place is in files that are not what was signed.

        A false place would hide an event for ever: what it points to is read and proven.
        """
        names = sorted({bucket_name(entry.partition_key, entry.key) for entry in entries})
        places: dict[bytes, Place] = {}
        for content in await together([self._bucket(name) for name in names]):
            places |= read_bucket(content)
        proofs, found = LogProofs(self.files), LookedUp()
        for entry in entries:
            place = places.get(entry.key)
            if place is None:
                continue
            if place.index < size:
                try:
                    content, _ = await proofs.entry(place.index, size, root)
                except InvariantBroken as fault:
                    found.unproven[entry.key] = fault
                    continue
                if is_entry_of(content, entry.partition_key, entry.event_id):
                    found.logged[entry.key] = (place.index, content)
                    continue
            logger.error("the index of the audit log was false", extra={"report": place.index})
        return found

    def _bucket(self, name: str) -> Call[bytes]:
        async def load() -> bytes:
            held = await self.registers.load(name)
            return held.content if held else b""

        return load
