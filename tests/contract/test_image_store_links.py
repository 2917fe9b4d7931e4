"""The links of the image store, used over HTTP as a browser does; the fake's lead nowhere."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from shared.adapters.blob import BlobConnection
from shared.adapters.blob_images import IMAGES_CONTAINER, BlobImageStore
from shared.adapters.system_clock import SystemClock
from tests.contract import blob_account
from tests.contract.image_bench import delivered, fresh_id, picture, sealing

blobs = blob_account.blobs  # a fixture, found by its name

LIFETIME = timedelta(minutes=5)
CREATE = {"x-ms-blob-type": "BlockBlob"}
LIST = {"restype": "container", "comp": "list"}


@pytest.fixture
def store(blobs: BlobConnection) -> BlobImageStore:
    return BlobImageStore(blobs, SystemClock())


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def kept(store: BlobImageStore) -> str:
    """A generation with two pictures."""
    generation_id = fresh_id()
    images = [delivered(picture("PNG")), delivered(picture("WEBP"))]
    await store.keep(generation_id, images, sealing(generation_id))
    return generation_id


async def link(store: BlobImageStore, generation_id: str, index: int = 0) -> URL:
    text = await store.link(generation_id, index, SystemClock().now() + LIFETIME)
    return URL(text, encoded=True)


async def test_link_gives_the_original_bytes_and_their_type(
    store: BlobImageStore, browser: aiohttp.ClientSession
) -> None:
    generation_id = await kept(store)
    for index, (name, data) in enumerate(
        [("image/png", picture("PNG")), ("image/webp", picture("WEBP"))]
    ):
        async with browser.get(await link(store, generation_id, index)) as answer:
            assert (answer.status, answer.content_type) == (200, name)
            assert await answer.read() == data


async def test_link_ends_at_its_time(store: BlobImageStore, browser: aiohttp.ClientSession) -> None:
    generation_id = await kept(store)
    soon = SystemClock().now() + timedelta(seconds=1)
    past = await store.link(generation_id, 0, SystemClock().now() - timedelta(seconds=1))
    short = await store.link(generation_id, 0, soon)
    async with browser.get(URL(past, encoded=True)) as answer:
        assert answer.status == 403
    await asyncio.sleep((soon - SystemClock().now()).total_seconds() + 0.1)
    async with browser.get(URL(short, encoded=True)) as answer:
        assert answer.status == 403


async def test_link_opens_no_other_picture(
    store: BlobImageStore, browser: aiohttp.ClientSession
) -> None:
    generation_id = await kept(store)
    first, second = await link(store, generation_id, 0), await link(store, generation_id, 1)
    async with browser.get(second.with_query(first.query)) as answer:
        assert answer.status == 403
    listing = second.with_path(second.path.split(f"/{IMAGES_CONTAINER}/")[0] + "/images")
    async with browser.get(listing.with_query(first.query).update_query(LIST)) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_link_changes_nothing(
    store: BlobImageStore, browser: aiohttp.ClientSession, method: str
) -> None:
    generation_id = await kept(store)
    url = await link(store, generation_id)
    async with browser.request(method, url, data=b"other", headers=CREATE) as answer:
        assert answer.status == 403
    async with browser.get(url) as answer:
        assert await answer.read() == picture("PNG")


async def test_link_to_a_picture_that_is_not_there_is_not_found(
    store: BlobImageStore, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(await link(store, fresh_id())) as answer:
        assert answer.status == 404
