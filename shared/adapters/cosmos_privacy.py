"""Privacy policies and overrides in Cosmos DB, beside their owner's other policies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Operation
from shared.domain.privacy_overrides import (
    OVERRIDES_LISTED_MAX,
    PrivacyOverride,
    department_of_override,
    override_document_id,
    overrides_partition,
    read_override,
)
from shared.domain.privacy_overrides import put_operation as put_override_operation
from shared.domain.privacy_policies import (
    POLICY_DOCUMENT_ID,
    PrivacyPolicy,
    privacy_partition,
    read_policy,
)
from shared.domain.privacy_policies import put_operation as put_policy_operation
from shared.errors import InvariantBroken, PreconditionFailed

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_LASTING = (
    "SELECT * FROM c WHERE c.type = 'privacy_override' AND c.override.status != 'ended'"  # noqa: S608
    " AND c.override.ends_at > @after ORDER BY c.override.created_at DESC"
    f" OFFSET 0 LIMIT {OVERRIDES_LISTED_MAX}"  # nosec B608  # our constant
)
_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosPrivacy:
    """Implements the PrivacyStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def policy(self, tenant_id: str, owner: str) -> PrivacyPolicy | None:
        key = privacy_partition(owner, tenant_id).key
        document = await read_or_none(await self._container(), POLICY_DOCUMENT_ID, key)
        return read_policy(document) if document else None

    async def put_policy(self, tenant_id: str, policy: PrivacyPolicy, event: AuditEvent) -> None:
        partition = privacy_partition(policy.owner, tenant_id)
        if await self._written(partition, put_policy_operation(partition, policy), event):
            return
        standing = await self.policy(tenant_id, policy.owner)
        _check_ours(standing.change_id if standing else None, policy.change_id)

    async def override(self, override_id: str) -> PrivacyOverride | None:
        department_id = department_of_override(override_id)
        if department_id is None:
            return None
        key = overrides_partition(department_id).key
        document = await read_or_none(
            await self._container(), override_document_id(override_id), key
        )
        return read_override(document) if document else None

    async def overrides(self, department_id: str, ends_after: str) -> Sequence[PrivacyOverride]:
        parameters: list[dict[str, Any]] = [{"name": "@after", "value": ends_after}]

        async def read_all() -> list[PrivacyOverride]:
            found = (await self._container()).query_items(
                _LASTING,
                parameters=parameters,
                partition_key=overrides_partition(department_id).key,
            )
            return [read_override(upgrade(dict(document))) async for document in found]

        return await answered(read_all)

    async def put_override(self, override: PrivacyOverride, event: AuditEvent) -> None:
        partition = overrides_partition(override.department_id)
        if await self._written(partition, put_override_operation(override), event):
            return
        standing = await self.override(override.override_id)
        _check_ours(standing.change_id if standing else None, override.change_id)

    async def _written(self, partition: Partition, operation: Operation, event: AuditEvent) -> bool:
        """Whether the change and its event were committed; False if another revision stands."""
        operations = [operation, Create(outbox_document(partition, event))]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A privacy setting was refused unexpectedly.") from None
            return False
        return True


def _check_ours(standing: str | None, wanted: str) -> None:
    """Raise unless what stands is our own write, whose answer was lost and that was sent again."""
    if standing != wanted:
        raise PreconditionFailed("It was changed since you read it; read it again.")
