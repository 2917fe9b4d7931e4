"""Pictures, batch files and uploads."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from shared.domain.attempts import (
    AttemptReport,
    ProviderImage,
    StoredImage,
)
from shared.domain.batch_plans import BatchChunk


@dataclass(frozen=True)
class ImageBytes:
    """A picture on its way out."""

    content_type: str
    size_bytes: int
    chunks: AsyncIterator[bytes]


Seal = Callable[[tuple[StoredImage, ...]], AttemptReport]


class ImageStore(Protocol):
    """Custody of original picture bytes, and of the report that says what they cost."""

    async def keep(
        self, generation_id: str, images: Sequence[ProviderImage], seal: Seal
    ) -> AttemptReport:
        """Keep the untouched bytes of all real pictures, then return the report that seals them.

        Bytes that are no picture, or too many, are left out; the first picture is written last and
        carries the report, so that a crash leaves either nothing or evidence of the delivery.
        """
        ...

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        """The report of a generation whose pictures are in custody."""
        ...

    async def read(self, generation_id: str, index: int) -> ImageBytes | None: ...

    async def link(self, generation_id: str, index: int, expires_at: datetime) -> str | None:
        """A read-only link to one picture that ends at `expires_at`; None if it is not there."""
        ...


class BatchFiles(Protocol):
    """Plans and results of batches.

    A batch id may have several plans when one key was used for several bodies at once; only the
    plan that the batch record names was reserved.
    """

    async def put_chunk(self, number: int, chunk: BatchChunk) -> None: ...

    async def chunk(self, batch_id: str, plan: str, number: int) -> BatchChunk: ...

    async def put_result(
        self, folder: str, name: str, content_type: str, parts: AsyncIterator[bytes]
    ) -> None:
        """Write `results/{folder}/{name}`; the last writer wins, all write the same."""
        ...

    async def result(self, folder: str, name: str) -> bytes | None: ...


@dataclass(frozen=True)
class UploadedFile:
    """A file in the upload container, read forward from a spool; close it after use.

    The spool ends just past the size limit, which is enough for the parser to refuse it.
    """

    etag: str
    last_modified: datetime
    stream: BinaryIO


class Uploads(Protocol):
    """The container that departments drop batch files into."""

    async def slot_link(self, slot_id: str, file_name: str, expires_at: datetime) -> str:
        """A link that can create this one file and nothing else."""
        ...

    async def open(self, path: str) -> UploadedFile | None:
        """The file at `{slot}/{name}`; None if it is gone."""
        ...
