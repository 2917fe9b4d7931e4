"""Alert channels in Cosmos DB, beside their owner's budget policies."""

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
from shared.domain.alert_channels import (
    AlertChannel,
    channel_document_id,
    put_operation,
    read_channel,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.ledger import Create
from shared.errors import InvariantBroken, PreconditionFailed

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_STANDING = "SELECT * FROM c WHERE c.type = 'alert_channel' AND c.channel.deleted = false"
_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosAlertChannels:
    """Implements the AlertChannelStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def channel(self, partition: Partition, channel_id: str) -> AlertChannel | None:
        document = await read_or_none(
            await self._container(), channel_document_id(channel_id), partition.key
        )
        return read_channel(document) if document else None

    async def channels(self, partition: Partition) -> Sequence[AlertChannel]:
        async def read_all() -> list[AlertChannel]:
            found = (await self._container()).query_items(
                f"{_STANDING} ORDER BY c.id", partition_key=partition.key
            )
            return [read_channel(upgrade(dict(document))) async for document in found]

        return await answered(read_all)

    async def put(self, partition: Partition, channel: AlertChannel, event: AuditEvent) -> None:
        operations = [
            put_operation(partition, channel),
            Create(outbox_document(partition, event)),
        ]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A channel was refused in an unforeseen way.") from None
            # Ours may stand already: its answer was lost and it was sent again.
            standing = await self.channel(partition, channel.channel_id)
            if standing is None or standing.change_id != channel.change_id:
                raise PreconditionFailed(
                    "The channel was changed since you read it; read it again."
                ) from None
