"""Signals of ended jobs in Cosmos DB: one small document while somebody waits, gone afterwards.

Between instances, because the one that a webhook reaches is seldom the one that waits.
"""

from typing import TYPE_CHECKING, Final

from shared.adapters.cosmos import (
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    create_once,
    read_or_none,
)
from shared.domain.ledger import Patch
from shared.domain.predicates import equal
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

LIMITS_CONTAINER = "limits"  # of short-lived documents; what it is busy with slows no money down
# For one that nobody could delete: longer than anybody follows a run, who would go on by polls.
SIGNAL_TTL_S: Final = 3_600
_ITEM_ID = "signal"
_AWAITED, _TOLD = 1, 2  # revisions
_NOT_FOUND, _PRECONDITION_FAILED = 404, 412


class CosmosJobSignals:
    """Implements the JobSignals port."""

    def __init__(self, connection: CosmosConnection, provider: str) -> None:
        self._connection = connection
        self._provider = provider

    async def expect(self, job_id: str) -> None:
        document = {
            "id": _ITEM_ID,
            "pk": self._partition(job_id),
            "type": "job_signal",
            "revision": _AWAITED,
            "event_id": None,
            "ttl": SIGNAL_TTL_S,
        }
        await create_once(await self._container(), document)

    async def tell(self, job_id: str, event_id: str) -> bool:
        steps = (
            {"op": "set", "path": "/revision", "value": _TOLD},
            {"op": "set", "path": "/event_id", "value": event_id},
        )
        told = Patch(_ITEM_ID, steps, equal({"revision": _AWAITED}))
        try:
            await commit(await self._container(), self._partition(job_id), [told])
        except BatchRefused as refusal:
            if refusal.status not in (_NOT_FOUND, _PRECONDITION_FAILED):
                raise InvariantBroken("A signal was refused in an unforeseen way.") from None
            return False
        return True

    async def is_told(self, job_id: str) -> bool:
        found = await read_or_none(await self._container(), _ITEM_ID, self._partition(job_id))
        return found is not None and found["revision"] == _TOLD

    async def forget(self, job_id: str) -> None:
        from azure.cosmos.exceptions import CosmosResourceNotFoundError

        container = await self._container()
        try:
            await answered(lambda: container.delete_item(_ITEM_ID, self._partition(job_id)))
        except CosmosResourceNotFoundError:
            return

    def _partition(self, job_id: str) -> str:
        return f"job|{self._provider}|{job_id}"

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LIMITS_CONTAINER)
