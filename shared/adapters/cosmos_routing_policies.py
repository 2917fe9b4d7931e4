"""Routing policies in Cosmos DB, beside their owner's other policies."""

from typing import TYPE_CHECKING

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    commit,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.ledger import Create
from shared.domain.routing_policies import (
    POLICY_DOCUMENT_ID,
    RoutingPolicy,
    put_operation,
    read_policy,
    routing_partition,
)
from shared.errors import InvariantBroken, PreconditionFailed

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404


class CosmosRoutingPolicies:
    """Implements the RoutingPolicyStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def policy(self, tenant_id: str, owner: str) -> RoutingPolicy | None:
        key = routing_partition(owner, tenant_id).key
        document = await read_or_none(await self._container(), POLICY_DOCUMENT_ID, key)
        return read_policy(document) if document else None

    async def put(self, tenant_id: str, policy: RoutingPolicy, event: AuditEvent) -> None:
        partition = routing_partition(policy.owner, tenant_id)
        operations = [put_operation(partition, policy), Create(outbox_document(partition, event))]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND):
                raise InvariantBroken("A routing policy was refused unexpectedly.") from None
            standing = await self.policy(tenant_id, policy.owner)
            # Ours may stand already: its answer was lost and it was sent again.
            if standing is None or standing.change_id != policy.change_id:
                raise PreconditionFailed(
                    "It was changed since you read it; read it again."
                ) from None
