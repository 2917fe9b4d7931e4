"""The health of providers in Cosmos DB: a small document each, beside its own audit outbox."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.document_versions import upgrade
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.predicates import equal
from shared.domain.provider_health import (
    HEALTH_PARTITION,
    SCHEMA_VERSION,
    Breaker,
    breaker_fields,
    document_id_of,
    read_breaker,
)
from shared.domain.provider_notices import (
    BreakerChange,
    announced_operation,
    change_operation,
    read_change,
)
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_PENDING = "SELECT * FROM c WHERE c.type = 'breaker_change' AND c.pending = true"
_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED = 404, 409, 412


class CosmosProviderHealth:
    """Implements the ProviderHealthStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def breaker(self, provider: str) -> Breaker:
        document = await read_or_none(
            await self._container(), document_id_of(provider), HEALTH_PARTITION.key
        )
        return read_breaker(document) if document else Breaker(provider)

    async def put(
        self, breaker: Breaker, event: AuditEvent | None, change: BreakerChange | None = None
    ) -> bool:
        operations = [_put(breaker)]
        if event is not None:
            operations.append(Create(outbox_document(HEALTH_PARTITION, event)))
        if change is not None:
            operations.append(change_operation(change))
        try:
            await commit(await self._container(), HEALTH_PARTITION.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("The health of a provider could not be written.") from None
            # Ours, if an answer was lost and the same write was sent again.
            return (await self.breaker(breaker.provider)).change_id == breaker.change_id
        return True

    async def changes(self, limit: int) -> Sequence[BreakerChange]:
        async def read_all() -> list[BreakerChange]:
            found = (await self._container()).query_items(
                f"{_PENDING} ORDER BY c.raised_at OFFSET 0 LIMIT {int(limit)}",
                partition_key=HEALTH_PARTITION.key,
            )
            return [read_change(upgrade(dict(document))) async for document in found]

        return await answered(read_all)

    async def announced(self, change: BreakerChange) -> None:
        await commit(await self._container(), HEALTH_PARTITION.key, [announced_operation(change)])


def _put(breaker: Breaker) -> Operation:
    fields = breaker_fields(breaker)
    if breaker.revision == 1:
        return Create(
            {
                "id": document_id_of(breaker.provider),
                "pk": HEALTH_PARTITION.key,
                "type": "provider_health",
                "schema_version": SCHEMA_VERSION,
                "provider": breaker.provider,
                "revision": breaker.revision,
                "health": fields,
            }
        )
    steps = (
        {"op": "set", "path": "/revision", "value": breaker.revision},
        {"op": "set", "path": "/health", "value": fields},
    )
    return Patch(document_id_of(breaker.provider), steps, equal({"revision": breaker.revision - 1}))
