"""The append-only log in memory."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.audit_entries import without_texts
from shared.domain.ids import Partition
from shared.errors import InvariantBroken
from shared.ports import EVENTS_PER_APPEND_MAX

TEXT_KEY = b"a key for texts"


class FakeAuditLog:
    """Events by partition and id; the same id is added once to a partition."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, str]] = {}

    @property
    def events(self) -> dict[str, Mapping[str, Any]]:
        """Every event by its id."""
        return {
            event_id: json.loads(text)
            for partition in self._partitions.values()
            for event_id, text in partition.items()
        }

    def of(self, partition: Partition) -> list[Mapping[str, Any]]:
        """The events of one partition, oldest first."""
        return [json.loads(text) for text in self._partitions.get(partition.key, {}).values()]

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        if len(events) > EVENTS_PER_APPEND_MAX:
            raise InvariantBroken("Too many audit events for one transaction.")
        standing = self._partitions.setdefault(partition.key, {})
        for event in events:
            standing.setdefault(event["event_id"], json.dumps(without_texts(event, TEXT_KEY)))
