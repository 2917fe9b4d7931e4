"""The BatchFiles port: one suite on the fake and on the adapter over Azurite."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from shared.adapters.blob import BlobConnection
from shared.adapters.blob_batch_files import (
    BATCHES_CONTAINER,
    CHUNKS_CACHED_MAX,
    RESULTS_CONTAINER,
    BlobBatchFiles,
)
from shared.domain.batch_plans import BatchChunk, PlannedFault, PlannedQuote, PlannedRow
from shared.domain.ids import operation_id
from shared.errors import InvariantBroken, Unavailable
from shared.ports import BatchFiles
from tests import builders
from tests.contract import blob_account
from tests.fakes.batch_files import FakeBatchFiles

# Fixtures, found by their names.
blobs, silent_blobs = blob_account.blobs, blob_account.silent_blobs

CSV = "text/csv; charset=utf-8"
PART_BYTES = 900_000
PARTS = 6  # more than one block of the SDK's upload, which has 4 MiB


@dataclass
class FilesBench:
    """Writers and readers of the same files, as on several workers."""

    writer: BatchFiles
    reader: BatchFiles


@pytest.fixture(params=["fake", "azurite"])
def bench(request: pytest.FixtureRequest) -> FilesBench:
    if request.param == "fake":
        files = FakeBatchFiles()
        return FilesBench(files, files)
    blobs = request.getfixturevalue("blobs")
    return FilesBench(BlobBatchFiles(blobs), BlobBatchFiles(blobs))


@pytest.fixture
def batch_id() -> str:
    return operation_id(builders.PARTITION, uuid.uuid4().hex)


def chunk(batch_id: str, plan: str = "plan-1", prompt: str = "a lighthouse") -> BatchChunk:
    """A valid row and a faulty one."""
    rows = (
        PlannedRow(
            row=1,
            item_id="naïve-1",
            request=builders.request(prompt=prompt),
            quote=PlannedQuote(usd_micros=2**53 - 1, amount_micros=1),
        ),
        PlannedRow(row=2, line=3, item_id="", faults=(PlannedFault(field="/size", message="?"),)),
    )
    return BatchChunk(
        batch_id=batch_id,
        plan=plan,
        tenant_id=builders.TENANT,
        department_id=builders.DEPARTMENT,
        user_key=builders.caller().key,
        actor_role="StandardUser",
        correlation_id="c-1",
        created_at=builders.CREATED_AT,
        price_version="p-1",
        exchange_rate_version="x-1",
        aud_per_usd_micros=1_540_000,
        rows=rows,
    )


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_chunk_is_what_was_put(bench: FilesBench, batch_id: str) -> None:
    made = chunk(batch_id, prompt='a "lighthouse", 灯台 \U0001f5fc\nat dawn')
    await bench.writer.put_chunk(0, made)
    found = await bench.reader.chunk(batch_id, "plan-1", 0)
    assert found == made
    assert found.work_item(found.rows[0]).request == made.rows[0].request


async def test_chunks_are_told_apart_by_batch_plan_and_number(
    bench: FilesBench, batch_id: str
) -> None:
    other_id = operation_id(builders.PARTITION, batch_id)
    places = [
        (batch_id, "plan-1", 0),
        (batch_id, "plan-1", 1),
        (batch_id, "plan-2", 0),
        (other_id, "plan-1", 0),
    ]
    for number, (owner, plan, at) in enumerate(places):
        await bench.writer.put_chunk(at, chunk(owner, plan, prompt=f"lighthouse {number}"))
    for number, (owner, plan, at) in enumerate(places):
        found = await bench.reader.chunk(owner, plan, at)
        assert found == chunk(owner, plan, prompt=f"lighthouse {number}")


async def test_chunk_put_again_before_it_is_read_is_the_last_one(
    bench: FilesBench, batch_id: str
) -> None:
    for prompt in ("first", "second"):
        await bench.writer.put_chunk(0, chunk(batch_id, prompt=prompt))
    assert await bench.reader.chunk(batch_id, "plan-1", 0) == chunk(batch_id, prompt="second")


async def test_chunk_that_is_missing_is_a_broken_invariant(
    bench: FilesBench, batch_id: str
) -> None:
    await bench.writer.put_chunk(0, chunk(batch_id))
    for plan, number in (("plan-1", 1), ("plan-2", 0)):
        with pytest.raises(InvariantBroken):
            await bench.reader.chunk(batch_id, plan, number)


async def test_chunk_that_was_missing_is_found_once_it_is_put(
    bench: FilesBench, batch_id: str
) -> None:
    with pytest.raises(InvariantBroken):
        await bench.reader.chunk(batch_id, "plan-1", 0)
    await bench.writer.put_chunk(0, chunk(batch_id))
    assert await bench.reader.chunk(batch_id, "plan-1", 0) == chunk(batch_id)


async def test_result_is_what_was_streamed(bench: FilesBench, batch_id: str) -> None:
    parts = [b"a,b\r\n", b"", "é\n".encode(), b"\x00\xff"]
    await bench.writer.put_result(batch_id, "errors.csv", CSV, stream(*parts))
    assert await bench.reader.result(batch_id, "errors.csv") == b"".join(parts)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the SDK's choice
async def test_result_of_many_blocks_is_complete(bench: FilesBench, batch_id: str) -> None:
    parts = [bytes([number]) * PART_BYTES for number in range(PARTS)]
    await bench.writer.put_result(batch_id, "results.jsonl", CSV, stream(*parts))
    assert await bench.reader.result(batch_id, "results.jsonl") == b"".join(parts)


async def test_result_without_a_part_is_empty_and_not_none(
    bench: FilesBench, batch_id: str
) -> None:
    await bench.writer.put_result(batch_id, "results.jsonl", CSV, stream())
    assert await bench.reader.result(batch_id, "results.jsonl") == b""


async def test_result_written_again_is_the_last_one(bench: FilesBench, batch_id: str) -> None:
    for body in (b"a long first body", b"short"):
        await bench.writer.put_result(batch_id, "receipt.json", CSV, stream(body))
    assert await bench.reader.result(batch_id, "receipt.json") == b"short"


async def test_result_that_is_missing_is_none(bench: FilesBench, batch_id: str) -> None:
    await bench.writer.put_result(batch_id, "receipt.json", CSV, stream(b"{}"))
    assert await bench.reader.result(batch_id, "receipt.csv") is None
    assert await bench.reader.result(f"{batch_id}x", "receipt.json") is None


async def test_result_whose_stream_breaks_leaves_the_one_before(
    bench: FilesBench, batch_id: str
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half of"
        raise LookupError("a record could not be read")

    await bench.writer.put_result(batch_id, "receipt.json", CSV, stream(b"whole"))
    with pytest.raises(LookupError):
        await bench.writer.put_result(batch_id, "receipt.json", CSV, broken())
    assert await bench.reader.result(batch_id, "receipt.json") == b"whole"


async def test_result_carries_its_type_for_browsers(blobs: BlobConnection, batch_id: str) -> None:
    await BlobBatchFiles(blobs).put_result(batch_id, "errors.csv", CSV, stream(b"a"))
    blob = blobs.blob(RESULTS_CONTAINER, f"{batch_id}/errors.csv")
    properties = await blob.get_blob_properties()
    assert properties.content_settings.content_type == CSV


async def test_chunks_that_were_read_lately_are_not_read_again(
    blobs: BlobConnection, batch_id: str
) -> None:
    files = BlobBatchFiles(blobs)
    count = CHUNKS_CACHED_MAX + 1
    for number in range(count):
        await files.put_chunk(number, chunk(batch_id, prompt=f"lighthouse {number}"))
        await files.chunk(batch_id, "plan-1", number)
    for blob in await _names(blobs, batch_id):
        await blobs.blob(BATCHES_CONTAINER, blob).delete_blob()
    for number in range(1, count):
        found = await files.chunk(batch_id, "plan-1", number)
        assert found == chunk(batch_id, prompt=f"lighthouse {number}")
    with pytest.raises(InvariantBroken):  # the oldest had to go, so that memory stays bounded
        await files.chunk(batch_id, "plan-1", 0)


async def _names(blobs: BlobConnection, batch_id: str) -> list[str]:
    container = blobs.service().get_container_client(BATCHES_CONTAINER)
    found = container.list_blobs(name_starts_with=batch_id)
    return [str(blob.name) async for blob in found]


async def test_files_that_do_not_answer_are_unavailable(
    silent_blobs: BlobConnection, batch_id: str
) -> None:
    files = BlobBatchFiles(silent_blobs)
    with pytest.raises(Unavailable):
        await files.put_chunk(0, chunk(batch_id))
    with pytest.raises(Unavailable):
        await files.chunk(batch_id, "plan-1", 0)
    with pytest.raises(Unavailable):
        await files.put_result(batch_id, "receipt.json", CSV, stream(b"{}"))
    with pytest.raises(Unavailable):
        await files.result(batch_id, "receipt.json")
