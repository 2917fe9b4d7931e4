"""The Uploads port over Azurite, its links used over HTTP as a department does; it has no fake."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from shared.adapters.blob import BlobConnection
from shared.adapters.blob_uploads import READ_BYTES_MAX, UPLOADS_CONTAINER, BlobUploads
from shared.adapters.system_clock import SystemClock
from shared.domain.ids import operation_id
from shared.errors import Unavailable
from tests import builders
from tests.contract import blob_account

# Fixtures, found by their names.
blobs, silent_blobs = blob_account.blobs, blob_account.silent_blobs

LIFETIME = timedelta(minutes=5)
BLOCK = {"x-ms-blob-type": "BlockBlob"}
BLOCK_LIST = "<BlockList><Latest>AAAA</Latest></BlockList>"
FILE_NAME = "lighthouses.csv"
FIRST = b"prompt\na lighthouse\n"


@dataclass
class Department:
    """Somebody with a link to one slot, and nothing else."""

    session: aiohttp.ClientSession
    link: URL
    slot_id: str

    async def send(
        self, method: str, body: bytes = b"", query: str = "", **headers: str
    ) -> tuple[int, bytes]:
        """Use the link; returns status and body."""
        url = URL(f"{self.link}{query}", encoded=True)
        async with self.session.request(method, url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def upload(self, body: bytes = FIRST) -> int:
        status, _ = await self.send("PUT", body, **BLOCK)
        return status


@pytest.fixture
def uploads(blobs: BlobConnection) -> BlobUploads:
    return BlobUploads(blobs, SystemClock())


@pytest.fixture
def slot_id() -> str:
    return operation_id(builders.PARTITION, "slot", uuid.uuid4().hex)


@pytest_asyncio.fixture
async def department(uploads: BlobUploads, slot_id: str) -> AsyncIterator[Department]:
    link = await uploads.slot_link(slot_id, FILE_NAME, SystemClock().now() + LIFETIME)
    async with aiohttp.ClientSession() as session:
        yield Department(session, URL(link, encoded=True), slot_id)


async def content(uploads: BlobUploads, path: str) -> bytes | None:
    file = await uploads.open(path)
    if file is None:
        return None
    with file.stream:
        return file.stream.read()


async def test_link_creates_the_file(uploads: BlobUploads, department: Department) -> None:
    assert await department.upload() == 201
    assert await content(uploads, f"{department.slot_id}/{FILE_NAME}") == FIRST


@pytest.mark.parametrize("name", ["naïve file.csv", "50% #1?.csv", "a+b&c=d.csv", "灯台.jsonl"])
async def test_link_creates_a_file_of_any_name(
    uploads: BlobUploads, department: Department, name: str
) -> None:
    link = await uploads.slot_link(department.slot_id, name, SystemClock().now() + LIFETIME)
    assert f"/{quote(name)}?" in link
    other = Department(department.session, URL(link, encoded=True), department.slot_id)
    assert await other.upload() == 201
    assert await content(uploads, f"{department.slot_id}/{name}") == FIRST


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("PUT", "", BLOCK),
        ("PUT", "", BLOCK | {"If-Match": "*"}),
        ("PUT", "", {"x-ms-blob-type": "AppendBlob"}),
        ("PUT", "", {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"}),
        ("PUT", "&comp=block&blockid=AAAA", {}),
        ("PUT", "&comp=blocklist", {}),
        ("PUT", "&comp=metadata", {"x-ms-meta-owner": "somebody"}),
        ("PUT", "&comp=properties", {"x-ms-blob-content-type": "text/html"}),
        ("GET", "", {}),
        ("HEAD", "", {}),
        ("DELETE", "", {}),
        ("GET", "&comp=blocklist", {}),
    ],
)
async def test_link_can_neither_replace_change_read_nor_delete(
    uploads: BlobUploads,
    department: Department,
    method: str,
    query: str,
    headers: dict[str, str],
) -> None:
    await department.upload()
    body = BLOCK_LIST.encode() if query == "&comp=blocklist" else b""
    status, answer = await department.send(method, body, query, **headers)
    assert status in (403, 409)
    assert FIRST not in answer
    assert await content(uploads, f"{department.slot_id}/{FILE_NAME}") == FIRST


async def test_link_opens_no_other_path_and_lists_nothing(department: Department) -> None:
    await department.upload()
    account = str(department.link).split(f"/{UPLOADS_CONTAINER}/", maxsplit=1)[0]
    query = department.link.raw_query_string
    other_slot = operation_id(builders.PARTITION, "slot", "another")
    attempts = [
        ("PUT", f"{UPLOADS_CONTAINER}/{department.slot_id}/other.csv?{query}"),
        ("PUT", f"{UPLOADS_CONTAINER}/{other_slot}/{FILE_NAME}?{query}"),
        ("PUT", f"images/{department.slot_id}/{FILE_NAME}?{query}"),
        ("GET", f"{UPLOADS_CONTAINER}?restype=container&comp=list&{query}"),
        ("GET", f"?comp=list&{query}"),
    ]
    for method, path in attempts:
        url = URL(f"{account}/{path}", encoded=True)
        async with department.session.request(method, url, headers=BLOCK) as answer:
            assert answer.status == 403, path


async def test_link_ends_at_its_time(uploads: BlobUploads, department: Department) -> None:
    soon = SystemClock().now() + timedelta(seconds=1)
    for expires_at in (SystemClock().now() - timedelta(seconds=1), soon):
        link = await uploads.slot_link(department.slot_id, "late.csv", expires_at)
        department.link = URL(link, encoded=True)
        await asyncio.sleep(max(0.0, (expires_at - SystemClock().now()).total_seconds() + 0.1))
        assert await department.upload() == 403
    assert await uploads.open(f"{department.slot_id}/late.csv") is None


async def test_open_tells_etag_and_time_as_the_store_does(
    uploads: BlobUploads, blobs: BlobConnection, department: Department
) -> None:
    path = f"{department.slot_id}/{FILE_NAME}"
    await department.upload()
    properties = await blobs.blob(UPLOADS_CONTAINER, path).get_blob_properties()
    for _ in range(2):  # a file that is delivered again keeps both, and so its batch id
        file = await uploads.open(path)
        assert file is not None
        file.stream.close()
        assert file.etag == properties.etag.strip('"')
        assert file.etag.isalnum()
        assert file.last_modified == properties.last_modified
        assert file.last_modified.utcoffset() == timedelta(0)


async def test_open_of_a_file_that_is_gone_is_none(
    uploads: BlobUploads, blobs: BlobConnection, department: Department
) -> None:
    path = f"{department.slot_id}/{FILE_NAME}"
    assert await uploads.open(path) is None
    await department.upload()
    await blobs.blob(UPLOADS_CONTAINER, path).delete_blob()
    assert await uploads.open(path) is None


async def test_open_of_an_empty_file_is_an_empty_stream(
    uploads: BlobUploads, department: Department
) -> None:
    assert await department.upload(b"") == 201
    assert await content(uploads, f"{department.slot_id}/{FILE_NAME}") == b""


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the SDK's choice
@pytest.mark.parametrize("excess_bytes", [-1, 0, 1, 9_000_000])
async def test_open_ends_one_byte_past_the_limit(
    uploads: BlobUploads, blobs: BlobConnection, slot_id: str, excess_bytes: int
) -> None:
    size_bytes = READ_BYTES_MAX + excess_bytes
    body = b"start" + bytes(size_bytes - len(b"startend")) + b"end"
    blob = blobs.blob(UPLOADS_CONTAINER, f"{slot_id}/{FILE_NAME}")
    await blob.upload_blob(body)
    found = await content(uploads, f"{slot_id}/{FILE_NAME}")
    assert found is not None
    assert found == body[:READ_BYTES_MAX]
    await blob.delete_blob()


async def test_open_without_an_answer_is_unavailable(
    silent_blobs: BlobConnection, slot_id: str
) -> None:
    with pytest.raises(Unavailable):
        await BlobUploads(silent_blobs, SystemClock()).open(f"{slot_id}/{FILE_NAME}")
