"""The append-only audit container: this code can create events and nothing else.

Nobody may delete from it, so all that comes in passes here without the texts of people.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.adapters.cosmos import BatchRefused, CosmosConnection, commit
from shared.domain.audit_entries import without_texts
from shared.domain.ids import Partition
from shared.domain.ledger import Create
from shared.errors import InvariantBroken
from shared.ports import EVENTS_PER_APPEND_MAX

AUDIT_CONTAINER = "audit"
_CONFLICT = 409


class CosmosAuditLog:
    """Implements the AuditLog port."""

    def __init__(self, connection: CosmosConnection, text_key: bytes) -> None:
        self._connection = connection
        self._text_key = text_key

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        if len(events) > EVENTS_PER_APPEND_MAX:
            raise InvariantBroken("Too many audit events for one transaction.")
        container = await self._connection.container(AUDIT_CONTAINER)
        kept = [without_texts(event, self._text_key) for event in events]
        missing = [
            Create({"id": event["event_id"], "pk": partition.key, "event": event}) for event in kept
        ]
        while missing:  # each turn ends, or leaves out one that was copied before
            try:
                await commit(container, partition.key, missing)
            except BatchRefused as refusal:
                if refusal.status != _CONFLICT:
                    raise InvariantBroken("Audit events could not be copied.") from None
                del missing[refusal.index]
            else:
                return
