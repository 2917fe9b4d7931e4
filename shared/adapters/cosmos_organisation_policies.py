"""The organisation's policy and its caps in Cosmos DB; each change with its audit event."""

from typing import TYPE_CHECKING

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    commit,
    create_once,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Operation
from shared.domain.organisation_policies import (
    CAP_ID,
    POLICY_ID,
    Cap,
    OrganisationPolicy,
    cap_document,
    cap_partition,
    follow_operation,
    organisation_policies,
    put_operation,
    read_cap,
    read_organisation_policy,
)
from shared.errors import InvariantBroken, PreconditionFailed

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404


class CosmosOrganisationPolicies:
    """Implements the OrganisationPolicies port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def policy(self, tenant_id: str) -> OrganisationPolicy | None:
        key = organisation_policies(tenant_id).key
        document = await read_or_none(await self._container(), POLICY_ID, key)
        return read_organisation_policy(document) if document else None

    async def put(self, policy: OrganisationPolicy, event: AuditEvent) -> None:
        partition = organisation_policies(policy.tenant_id)
        operations = [put_operation(policy), Create(outbox_document(partition, event))]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND):
                raise InvariantBroken("A policy was refused in an unforeseen way.") from None
            # Ours may stand already: its answer was lost and it was sent again.
            if await self.policy(policy.tenant_id) != policy:
                raise PreconditionFailed(
                    "The organisation's budget was changed since you read it; read it again."
                ) from None

    async def open_cap(self, policy: OrganisationPolicy, period: str) -> None:
        await create_once(await self._container(), cap_document(policy, period))

    async def follow(self, policy: OrganisationPolicy, period: str, event: AuditEvent) -> None:
        partition = cap_partition(policy.tenant_id, period)
        operations: list[Operation] = [
            follow_operation(policy),
            Create(outbox_document(partition, event)),
        ]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            # It is not open, or it follows this revision already.
            if refusal.index != 0 or refusal.status not in (_NOT_FOUND, _PRECONDITION_FAILED):
                raise InvariantBroken("A cap could not follow its policy.") from None

    async def cap(self, partition: Partition) -> Cap | None:
        document = await read_or_none(await self._container(), CAP_ID, partition.key)
        return read_cap(document) if document else None
