"""Ledger entries in Cosmos DB, streamed page by page out of one partition."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.cosmos import LEDGER_CONTAINER, CosmosConnection, answered
from shared.domain.document_versions import upgrade
from shared.domain.entries import Entry, read_entries
from shared.domain.ids import Partition
from shared.domain.ledger import Document

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

ENTRIES_PER_PAGE: Final = 1_000  # about 1 MB, well under the 4 MB of one answer
_PREFIXES: Final = ("j:", "x:")  # in the order of ids


class CosmosEntries:
    """Implements the Entries port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def of(self, partition: Partition, user_key: str | None = None) -> AsyncIterator[Entry]:
        for prefix in _PREFIXES:
            continuation: str | None = None
            while True:  # each turn reads a page further, the last one has no continuation
                documents, continuation = await self._page(
                    partition, prefix, user_key, continuation
                )
                for document in documents:
                    for entry in read_entries(document):
                        yield entry
                if continuation is None:
                    break

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def _page(
        self, partition: Partition, prefix: str, user_key: str | None, continuation: str | None
    ) -> tuple[list[Document], str | None]:
        condition = "STARTSWITH(c.id, @prefix)"
        parameters: list[dict[str, Any]] = [{"name": "@prefix", "value": prefix}]
        if user_key is not None:
            condition += " AND c.user_key = @user_key"
            parameters.append({"name": "@user_key", "value": user_key})

        async def read() -> tuple[list[Document], str | None]:
            pages = (
                (await self._container())
                .query_items(
                    f"SELECT * FROM c WHERE {condition} ORDER BY c.id",  # noqa: S608  # nosec B608
                    parameters=parameters,
                    partition_key=partition.key,
                    max_item_count=ENTRIES_PER_PAGE,
                )
                .by_page(continuation)
            )
            try:
                documents = [upgrade(dict(document)) async for document in await anext(pages)]
            except StopAsyncIteration:
                return [], None
            return documents, getattr(pages, "continuation_token", None)

        return await answered(read)
