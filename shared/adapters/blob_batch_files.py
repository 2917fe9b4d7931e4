"""Plans and results of batches in Blob storage.

batches/{batch id}/{plan}/{chunk number}.json      results/{batch id}/{file}
"""

from collections import OrderedDict
from collections.abc import AsyncIterator

from shared.adapters.blob import BlobConnection, answered
from shared.domain.batch_plans import BatchChunk
from shared.errors import InvariantBroken

BATCHES_CONTAINER = "batches"
RESULTS_CONTAINER = "results"
CHUNKS_CACHED_MAX = 8  # a worker runs few chunks at a time; a chunk is about 100 KB


class BlobBatchFiles:
    """Implements the BatchFiles port; the chunks of a reserved plan never change, so they cache."""

    def __init__(self, connection: BlobConnection) -> None:
        self._connection = connection
        self._cache: OrderedDict[str, BatchChunk] = OrderedDict()

    async def put_chunk(self, number: int, chunk: BatchChunk) -> None:
        name = _chunk_name(chunk.batch_id, chunk.plan, number)
        blob = self._connection.blob(BATCHES_CONTAINER, name)
        body = chunk.model_dump_json(exclude_none=True).encode()
        await answered(lambda: blob.upload_blob(body, overwrite=True))

    async def chunk(self, batch_id: str, plan: str, number: int) -> BatchChunk:
        name = _chunk_name(batch_id, plan, number)
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        body = await self._read(BATCHES_CONTAINER, name)
        if body is None:
            raise InvariantBroken("A part of the batch's plan is missing.")
        chunk = BatchChunk.model_validate_json(body)
        self._cache[name] = chunk
        while len(self._cache) > CHUNKS_CACHED_MAX:
            self._cache.popitem(last=False)
        return chunk

    async def put_result(
        self, folder: str, name: str, content_type: str, parts: AsyncIterator[bytes]
    ) -> None:
        from azure.storage.blob import ContentSettings

        blob = self._connection.blob(RESULTS_CONTAINER, f"{folder}/{name}")
        settings = ContentSettings(content_type=content_type)
        await answered(lambda: blob.upload_blob(parts, overwrite=True, content_settings=settings))

    async def result(self, folder: str, name: str) -> bytes | None:
        return await self._read(RESULTS_CONTAINER, f"{folder}/{name}")

    async def _read(self, container: str, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._connection.blob(container, name)

        async def download() -> bytes:
            stream = await blob.download_blob()
            body: bytes = await stream.readall()
            return body

        try:
            return await answered(download)
        except ResourceNotFoundError:
            return None


def _chunk_name(batch_id: str, plan: str, number: int) -> str:
    return f"{batch_id}/{plan}/{number:05d}.json"
