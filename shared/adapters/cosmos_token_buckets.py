"""Token buckets in Cosmos DB: small documents of their own container, written under their revision.

The container is apart from the ledger's, so that a storm of requests that are refused spends no
throughput that money needs. A partition takes some hundred writes a second; each worker sends one
at a time, whatever the number of its requests (see services/token_buckets.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.adapters.cosmos import (
    BatchRefused,
    CosmosConnection,
    commit,
    read_or_none,
)
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.predicates import equal
from shared.domain.token_buckets import (
    BucketDocument,
    read_document,
    stored_document,
    stored_fields,
)
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

LIMITS_CONTAINER = "limits"
_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED = 404, 409, 412


class CosmosTokenBuckets:
    """Implements the TokenBucketStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LIMITS_CONTAINER)

    async def read(self, partition: str, ids: Sequence[str]) -> list[BucketDocument]:
        container = await self._container()
        found = [await read_or_none(container, each, partition) for each in ids]
        return [
            read_document(stored) if stored else BucketDocument(document_id)
            for document_id, stored in zip(ids, found, strict=True)
        ]

    async def write(self, partition: str, documents: Sequence[BucketDocument]) -> bool:
        operations = [_put(partition, document) for document in documents]
        try:
            await commit(await self._container(), partition, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("Token buckets could not be written.") from None
            # Ours, if an answer was lost and the same write was sent again.
            standing = await self.read(partition, [documents[0].document_id])
            return standing[0].change_id == documents[0].change_id
        return True


def _put(partition: str, document: BucketDocument) -> Operation:
    if document.revision == 1:
        return Create(stored_document(partition, document))
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": value}
        for name, value in stored_fields(document).items()
    )
    return Patch(document.document_id, steps, equal({"revision": document.revision - 1}))
