"""Plans and results of batches in memory."""

from collections.abc import AsyncIterator

from shared.domain.batch_plans import BatchChunk
from shared.errors import InvariantBroken


class FakeBatchFiles:
    """Chunks by batch and number, results by path; the last writer wins."""

    def __init__(self) -> None:
        self.chunks: dict[tuple[str, str, int], BatchChunk] = {}
        self.results: dict[str, bytes] = {}

    async def put_chunk(self, number: int, chunk: BatchChunk) -> None:
        self.chunks[chunk.batch_id, chunk.plan, number] = chunk

    async def chunk(self, batch_id: str, plan: str, number: int) -> BatchChunk:
        if (batch_id, plan, number) not in self.chunks:
            raise InvariantBroken("A part of the batch's plan is missing.")
        return self.chunks[batch_id, plan, number]

    async def put_result(
        self, folder: str, name: str, content_type: str, parts: AsyncIterator[bytes]
    ) -> None:
        self.results[f"{folder}/{name}"] = b"".join([part async for part in parts])

    async def result(self, folder: str, name: str) -> bytes | None:
        return self.results.get(f"{folder}/{name}")
