"""The real store of waiting work; only its queries are filters over the fake's documents."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_parked_work import (
    APPROVALS_LISTED_MAX,
    WAITING_PER_PAGE,
    CosmosParkedWork,
)
from shared.domain.approvals import Approval, Vote, read_approval, read_vote
from shared.domain.ids import Partition
from shared.domain.ledger import partition_for
from tests.fakes.cosmos_container import FakeConnection, Item


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

    async def waiting(
        self, partition: Partition, now: str, after: str
    ) -> Sequence[Mapping[str, Any]]:
        found = await self._scan(partition, lambda d: d["id"] > after and _is_due(d, now))
        return sorted(found, key=lambda d: str(d["id"]))[:WAITING_PER_PAGE]

    async def _scan(self, partition: Partition, wanted: Callable[[Item], bool]) -> list[Item]:
        if partition.key not in self._fake.partitions:
            return []  # no call, so that no fault is spent on periods that never were
        return await answered(lambda: self._fake.scan(partition.key, wanted))


def _is_due(document: Item, now: str) -> bool:
    """What the sweep looks after: see CosmosParkedWork.waiting."""
    kind, status = document["type"], document.get("status")
    if kind == "approval" and status == "pending":
        escalates = document["escalations"] == 0 and document["escalates_at"] <= now
        return bool(document["expires_at"] <= now or escalates)
    if kind == "parked_hold":
        return bool(status == "parked" and document["waits_for"] == "deferred")
    return (kind, status) in {("approval", "approved"), ("moved_hold", "moved")}
