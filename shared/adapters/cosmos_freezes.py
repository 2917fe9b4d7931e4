"""Freeze switches in Cosmos DB: one small partition per tenant, beside its own audit outbox."""

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
from shared.domain.freezes import (
    Freeze,
    Target,
    freeze_partition,
    put_operation,
    read_freeze,
)
from shared.domain.ledger import Create
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_STANDING = "SELECT * FROM c WHERE c.type = 'freeze' AND c.switch.lifted = false"
_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosFreezes:
    """Implements the FreezeStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def freezes(self, tenant_id: str) -> Sequence[Freeze]:
        async def read_all() -> list[Freeze]:
            found = (await self._container()).query_items(
                _STANDING, partition_key=freeze_partition(tenant_id).key
            )
            return [read_freeze(upgrade(dict(document))) async for document in found]

        return await answered(read_all)

    async def freeze(self, tenant_id: str, target: Target) -> Freeze | None:
        key = freeze_partition(tenant_id).key
        document = await read_or_none(await self._container(), target.document_id, key)
        return read_freeze(document) if document else None

    async def put(self, tenant_id: str, freeze: Freeze, event: AuditEvent) -> bool:
        partition = freeze_partition(tenant_id)
        operations = [
            put_operation(tenant_id, freeze),
            Create(outbox_document(partition, event)),
        ]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A freeze was refused in an unforeseen way.") from None
            # Ours, if an answer was lost and the same change was sent again.
            standing = await self.freeze(tenant_id, freeze.target)
            return standing is not None and standing.change_id == freeze.change_id
        return True
