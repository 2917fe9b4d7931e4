"""An image store on trial: the fake, and the adapter over Azurite; and pictures to keep."""

import asyncio
import hashlib
import io
import struct
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob.aio import BlobClient
from PIL import Image

from shared.adapters.blob import BlobAccount, BlobConnection
from shared.adapters.blob_images import BlobImageStore
from shared.adapters.blob_paid_pictures import BlobPaidPictures
from shared.adapters.pillow_thumbnails import draw_thumbnail
from shared.adapters.system_clock import SystemClock
from shared.domain.attempts import AttemptReport, ProviderImage, StoredImage
from shared.domain.blob_paths import PictureName
from shared.domain.ids import Partition, operation_id
from shared.ports import ImageStore, Seal
from shared.ports.picture_storage import DrawThumbnail
from shared.services.thumbnail_drawing import ThumbnailDrawing
from tests.contract.blob_account import SilentConnection, azurite
from tests.contract.cosmos_stores import Outage
from tests.fakes.faults import Crashed, Fault, ScriptedFaults
from tests.fakes.image_store import FakeImageStore

WIDTH, HEIGHT = 37, 21
PNG_HEAD_BYTES = 33  # signature and IHDR chunk


@dataclass
class ImageBench:
    """The same custody three times: in order, in a process that will die, and out of reach."""

    store: ImageStore
    dying: ImageStore
    silent: ImageStore

    async def read(self, generation_id: str, index: int) -> bytes | None:
        """All bytes of one picture."""
        found = await self.store.read(generation_id, index)
        if found is None:
            return None
        data = b"".join([chunk async for chunk in found.chunks])
        assert len(data) == found.size_bytes
        return data


class DyingConnection(BlobConnection):
    """Dies before the first picture, which is the one that carries the seal."""

    def blob(self, container: str, name: str) -> BlobClient:
        if name.endswith("/0"):
            raise Crashed(name)
        return super().blob(container, name)


@pytest.fixture(params=["fake", "azurite"])
def bench(request: pytest.FixtureRequest) -> Iterator[ImageBench]:
    if request.param == "fake":
        store = FakeImageStore()
        dying = FakeImageStore(ScriptedFaults("keep", Fault.CRASH_BEFORE))
        dying.pictures, dying.reports = store.pictures, store.reports
        yield ImageBench(store, dying, FakeImageStore(Outage()))
        return
    blobs, silent = request.getfixturevalue("blobs"), request.getfixturevalue("silent_blobs")
    clock = SystemClock()
    dying_blobs = DyingConnection(BlobAccount(azurite(), None))
    dying_blobs._client = blobs.service()  # one set of sockets, closed by its owner
    yield ImageBench(
        BlobImageStore(blobs, clock),
        BlobImageStore(dying_blobs, clock),
        BlobImageStore(silent, clock),
    )
    assert isinstance(silent, SilentConnection)


async def draw(pictures: Sequence[PictureName], small: DrawThumbnail = draw_thumbnail) -> int:
    """Draw thumbnails on Azurite as the app does: in a thread."""
    with closing(BlobPaidPictures(BlobAccount(azurite(), None))) as blobs:
        drawing = ThumbnailDrawing(blobs, small)
        return await asyncio.to_thread(drawing.draw, [each.image_id for each in pictures])


def fresh_id() -> str:
    """A generation that no other test keeps pictures of."""
    return operation_id(Partition("marketing", "202611"), uuid.uuid4().hex)


def picture(pil_format: str = "PNG", **options: Any) -> bytes:
    """A real picture of WIDTH x HEIGHT points."""
    out = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (200, 80, 20)).save(out, pil_format, **options)
    return out.getvalue()


def big_picture() -> bytes:
    """A real picture that is larger than a thumbnail."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((1_600, 900)).save(out, "PNG")
    return out.getvalue()


def png_with_credentials(size_bytes: int) -> bytes:
    """A PNG with an ancillary chunk like that of content credentials (C2PA), and one unknown."""
    plain = picture()
    added = _chunk(b"caBX", bytes(range(256)) * (size_bytes // 256)) + _chunk(b"prVt", b"\r\n\x00")
    return plain[:PNG_HEAD_BYTES] + added + plain[PNG_HEAD_BYTES:]


def jpeg_with_credentials(segments: int) -> bytes:
    """A JPEG whose size stands behind so many full segments of a signed manifest (APP11)."""
    plain = picture("JPEG")
    segment = b"\xff\xeb\xff\xff" + b"JP\x00\x01" + b"\x5a" * (0xFFFF - 2 - 4)
    return plain[:2] + segment * segments + plain[2:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def delivered(data: bytes, seed: int | None = None, chunk_bytes: int = 1_024) -> ProviderImage:
    """A picture as a provider streams it."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), chunk_bytes):
            yield data[start : start + chunk_bytes]

    return ProviderImage(chunks(), seed)


def sealing(generation_id: str, **fields: Any) -> Seal:
    """Seals with a report of this generation, as the service does."""

    def seal(images: tuple[StoredImage, ...]) -> AttemptReport:
        values = {"ending": "delivered", "images": images, "usd_micros": 3_025} | fields
        return AttemptReport(generation_id=generation_id, attempt=1, **values)

    return seal


def stored(data: bytes, index: int, content_type: str, seed: int | None = None) -> StoredImage:
    """What is recorded of a picture of WIDTH x HEIGHT points."""
    return StoredImage(
        index=index,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        content_type=content_type,
        width=WIDTH,
        height=HEIGHT,
        seed=seed,
    )
