"""The real store of grants; only its queries are filters over the fake's documents."""

from collections.abc import Callable, Sequence

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_grants import GRANTS_LISTED_MAX, CosmosGrants
from shared.domain.grants import Grant, read_grant
from shared.domain.ids import Partition
from tests.fakes.cosmos_container import FakeConnection, Item


class FakeGrants(CosmosGrants):
    """Over the in-memory container of the ledger."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def grants(self, partition: Partition, *, active: bool) -> Sequence[Grant]:
        found = await self._scan(partition, lambda d: not active or d["status"] == "active")
        found.sort(key=lambda grant: grant.created_at, reverse=True)
        return found[:GRANTS_LISTED_MAX]

    async def due(self, partition: Partition, now: str) -> Sequence[Grant]:
        return await self._scan(
            partition, lambda d: d["status"] == "active" and d["ends_at"] <= now
        )

    async def _scan(self, partition: Partition, wanted: Callable[[Item], bool]) -> list[Grant]:
        if partition.key not in self._fake.partitions:
            return []  # no call, so that no fault is spent on periods that never were
        found = await answered(
            lambda: self._fake.scan(partition.key, lambda d: d["type"] == "grant" and wanted(d))
        )
        return [read_grant(document) for document in found]
