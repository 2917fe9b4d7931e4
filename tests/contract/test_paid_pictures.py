"""Thumbnails that threads draw of paid pictures, on Azurite: once, with the tags of the picture."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import IO

import pytest
import pytest_asyncio
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, StandardBlobTier
from PIL import Image

from shared.adapters import blob_paid_pictures
from shared.adapters.blob import BlobAccount, BlobConnection
from shared.adapters.blob_images import BlobImageStore
from shared.adapters.blob_paid_pictures import BlobPaidPictures
from shared.adapters.blob_picture_storage import BlobPictureStorage
from shared.adapters.pillow_thumbnails import SIDE_MAX, draw_thumbnail
from shared.adapters.system_clock import SystemClock
from shared.domain.blob_paths import (
    IMAGES_CONTAINER,
    THUMBNAILS_CONTAINER,
    PictureName,
    new_tags,
)
from shared.errors import Conflict, Unavailable
from shared.services.thumbnail_drawing import ThumbnailDrawing
from tests.contract import blob_account
from tests.contract.image_bench import big_picture, delivered, draw, fresh_id, sealing

blobs = blob_account.blobs  # a fixture, found by its name


@pytest.fixture
def storage(blobs: BlobConnection) -> BlobPictureStorage:
    return BlobPictureStorage(blobs)


async def kept(blobs: BlobConnection, data: bytes | None = None, count: int = 1) -> PictureName:
    generation_id = fresh_id()
    pictures = [delivered(data or big_picture()) for _ in range(count)]
    store = BlobImageStore(blobs, SystemClock())
    await store.keep(generation_id, pictures, sealing(generation_id))
    return PictureName(generation_id, 0)


@pytest_asyncio.fixture
async def name(blobs: BlobConnection) -> AsyncIterator[PictureName]:
    yield await kept(blobs)


async def test_custody_itself_draws_nothing(storage: BlobPictureStorage, name: PictureName) -> None:
    assert await storage.thumbnail(name) is None


async def test_thumbnail_is_drawn_once_with_the_tags_of_its_picture(
    blobs: BlobConnection, storage: BlobPictureStorage, name: PictureName
) -> None:
    assert await draw([name]) == 1
    content = await storage.thumbnail(name)
    assert content is not None
    with Image.open(io.BytesIO(content)) as small:
        assert (small.format, small.size) == ("WEBP", (SIDE_MAX, 288))
    blob = blobs.blob(THUMBNAILS_CONTAINER, name.thumbnail)
    assert await blob.get_blob_tags() == new_tags("seven-years")
    properties = await blob.get_blob_properties()
    assert properties.content_settings.content_type == "image/webp"
    assert await draw([name], lambda _: b"other") == 0
    assert await storage.thumbnail(name) == content


async def test_picture_that_cannot_be_drawn_stays_and_does_not_stop_the_others(
    blobs: BlobConnection, storage: BlobPictureStorage, name: PictureName
) -> None:
    whole = big_picture()
    cut = await kept(blobs, whole[: len(whole) // 2])  # its head is right
    gone = PictureName(fresh_id(), 0)
    assert await draw([cut, gone, name]) == 1
    assert await storage.thumbnail(name) is not None
    assert await storage.thumbnail(cut) is None
    state = await storage.state(cut)
    assert state is not None and state.size_bytes == len(whole) // 2
    assert await storage.thumbnail(gone) is None


async def test_archived_picture_is_left_out(
    blobs: BlobConnection, storage: BlobPictureStorage, name: PictureName
) -> None:
    blob = blobs.blob(IMAGES_CONTAINER, name.blob)
    await blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    assert await draw([name]) == 0
    assert await storage.thumbnail(name) is None


async def test_picture_that_is_held_while_it_is_drawn_passes_its_hold_on(
    blobs: BlobConnection, storage: BlobPictureStorage, name: PictureName
) -> None:
    loop = asyncio.get_running_loop()

    def held_meanwhile(file: IO[bytes]) -> bytes | None:
        """Draws, while somebody holds the picture: the thumbnail is not there yet."""
        hold = storage.set_hold(name, 1, held=True)
        asyncio.run_coroutine_threadsafe(hold, loop).result(10)
        return draw_thumbnail(file)

    assert await draw([name], held_meanwhile) == 1
    tags = await blobs.blob(THUMBNAILS_CONTAINER, name.thumbnail).get_blob_tags()
    assert tags["hold"] == "legal"


async def test_thumbnail_of_a_faster_writer_keeps_its_bytes_and_its_hold(
    blobs: BlobConnection, storage: BlobPictureStorage, name: PictureName
) -> None:
    loop = asyncio.get_running_loop()

    async def first_reader() -> None:
        await storage.put_thumbnail(name, b"first")
        await storage.set_hold(name, 1, held=True)

    def slower(_: IO[bytes]) -> bytes:
        asyncio.run_coroutine_threadsafe(first_reader(), loop).result(10)
        return b"second"

    await draw([name], slower)
    assert await storage.thumbnail(name) == b"first"
    tags = await blobs.blob(THUMBNAILS_CONTAINER, name.thumbnail).get_blob_tags()
    assert (tags["hold"], tags["hold-revision"]) == ("legal", "1")


async def test_picture_deleted_while_it_is_drawn_gets_no_thumbnail(
    blobs: BlobConnection, storage: BlobPictureStorage, name: PictureName
) -> None:
    loop = asyncio.get_running_loop()

    async def delete() -> None:
        await blobs.blob(IMAGES_CONTAINER, name.blob).delete_blob()

    def deleted_meanwhile(file: IO[bytes]) -> bytes | None:
        asyncio.run_coroutine_threadsafe(delete(), loop).result(10)
        return draw_thumbnail(file)

    await draw([name], deleted_meanwhile)
    assert await storage.thumbnail(name) is None


async def test_threads_share_one_client_and_one_decoded_picture_at_a_time(
    blobs: BlobConnection, storage: BlobPictureStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await kept(blobs, count=6)
    names = [PictureName(first.generation_id, index) for index in range(6)]
    decoding, alone, connected = threading.Semaphore(1), [], []
    connect = BlobPaidPictures._connect

    def counted(pictures: BlobPaidPictures) -> BlobServiceClient:
        connected.append(pictures)
        return connect(pictures)

    monkeypatch.setattr(BlobPaidPictures, "_connect", counted)

    def small(file: IO[bytes]) -> bytes | None:
        alone.append(decoding.acquire(blocking=False))
        drawn = draw_thumbnail(file)
        decoding.release()
        return drawn

    def draw_all() -> list[int]:
        account = BlobAccount(blob_account.azurite(), None)
        with closing(BlobPaidPictures(account)) as pictures, ThreadPoolExecutor(6) as threads:
            drawing = ThumbnailDrawing(pictures, small)
            return list(threads.map(lambda each: drawing.draw([each.image_id]), names))

    assert await asyncio.to_thread(draw_all) == [1] * 6
    assert alone == [True] * 6
    assert len(connected) == 1
    assert None not in [await storage.thumbnail(each) for each in names]


def test_store_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_paid_pictures, "TRANSPORT", {"retry_total": 0})
    silent = BlobAccount(blob_account.connection_string(blob_account.free_port()), None)
    with closing(BlobPaidPictures(silent)) as pictures, pytest.raises(Unavailable):
        pictures.put_thumbnail(PictureName(fresh_id(), 0), b"small")


@pytest.mark.parametrize(("others", "expected"), [(3, "legal"), (100, "none")])
def test_tags_that_others_change_are_read_again_until_it_is_a_conflict(
    others: int, expected: str
) -> None:
    """Azurite does not look at the condition, so its refusal is played here."""

    class Contended:
        def __init__(self, tags: dict[str, str], left: int) -> None:
            self.tags, self.left = tags, left

        def get_blob_tags(self) -> dict[str, str]:
            return dict(self.tags)

        def set_blob_tags(self, tags: dict[str, str], if_tags_match_condition: str) -> None:
            assert if_tags_match_condition == "\"retention\"='one-year' AND \"hold\"='none'"
            if self.left:
                self.left -= 1
                refusal = HttpResponseError("somebody was first")
                refusal.error_code, refusal.status_code = "ConditionNotMet", 412  # type: ignore[attr-defined]
                raise refusal
            self.tags = tags

    original = Contended({**new_tags("one-year"), "hold": "legal"}, 0)
    thumbnail = Contended(new_tags("one-year"), others)
    follow = blob_paid_pictures._follow
    if expected == "none":
        with pytest.raises(Conflict):
            follow(thumbnail, original, new_tags("one-year"))  # type: ignore[arg-type]
    else:
        follow(thumbnail, original, new_tags("one-year"))  # type: ignore[arg-type]
    assert thumbnail.tags["hold"] == expected
