"""Every writer of blobs writes what the lifecycle rules match: a walk through all containers."""

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest_asyncio

from devhost.lifecycle import Blob, read_rules, steps
from devhost.resources import read_resources
from devhost.tiering import blobs_of
from shared.adapters.blob import BlobConnection
from shared.adapters.blob_batch_files import BlobBatchFiles
from shared.adapters.blob_images import BlobImageStore
from shared.adapters.blob_uploads import BlobUploads
from shared.adapters.lifecycle_file import load_lifecycle
from shared.adapters.system_clock import SystemClock
from shared.domain.batch_plans import BatchChunk
from shared.domain.blob_paths import PictureName
from shared.domain.storage_tiers import StoredBlob, Tier
from tests import builders
from tests.contract import blob_account
from tests.contract.image_bench import delivered, draw, fresh_id, picture, sealing

blobs = blob_account.blobs  # a fixture, found by its name
ADAPTERS = Path(__file__).resolve().parents[2] / "shared" / "adapters"
WRITES = re.compile(
    r"upload_blob\(|commit_block_list\(|append_block\(|start_copy_from_url\("
    r"|create_\w+_blob\(|upload_blob_from_url\(|BlobSasPermissions\([^)]*(add|create|write)="
)
# Every module that puts blobs, and where. A new writer is added here and lets `write_all` write.
WRITERS = {
    "blob_images": {"images"},
    "blob_paid_pictures": {"thumbnails"},
    "blob_picture_storage": {"thumbnails"},  # the same for first readers; see its own tests
    "blob_batch_files": {"batches", "results"},
    "blob_uploads": {"uploads"},  # through the link that it signs
}
EVIDENCE = frozenset({"blob_audit_log"})  # no rule touches it; see test_storage_tiers.py
TEN_YEARS = 3_660
TIERS: dict[str, Tier] = {"Hot": "hot", "Cool": "cool", "Cold": "cold", "Archive": "archive"}
# What becomes of what each writer writes, by container, if it is made under `one-year`.
FATES = {
    "images": ["cool", "cold", "archive", "deleted"],
    "thumbnails": ["deleted"],
    "uploads": ["deleted"],
    "batches": ["deleted"],
    "results": ["cool", "cold", "deleted"],
}


async def one_year(_: str) -> str:
    return "one-year"


async def write_all(connection: BlobConnection) -> str:
    """Let every writer write once; the mark that all of the paths carry."""
    mark = uuid.uuid4().hex
    clock = SystemClock()
    generation_id = fresh_id()[:-32] + mark
    store = BlobImageStore(connection, clock, one_year)
    pictures = [delivered(picture()) for _ in range(2)]
    await store.keep(generation_id, pictures, sealing(generation_id))
    assert await draw([PictureName(generation_id, index) for index in range(2)]) == 2

    files = BlobBatchFiles(connection)
    chunk = BatchChunk(
        batch_id=mark,
        plan="p",
        tenant_id=builders.TENANT,
        department_id=builders.DEPARTMENT,
        user_key=builders.caller().key,
        actor_role="StandardUser",
        correlation_id="c-1",
        created_at=builders.CREATED_AT,
        price_version="p-1",
        exchange_rate_version="x-1",
        aud_per_usd_micros=1_500_000,
        rows=(),
    )
    await files.put_chunk(0, chunk)
    await files.put_result(mark, "receipt.json", "application/json", _one(b"{}"))

    expires_at = clock.now() + timedelta(minutes=5)
    link = await BlobUploads(connection, clock).slot_link(mark, "rows.csv", expires_at)
    headers = {"x-ms-blob-type": "BlockBlob"}
    async with (
        aiohttp.ClientSession() as browser,
        browser.put(link, data=b"id,prompt\n", headers=headers) as answer,
    ):
        assert answer.status == 201
    return mark


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest_asyncio.fixture
async def written(blobs: BlobConnection) -> dict[str, list[Blob]]:
    """What every writer has written, by container."""
    mark = await write_all(blobs)
    return {
        container: [
            blob async for blob in blobs_of(blobs.service(), container) if mark in blob.path
        ]
        for container in read_resources().blob_containers
    }


def test_every_module_that_writes_blobs_is_known_here() -> None:
    found = {p.stem for p in ADAPTERS.rglob("*.py") if WRITES.search(p.read_text("utf-8"))}
    assert found - EVIDENCE == set(WRITERS)


async def test_every_writer_has_written_to_the_containers_it_is_known_for(
    written: dict[str, list[Blob]],
) -> None:
    used = {container for container, found in written.items() if found}
    assert used == {container for each in WRITERS.values() for container in each} == set(FATES)


async def test_every_blob_that_is_written_has_the_fate_of_its_container(
    written: dict[str, list[Blob]],
) -> None:
    now = datetime.now(UTC)
    policy = load_lifecycle(tracks_access=False)
    for container, found in written.items():
        for blob in found:
            taken = steps(read_rules(), blob, now, TEN_YEARS)
            assert [(step.tier or "deleted").lower() for step in taken] == FATES[container]
            stored = StoredBlob(
                path=blob.path,
                tier=TIERS[blob.tier],
                size_bytes=blob.size_bytes,
                created=blob.created,
                modified=blob.modified,
                tags=blob.tags,
            )
            expected = policy.changes(stored, now + timedelta(days=1), TEN_YEARS)
            assert [(c.run + 1, c.rule) for c in expected] == [(s.day, s.rule) for s in taken]
