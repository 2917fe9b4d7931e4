"""The verifiable log: where its events come from, where its files lie, who signs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.audit_entries import AuditRecord
from shared.domain.signed_notes import Verifier

EVENTS_PER_PAGE_MAX: Final = 2_000  # about 1.2 MB, below the 4 MB of one answer
IDS_PER_LOOK_MAX: Final = 256  # as many as a bundle of the log has entries


@dataclass(frozen=True)
class FeedPage:
    """Some audit documents in the order of their creation, and where to go on."""

    records: Sequence[AuditRecord]
    position: str | None


class AuditFeed(Protocol):
    """Reads the append-only container; it cannot write."""

    async def after(self, position: str | None) -> FeedPage:
        """What follows a position, about EVENTS_PER_PAGE_MAX at most; None: from the start."""
        ...

    async def named(self, event_id: str) -> Sequence[AuditRecord]:
        """The documents of this id, of whatever partition."""
        ...

    async def standing(self, partition_key: str, event_ids: Sequence[str]) -> Collection[str]:
        """Which of these ids, at most IDS_PER_LOOK_MAX, the partition still has."""
        ...


class LogFiles(Protocol):
    """Files that are written once and never change."""

    async def read(self, name: str) -> bytes | None: ...

    async def create(self, name: str, content: bytes) -> None:
        """Write a file; raises InvariantBroken if it stands there with another content."""
        ...


@dataclass(frozen=True)
class Held:
    """A value and the version by which it can be replaced."""

    content: bytes
    version: str


class Registers(Protocol):
    """Values that are replaced only by whoever has read the last one."""

    async def load(self, name: str) -> Held | None: ...

    async def save(self, name: str, content: bytes, version: str | None) -> bool:
        """Replace that version (None: create); False if it is no longer the last one."""
        ...


class Checkpoints(Protocol):
    """Every checkpoint that was ever signed; none can be replaced or taken away.

    Whatever else lies among them is passed over: it is not signed by the log's key.
    """

    async def newest(self, log: Verifier) -> str | None:
        """The note with the largest size that this log has signed."""
        ...

    async def keep(self, log: Verifier, size: int, note: str) -> str:
        """Publish the note for a size; the log's own that stands, if another run was first."""
        ...


class NoteSigner(Protocol):
    """Signs notes by an ECDSA P-256 key that stays where it is."""

    async def verifier(self) -> Verifier: ...

    async def sign(self, message: bytes) -> bytes:
        """The signature over SHA-256 of the message, as DER."""
        ...
