"""The append-only log in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.ids import Partition


class FakeAuditLog:
    """Events by id; the same id is added once."""

    def __init__(self) -> None:
        self.events: dict[str, Mapping[str, Any]] = {}

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            self.events.setdefault(event["event_id"], event)
