"""The Reconciliations port over the in-memory container of the ledger."""

from collections.abc import Callable, Mapping, Sequence

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_reconciliation import CosmosReconciliations
from shared.domain.cases import Case, CaseFilter, read_case
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from tests.fakes.cosmos_container import FakeConnection


class FakeReconciliations(CosmosReconciliations):
    """The real adapter; its queries are filters over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def entries(
        self, partition: Partition, provider: str, since: str, until: str
    ) -> Sequence[Document]:
        return await self._scan(
            partition,
            lambda d: (
                d["type"] == "resolution"
                and provider in (d["provider"], *d.get("providers", ()))
                and since <= d["closed_at"] < until
            ),
        )

    async def corrections(self, partition: Partition, provider: str) -> Sequence[Document]:
        return await self._scan(
            partition,
            lambda d: (
                d["type"] == "adjustment"
                and d["provider"] == provider
                and isinstance(d["refers_to"], str)
            ),
        )

    async def generations_of_jobs(
        self, partition: Partition, job_ids: Sequence[str]
    ) -> Mapping[str, str]:
        found = await self._scan(
            partition, lambda d: d["type"] == "attempt" and d["job_id"] in job_ids
        )
        return {attempt["job_id"]: attempt["generation_id"] for attempt in found}

    async def cases(self, partition: Partition, limit: int) -> Sequence[Case]:
        found = await self._scan(partition, lambda d: d["type"] == "case")
        found.sort(key=lambda d: str(d["opened_at"]), reverse=True)
        return [read_case(document) for document in found[:limit]]

    async def cases_page(
        self, partition: Partition, shown: CaseFilter, after: str, limit: int
    ) -> Sequence[Case]:
        found = await self._scan(
            partition,
            lambda d: (
                d["type"] == "case"
                and (shown == "all" or d["open"] == (shown == "open"))
                and d["id"] > f"case:{after}"
            ),
        )
        found.sort(key=lambda d: str(d["id"]))
        return [read_case(document) for document in found[:limit]]

    async def cases_about(self, partition: Partition, provider: str, day: str) -> Sequence[Case]:
        found = await self._scan(
            partition,
            lambda d: (
                d["type"] == "case"
                and d["facts"]["provider"] == provider
                and (d["open"] or d["facts"]["day"] == day)
            ),
        )
        return [read_case(document) for document in found]

    async def adjusting_cases(self, partition: Partition) -> Sequence[Case]:
        found = await self._scan(
            partition, lambda d: d["type"] == "case" and d["status"] == "adjusting"
        )
        return [read_case(document) for document in found]

    async def runs(self, partition: Partition, limit: int) -> Sequence[Document]:
        found = await self._scan(partition, lambda d: d["type"] == "reconciliation")
        found.sort(key=lambda d: str(d["ran_at"]), reverse=True)
        return found[:limit]

    async def _scan(
        self, partition: Partition, wanted: Callable[[Document], bool]
    ) -> list[Document]:
        return await answered(lambda: self._fake.scan(partition.key, wanted))
