"""Claims of provider batches in Cosmos DB, beside the batch that they belong to."""

from typing import TYPE_CHECKING

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    commit,
    create_once,
    read_existing,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.ledger import Create, Patch, partition_for
from shared.domain.predicates import has_status
from shared.domain.provider_batches import ProviderBatch, claim_document, read_claim
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosProviderBatchClaims:
    """Implements the ProviderBatchClaims port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def claim(self, claim: ProviderBatch) -> ProviderBatch:
        if await create_once(await self._container(), claim_document(claim)):
            return claim
        return await self._standing(claim)

    async def find(self, batch_id: str, number: int) -> ProviderBatch | None:
        wanted = ProviderBatch(batch_id, number, "", (), "", None)
        key = partition_for(batch_id).key
        document = await read_or_none(await self._container(), wanted.document_id, key)
        return read_claim(document) if document else None

    async def settle(self, claim: ProviderBatch, event: AuditEvent) -> ProviderBatch:
        partition = partition_for(claim.batch_id)
        changed = {"status": claim.status, "job_id": claim.job_id, "reason": claim.reason}
        steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in changed.items())
        try:
            await commit(
                await self._container(),
                partition.key,
                [
                    Patch(claim.document_id, steps, has_status("claimed")),
                    Create(outbox_document(partition, event)),
                ],
            )
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A claim was refused in an unforeseen way.") from None
        else:
            return claim
        return await self._standing(claim)

    async def _standing(self, claim: ProviderBatch) -> ProviderBatch:
        key = partition_for(claim.batch_id).key
        return read_claim(await read_existing(await self._container(), claim.document_id, key))
