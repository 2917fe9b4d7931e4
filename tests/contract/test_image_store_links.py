"""The links of the image store, used over HTTP as a browser does; the fake's lead nowhere."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from azure.storage.blob import BlobSasPermissions, UserDelegationKey
from azure.storage.blob.aio import BlobServiceClient
from yarl import URL

from shared.adapters.blob import API_VERSION, CLOCK_SKEW, BlobAccount, BlobConnection
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


async def link(
    store: BlobImageStore, generation_id: str, index: int = 0, lifetime: timedelta = LIFETIME
) -> URL:
    text = await store.link(generation_id, index, SystemClock().now() + lifetime)
    assert text is not None
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
    second = timedelta(seconds=1)
    past = await link(store, generation_id, lifetime=-second)
    short = await link(store, generation_id, lifetime=second)
    soon = SystemClock().now() + second
    async with browser.get(past) as answer:
        assert answer.status == 403
    await asyncio.sleep((soon - SystemClock().now()).total_seconds() + 0.1)
    async with browser.get(short) as answer:
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


class Delegated(BlobServiceClient):
    """An account without a key: Azure lends one for a while, to whoever has the role."""

    asked: tuple[datetime, datetime] | None = None

    async def get_user_delegation_key(
        self, key_start_time: datetime, key_expiry_time: datetime, **_: Any
    ) -> UserDelegationKey:
        self.asked = key_start_time, key_expiry_time
        key = UserDelegationKey()
        key.signed_oid, key.signed_tid = "the-app", "the-tenant"
        key.signed_start, key.signed_expiry = _in_azure(key_start_time), _in_azure(key_expiry_time)
        key.signed_service, key.signed_version = "b", API_VERSION
        key.value = base64.b64encode(b"lent").decode()
        return key


class DelegatedConnection(BlobConnection):
    """Stands for the account in Azure, which the app enters by its identity."""

    def __init__(self) -> None:
        super().__init__(BlobAccount(None, "https://pictures.blob.core.windows.net"))
        self.delegated = Delegated(str(self._account.service_url), NoToken())

    def _connect(self) -> BlobServiceClient:
        return self.delegated


class NoToken:
    """A credential that is never used: nothing is sent."""

    async def get_token(self, *scopes: str, **_: Any) -> Any:
        raise AssertionError(scopes)


def _in_azure(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_link_in_azure_is_signed_by_user_delegation_and_ends_with_its_key() -> None:
    connection, now = DelegatedConnection(), datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    ends = now + LIFETIME
    read, as_file = BlobSasPermissions(read=True), 'attachment; filename="one.png"'
    text = await connection.link(IMAGES_CONTAINER, "a/0", read, now, ends, as_file)
    await connection.aclose()
    url = URL(text, encoded=True)
    assert (url.host, url.path) == ("pictures.blob.core.windows.net", f"/{IMAGES_CONTAINER}/a/0")
    told = dict(url.query)
    assert (told["skoid"], told["sktid"], told["rscd"]) == ("the-app", "the-tenant", as_file)
    assert (told["sp"], told["sr"]) == ("r", "b")
    begins = _in_azure(now - CLOCK_SKEW)
    assert told["st"] == told["skt"] == begins  # neither holds before the other, nor outlives it
    assert told["se"] == told["ske"] == _in_azure(ends)
    assert connection.delegated.asked == (now - CLOCK_SKEW, ends)
    assert told["sig"]
