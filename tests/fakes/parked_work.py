"""The real store of waiting work; only its queries are filters over the fake's documents."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_parked_work import APPROVALS_LISTED_MAX, CosmosParkedWork
from shared.domain.approvals import Approval, Vote, read_approval, read_vote
from shared.domain.ids import Partition
from shared.domain.ledger import partition_for
from tests.fakes.cosmos_container import FakeConnection, Item

TO_SWEEP = {
    ("approval", "pending"),
    ("approval", "approved"),
    ("moved_hold", "moved"),
    ("parked_hold", "parked"),
}


class FakeParkedWork(CosmosParkedWork):
    """Over the in-memory container of the ledger."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def votes(self, operation_id: str) -> Sequence[Vote]:
        partition = partition_for(operation_id)
        found = await self._scan(
            partition, lambda d: d["type"] == "vote" and d["operation_id"] == operation_id
        )
        return [read_vote(each) for each in sorted(found, key=lambda d: str(d["id"]))]

    async def approvals(
        self, partition: Partition, tenant_id: str, requester: str | None, *, pending: bool
    ) -> Sequence[Approval]:
        found = await self._scan(
            partition,
            lambda d: (
                d["type"] == "approval"
                and d["tenant_id"] == tenant_id
                and requester in (None, d["requester"])
                and (not pending or d["status"] == "pending")
            ),
        )
        found.sort(key=lambda d: str(d["created_at"]), reverse=True)
        return [read_approval(each) for each in found[:APPROVALS_LISTED_MAX]]

    async def waiting(self, partition: Partition) -> Sequence[Mapping[str, Any]]:
        return await self._scan(
            partition,
            lambda d: (
                (d["type"], d.get("status")) in TO_SWEEP
                and (d["type"] != "parked_hold" or d["waits_for"] == "deferred")
            ),
        )

    async def _scan(self, partition: Partition, wanted: Callable[[Item], bool]) -> list[Item]:
        if partition.key not in self._fake.partitions:
            return []  # no call, so that no fault is spent on periods that never were
        return await answered(lambda: self._fake.scan(partition.key, wanted))
