"""Reads the audit container under a role that cannot write: by change feed, by id, by object."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.adapters.cosmos import CosmosConnection, answered
from shared.domain.audit_entries import AuditRecord
from shared.domain.ids import Partition
from shared.errors import InvariantBroken
from shared.ports.audit_log import EVENTS_PER_PAGE_MAX, FeedPage

AUDIT_CONTAINER: Final = "audit"
EVENTS_PER_OBJECT_MAX: Final = 200  # a generation has three or four, its approval some more


class CosmosAuditFeed:
    """Implements the AuditFeed port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def after(self, position: str | None) -> FeedPage:
        container = await self._connection.container(AUDIT_CONTAINER)
        since: dict[str, Any] = {"continuation": position}
        if position is None:
            since = {"start_time": "Beginning"}

        async def read() -> FeedPage:
            pages: Any = container.query_items_change_feed(
                max_item_count=EVENTS_PER_PAGE_MAX, **since
            ).by_page()
            try:
                records = [_record(document) async for document in await anext(pages)]
            except StopAsyncIteration:
                return FeedPage([], position)
            # Of all feed ranges together; the header of the answer speaks of one only.
            return FeedPage(records, pages.continuation_token)

        page = await answered(read)
        if page.records and page.position is None:
            raise InvariantBroken("The change feed does not say where to go on.")
        return page

    async def named(self, event_id: str) -> Sequence[AuditRecord]:
        return await self._query("c.id = @id", {"@id": event_id}, None)

    async def about(self, partition: Partition, object_ids: Sequence[str]) -> Sequence[AuditRecord]:
        found = await self._query(
            # The end of a generation is among the newest, however often it was refused before.
            "ARRAY_CONTAINS(@objects, c.event.object_id) ORDER BY c.event.occurred_at DESC",
            {"@objects": list(object_ids)},
            partition.key,
        )
        return sorted(found, key=lambda record: str(record.event.get("occurred_at")))

    async def _query(
        self, condition: str, parameters: Mapping[str, Any], partition_key: str | None
    ) -> Sequence[AuditRecord]:
        container = await self._connection.container(AUDIT_CONTAINER)
        text = f"SELECT TOP {EVENTS_PER_OBJECT_MAX} * FROM c WHERE {condition}"  # noqa: S608  # nosec B608
        scope: dict[str, Any] = {"partition_key": partition_key} if partition_key else {}

        async def read() -> list[AuditRecord]:
            rows = container.query_items(
                text,
                parameters=[{"name": name, "value": value} for name, value in parameters.items()],
                **scope,
            )
            return [_record(row) async for row in rows]

        return await answered(read)


def _record(document: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(str(document["pk"]), str(document["id"]), document.get("event"))
