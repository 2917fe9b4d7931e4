"""Custody in Blob storage: original bytes, their hash, and the report that seals them.

images/{department}/{yyyymm}/{generation id}/{index}
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from shared.adapters.blob import BlobConnection, answered
from shared.domain.attempts import AttemptReport, ProviderImage, StoredImage
from shared.domain.images import HEAD_BYTES, image_dimensions, sniff_image
from shared.domain.ledger import partition_for
from shared.ports import Clock, ImageBytes, Seal

IMAGES_CONTAINER = "images"
IMAGE_BYTES_MAX = 50 * 1024 * 1024  # the largest picture any provider documents is below 30 MB
SPOOL_BYTES_MAX = 8 * 1024 * 1024  # pictures above this wait on disk, not in memory
REPORT_METADATA = "report"


@dataclass
class _Spooled:
    file: IO[bytes]
    stored: StoredImage


class BlobImageStore:
    """Implements the ImageStore port."""

    def __init__(self, connection: BlobConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

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
            for each in reversed(spooled):
                sealing = each.stored.index == 0
                await self._upload(generation_id, each, report if sealing else None)
            return report
        finally:
            for each in spooled:
                each.file.close()

    async def _upload(
        self, generation_id: str, spooled: _Spooled, report: AttemptReport | None
    ) -> None:
        from azure.storage.blob import ContentSettings

        stored = spooled.stored
        metadata = {"sha256": stored.sha256}
        if report is not None:
            metadata[REPORT_METADATA] = json.dumps(
                report.model_dump(mode="json", exclude_defaults=True)
            )  # ASCII: it travels in a header
        blob = self._connection.blob(IMAGES_CONTAINER, _name(generation_id, stored.index))

        async def send() -> None:
            spooled.file.seek(0)
            await blob.upload_blob(
                spooled.file,
                length=stored.size_bytes,
                overwrite=True,  # a resumed job brings the same bytes again
                metadata=metadata,
                content_settings=ContentSettings(content_type=stored.content_type),
            )

        await answered(send)

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
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(IMAGES_CONTAINER, _name(generation_id, index))
        try:
            download = await answered(blob.download_blob)
        except ResourceNotFoundError:
            return None
        return ImageBytes(
            content_type=str(download.properties.content_settings.content_type),
            size_bytes=int(download.size),
            chunks=download.chunks(),
        )

    async def link(self, generation_id: str, index: int, expires_at: datetime) -> str:
        from azure.storage.blob import BlobSasPermissions

        return await self._connection.link(
            IMAGES_CONTAINER,
            _name(generation_id, index),
            BlobSasPermissions(read=True),
            self._clock.now(),
            expires_at,
        )


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
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = sniff_image(head)
    dimensions = image_dimensions(head) if kind else None
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
    partition = partition_for(generation_id)
    return f"{partition.department_id}/{partition.period}/{generation_id}/{index}"
