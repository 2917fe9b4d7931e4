"""Pictures as blobs: tiers, tags and thumbnails, and the records of what was decided about them."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import IO, Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.blob_paths import PictureName
from shared.domain.image_notices import RehydrationNotice
from shared.domain.legal_holds import LegalHold
from shared.domain.rehydrations import Rehydration
from shared.domain.retention import RetentionPolicy
from shared.domain.storage_prices import Priority
from shared.domain.storage_tiers import StoredBlob

ARCHIVED = "The picture is in the archive; ask for its rehydration and wait until it is there."

# Draws a thumbnail of an open picture file; None if it is too large or damaged.
DrawThumbnail = Callable[[IO[bytes]], bytes | None]


class PictureStorage(Protocol):
    """How pictures are stored, apart from their bytes."""

    async def state(self, picture: PictureName) -> StoredBlob | None:
        """The picture's blob as it is now; None if it was deleted."""
        ...

    async def rehydrate(self, picture: PictureName, priority: Priority) -> None:
        """Start to bring an archived picture back; one on its way stays on it."""
        ...

    async def touch(self, picture: PictureName) -> None:
        """Read one byte: where access is tracked, the rules count from now."""
        ...

    async def set_hold(self, picture: PictureName, revision: int, *, held: bool) -> None:
        """Tag a picture and its thumbnail, unless a later revision did; deleted ones stay so."""
        ...

    async def undecided(self) -> Sequence[PictureName]:
        """Some pictures whose retention could not be decided when they were kept."""
        ...

    async def decide(self, picture: PictureName, retention: str) -> None:
        """Give an undecided picture and its thumbnail their retention class."""
        ...

    def pictures(self, department_id: str) -> AsyncIterator[StoredBlob]:
        """Every picture and thumbnail of a department."""
        ...

    async def thumbnail(self, picture: PictureName) -> bytes | None: ...

    async def put_thumbnail(self, picture: PictureName, content: bytes) -> None:
        """Keep a thumbnail with the tags of its picture."""
        ...


class PaidPictures(Protocol):
    """Pictures in custody and their thumbnails, for threads: every call blocks.

    Raises Unavailable when the store does not answer.
    """

    def read(self, picture: PictureName, file: IO[bytes]) -> bool:
        """Copy the bytes into a file; False if they are deleted or in the archive."""
        ...

    def put_thumbnail(self, picture: PictureName, content: bytes) -> bool:
        """Keep a thumbnail with the tags of its picture; False if there is one or the picture is
        gone."""
        ...


class PictureRecords(Protocol):
    """Decisions about pictures, each written in revisions, atomic with its audit event."""

    async def retention(self, department_id: str) -> RetentionPolicy:
        """The policy as it stands; revision 0 if there is none."""
        ...

    async def put_retention(self, policy: RetentionPolicy, event: AuditEvent) -> bool:
        """Write revision n in place of n - 1; False if that is not what stands."""
        ...

    async def hold(self, image_id: str) -> LegalHold | None: ...

    async def put_hold(self, hold: LegalHold, event: AuditEvent) -> bool: ...

    async def hold_applied(self, hold: LegalHold) -> None:
        """Note that the tag says what this revision says; a later revision is left alone."""
        ...

    async def unapplied_holds(self, department_id: str) -> Sequence[LegalHold]: ...

    async def holds(self, department_id: str, after: str) -> Sequence[LegalHold]:
        """A page of holds, standing or released, of pictures behind `after`, in their order."""
        ...

    async def rehydration(self, image_id: str) -> Rehydration | None: ...

    async def put_rehydration(
        self,
        rehydration: Rehydration,
        event: AuditEvent,
        notice: RehydrationNotice | None = None,
    ) -> bool:
        """Write revision n in place of n - 1, with its notice if it has one."""
        ...

    async def open_rehydrations(self, department_id: str) -> Sequence[Rehydration]: ...
