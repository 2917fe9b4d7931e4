"""The real ledger of allocations; only its queries are filters over the fake's documents."""

from collections.abc import Sequence

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_allocations import CosmosAllocations
from shared.domain.allocations import Transfer, read_transfer
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.errors import Invalid
from tests.fakes.cosmos_container import FakeConnection


class FakeAllocations(CosmosAllocations):
    """Over the in-memory container of the ledger."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def unfinished(self, partition: Partition, before: str) -> Sequence[Transfer]:
        found = [read_transfer(document) for document in await self._scan(partition)]
        return [each for each in found if each.is_open and each.created_at < before]

    async def transfers(
        self, partition: Partition, continuation: str | None, limit: int
    ) -> tuple[Sequence[Transfer], str | None]:
        if continuation is not None and not continuation.isdecimal():
            raise Invalid("The continuation token is not one of this listing's.")
        start = int(continuation or "0")
        found = [read_transfer(document) for document in await self._scan(partition)]
        found.sort(key=lambda transfer: transfer.created_at, reverse=True)
        more = str(start + limit) if start + limit < len(found) else None
        return found[start : start + limit], more

    async def _scan(self, partition: Partition) -> list[Document]:
        if partition.key not in self._fake.partitions:
            return []  # no call, so that no fault is spent on periods that never were
        return await answered(
            lambda: self._fake.scan(partition.key, lambda each: each["type"] == "transfer")
        )
