"""The append-only audit container: this code can create events and nothing else."""

from collections.abc import Mapping
from typing import Any

from shared.adapters.cosmos import CosmosConnection, create_once
from shared.domain.ids import Partition

AUDIT_CONTAINER = "audit"


class CosmosAuditLog:
    """Implements the AuditLog port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def append(self, partition: Partition, event: Mapping[str, Any]) -> None:
        document = {"id": event["event_id"], "pk": partition.key, "event": dict(event)}
        await create_once(self._connection.container(AUDIT_CONTAINER), document)
