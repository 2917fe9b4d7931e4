"""Custody of pictures in memory: either all of a generation's pictures are sealed, or none."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from shared.adapters.blob_images import IMAGE_BYTES_MAX
from shared.domain.attempts import AttemptReport, ProviderImage, StoredImage
from shared.domain.images import image_dimensions, sniff_image
from shared.errors import Unavailable
from shared.ports import ImageBytes, Seal
from tests.fakes.faults import NOT_DONE, Fault, Faults, NoFaults


class FakeImageStore:
    """Pictures by generation and index; the report is written with the first picture, last."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.pictures: dict[tuple[str, int], tuple[StoredImage, bytes]] = {}
        self.reports: dict[str, AttemptReport] = {}
        self._faults: Faults = faults or NoFaults()

    async def keep(
        self, generation_id: str, images: Sequence[ProviderImage], seal: Seal
    ) -> AttemptReport:
        found: list[tuple[StoredImage, bytes]] = []
        for image in images:
            data = await _read(image)
            stored = _stored(len(found), data, image.seed)
            if stored is not None:
                found.append((stored, data))
        report = seal(tuple(stored for stored, _ in found))
        if not found:
            return report

        def keep_all() -> None:
            for stored, data in found:
                self.pictures[generation_id, stored.index] = (stored, data)
            self.reports[generation_id] = report

        fault = await self._faults.next("keep")
        if fault in NOT_DONE:
            raise Unavailable("The image store did not answer.")
        if fault is Fault.LATE:
            self._faults.later(keep_all)
            raise Unavailable("The image store did not answer.")
        keep_all()
        if fault is Fault.LOST:
            raise Unavailable("The image store did not answer.")
        if fault is Fault.CRASH_AFTER:
            raise self._faults.crash("keep")
        return report

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        fault = await self._faults.next("sealed")
        if fault is Fault.CRASH_AFTER:
            raise self._faults.crash("sealed")
        if fault is not Fault.NONE:
            raise Unavailable("The image store did not answer.")
        return self.reports.get(generation_id)

    async def read(self, generation_id: str, index: int) -> ImageBytes | None:
        fault = await self._faults.next("read")
        if fault is not Fault.NONE:
            raise Unavailable("The image store did not answer.")
        found = self.pictures.get((generation_id, index))
        if found is None:
            return None
        stored, data = found
        return ImageBytes(stored.content_type, stored.size_bytes, _in_one(data))

    async def link(self, generation_id: str, index: int, expires_at: datetime) -> str | None:
        if (generation_id, index) not in self.pictures:
            return None
        return f"https://images.example/{generation_id}/{index}?until={expires_at.isoformat()}"


async def _read(image: ProviderImage) -> bytes:
    """The bytes of a picture, or as many as show that it is too large."""
    data = bytearray()
    async for chunk in image.chunks:
        data += chunk
        if len(data) > IMAGE_BYTES_MAX:
            break
    return bytes(data)


def _stored(index: int, data: bytes, seed: int | None) -> StoredImage | None:
    kind, dimensions = sniff_image(data), image_dimensions(data)
    if kind is None or dimensions is None or len(data) > IMAGE_BYTES_MAX:
        return None
    width, height = dimensions
    return StoredImage(
        index=index,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        content_type=kind.media_type,
        width=width,
        height=height,
        seed=seed,
    )


async def _in_one(data: bytes) -> AsyncIterator[bytes]:
    yield data
