"""The Entries port over the in-memory container of the ledger."""

from collections.abc import AsyncIterator

from shared.adapters.cosmos import answered
from shared.domain.entries import Entry, read_entries
from shared.domain.ids import Partition
from tests.fakes.cosmos_container import FakeConnection


class FakeEntries:
    """Reads entries out of one partition, in the order of their ids."""

    def __init__(self, connection: FakeConnection) -> None:
        self._container = connection.container("ledger")

    async def of(self, partition: Partition, user_key: str | None = None) -> AsyncIterator[Entry]:
        found = await answered(
            lambda: self._container.scan(
                partition.key,
                lambda document: (
                    document["id"].startswith(("j:", "x:"))
                    and user_key in (None, document["user_key"])
                ),
            )
        )
        for document in sorted(found, key=lambda each: str(each["id"])):
            for entry in read_entries(document):
                yield entry
