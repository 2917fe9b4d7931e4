"""Reads the audit container under a role that cannot write: by change feed and by id."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from shared.adapters.cosmos import CosmosConnection, answered
from shared.domain.audit_entries import AuditRecord
from shared.errors import InvariantBroken
from shared.ports.audit_log import EVENTS_PER_PAGE_MAX, IDS_PER_LOOK_MAX, FeedPage

AUDIT_CONTAINER: Final = "audit"
PARTITIONS_NAMED_MAX: Final = 200  # with one id; two are ambiguous already


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
        container = await self._connection.container(AUDIT_CONTAINER)

        async def read() -> list[AuditRecord]:
            rows = container.query_items(
                f"SELECT TOP {PARTITIONS_NAMED_MAX} * FROM c WHERE c.id = @id",  # noqa: S608  # nosec B608
                parameters=[{"name": "@id", "value": event_id}],
            )
            return [_record(row) async for row in rows]

        return await answered(read)

    async def standing(self, partition_key: str, event_ids: Sequence[str]) -> Collection[str]:
        if len(event_ids) > IDS_PER_LOOK_MAX:
            raise InvariantBroken("Too many audit events for one look.")
        container = await self._connection.container(AUDIT_CONTAINER)

        async def read() -> set[str]:
            rows = container.query_items(
                "SELECT c.id FROM c WHERE ARRAY_CONTAINS(@ids, c.id)",
                parameters=[{"name": "@ids", "value": list(event_ids)}],
                partition_key=partition_key,
            )
            return {str(row["id"]) async for row in rows}

        return await answered(read)


def _record(document: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(str(document["pk"]), str(document["id"]), document.get("event"))
