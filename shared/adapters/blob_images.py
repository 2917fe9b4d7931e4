"""Custody in Blob storage: original bytes, their hash, and the report that seals them.

Each picture gets the index tags that the lifecycle rules look for.
"""

import hashlib
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from shared.adapters.blob import BlobConnection, answered, code_of
from shared.adapters.blob_tags import CONDITION_NOT_MET, TAG_TRIES_MAX, as_read, create
from shared.domain.attempts import AttemptReport, ProviderImage, StoredImage
from shared.domain.blob_paths import (
    DEFAULT_RETENTION,
    HELD,
    HOLD_TAG,
    IMAGES_CONTAINER,
    PictureName,
    new_tags,
)
from shared.domain.images import KINDS, SNIFFED_BYTES, dimensions_of, sniff_image
from shared.domain.ledger import partition_for
from shared.errors import Conflict, ImageArchived
from shared.ports import Clock, ImageBytes, Seal
from shared.ports.picture_storage import ARCHIVED

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

IMAGE_BYTES_MAX = 50 * 1024 * 1024  # the largest picture any provider documents is below 30 MB
SPOOL_BYTES_MAX = 8 * 1024 * 1024  # pictures above this wait on disk, not in memory
REPORT_METADATA = "report"
ARCHIVED_CODES = frozenset({"BlobArchived", "BlobBeingRehydrated"})
RetentionOf = Callable[[str], Awaitable[str]]  # the class that a department's new pictures get


async def default_retention(_: str) -> str:
    """The class of every department that has not chosen one."""
    return DEFAULT_RETENTION


@dataclass
class _Spooled:
    file: IO[bytes]
    stored: StoredImage


class BlobImageStore:
    """Implements the ImageStore port."""

    def __init__(
        self,
        connection: BlobConnection,
        clock: Clock,
        retention_of: RetentionOf = default_retention,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._retention_of = retention_of  # never raises: the pictures are paid for

    async def keep(
        self, generation_id: str, images: Sequence[ProviderImage], seal: Seal
    ) -> AttemptReport:
        spooled: list[_Spooled] = []
        try:
            for image in images:
                accepted = await _spool(image, index=len(spooled))
                if accepted is not None:
                    spooled.append(accepted)
            report = seal(tuple(each.stored for each in spooled))
            tags = new_tags(await self._retention_of(partition_for(generation_id).department_id))
            for each in reversed(spooled):
                sealing = each.stored.index == 0
                await self._upload(generation_id, each, report if sealing else None, tags)
            return report
        finally:
            for each in spooled:
                each.file.close()

    async def _upload(
        self,
        generation_id: str,
        spooled: _Spooled,
        report: AttemptReport | None,
        tags: dict[str, str],
    ) -> None:
        from azure.storage.blob import ContentSettings

        stored = spooled.stored
        metadata = {"sha256": stored.sha256}
        if report is not None:
            metadata[REPORT_METADATA] = json.dumps(
                report.model_dump(mode="json", exclude_defaults=True)
            )  # ASCII: it travels in a header
        blob = self._connection.blob(IMAGES_CONTAINER, _name(generation_id, stored.index))

        settings = ContentSettings(content_type=stored.content_type)

        async def send(*, overwrite: bool, **terms: Any) -> None:
            spooled.file.seek(0)
            await blob.upload_blob(
                spooled.file,
                length=stored.size_bytes,
                overwrite=overwrite,
                metadata=metadata,
                content_settings=settings,
                **terms,
            )

        if not await create(partial(send, tags=tags)):
            await _replace(blob, metadata, send)

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(IMAGES_CONTAINER, _name(generation_id, 0))
        try:
            properties = await answered(blob.get_blob_properties)
        except ResourceNotFoundError:
            return None
        report = properties.metadata.get(REPORT_METADATA)
        return AttemptReport.model_validate_json(report) if report else None

    async def read(self, generation_id: str, index: int) -> ImageBytes | None:
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        blob = self._connection.blob(IMAGES_CONTAINER, _name(generation_id, index))
        try:
            download = await answered(blob.download_blob)
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if code_of(error) in ARCHIVED_CODES:
                raise ImageArchived(ARCHIVED) from error
            raise
        return ImageBytes(
            content_type=str(download.properties.content_settings.content_type),
            size_bytes=int(download.size),
            chunks=download.chunks(),
        )

    async def link(self, generation_id: str, index: int, expires_at: datetime) -> str | None:
        from azure.core.exceptions import ResourceNotFoundError
        from azure.storage.blob import BlobSasPermissions

        name = PictureName(generation_id, index)
        blob = self._connection.blob(IMAGES_CONTAINER, name.blob)
        try:
            found = await answered(blob.get_blob_properties)
        except ResourceNotFoundError:
            return None
        if found.blob_tier == "Archive" or found.archive_status:
            raise ImageArchived(ARCHIVED)
        extension = KINDS[str(found.content_settings.content_type)].extension
        disposition = f'attachment; filename="{name.image_id}.{extension}"'
        return await self._connection.link(
            IMAGES_CONTAINER,
            name.blob,
            BlobSasPermissions(read=True),
            self._clock.now(),
            expires_at,
            disposition,
        )


async def _replace(
    blob: "BlobClient", metadata: Mapping[str, str], send: Callable[..., Awaitable[None]]
) -> None:
    """Put other bytes in the place of a picture; a resumed job brings the same ones again.

    The tags stay, and what is held stays as it is: Conflict.
    """
    from azure.core.exceptions import HttpResponseError

    for _ in range(TAG_TRIES_MAX):
        standing = await answered(blob.get_blob_properties)
        if dict(standing.metadata) == metadata:
            return
        tags = await answered(blob.get_blob_tags)
        if tags.get(HOLD_TAG) == HELD:
            break
        try:
            await answered(lambda t=tags: send(overwrite=True, tags=t, **as_read(t)))  # type: ignore[misc]
        except HttpResponseError as error:
            if code_of(error) != CONDITION_NOT_MET:
                raise
        else:
            return
    raise Conflict("A picture that is held, or just being decided about, is not replaced.")


async def _spool(image: ProviderImage, index: int) -> _Spooled | None:
    """Take in one picture; None if it is too large or no picture at all."""
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX)  # noqa: SIM115
    stored = None
    try:
        stored = await _take_in(image, index, file)
    finally:
        if stored is None:
            file.close()
    return _Spooled(file, stored) if stored else None


async def _take_in(image: ProviderImage, index: int, file: IO[bytes]) -> StoredImage | None:
    """Copy a picture into the file and say what it is; None if it cannot be kept."""
    digest = hashlib.sha256()
    size_bytes = 0
    async for chunk in image.chunks:
        size_bytes += len(chunk)
        if size_bytes > IMAGE_BYTES_MAX:
            break
        digest.update(chunk)
        file.write(chunk)

    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    kind, dimensions = sniff_image(read(0, SNIFFED_BYTES)), dimensions_of(read)
    if kind is None or dimensions is None or size_bytes > IMAGE_BYTES_MAX:
        return None
    width, height = dimensions
    return StoredImage(
        index=index,
        sha256=digest.hexdigest(),
        size_bytes=size_bytes,
        content_type=kind.media_type,
        width=width,
        height=height,
        seed=image.seed,
    )


def _name(generation_id: str, index: int) -> str:
    return PictureName(generation_id, index).blob
