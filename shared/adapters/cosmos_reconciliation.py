"""Entries to compare, cases and runs in Cosmos DB; every query stays inside one partition."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_or_none,
)
from shared.domain.adjustments import adjustment_document_id
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.cases import (
    Adjusting,
    Case,
    CaseFilter,
    changing_operation,
    opening_operations,
    read_case,
)
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, partition_for, resolution_id
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

JOBS_PER_QUERY = 100  # a query's text and parameters stay far below its 512 KB
_CONFLICT, _PRECONDITION_FAILED = 409, 412
_SHOWN: Final[Mapping[CaseFilter, str]] = {
    "open": " AND c.open = true",
    "closed": " AND c.open = false",
    "all": "",
}


class CosmosReconciliations:
    """Implements the Reconciliations port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def entries(
        self, partition: Partition, provider: str, since: str, until: str
    ) -> Sequence[Document]:
        return await self._query(
            partition,
            "c.type = 'resolution'"
            " AND (c.provider = @provider OR ARRAY_CONTAINS(c.providers, @provider))"
            " AND c.closed_at >= @since AND c.closed_at < @until",
            {"@provider": provider, "@since": since, "@until": until},
        )

    async def entry(self, generation_id: str) -> Document | None:
        key = partition_for(generation_id).key
        return await read_or_none(await self._container(), resolution_id(generation_id), key)

    async def corrections(self, partition: Partition, provider: str) -> Sequence[Document]:
        return await self._query(
            partition,
            "c.type = 'adjustment' AND c.provider = @provider AND IS_STRING(c.refers_to)",
            {"@provider": provider},
        )

    async def generations_of_jobs(
        self, partition: Partition, job_ids: Sequence[str]
    ) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(job_ids), JOBS_PER_QUERY):
            some = list(job_ids[start : start + JOBS_PER_QUERY])
            names = [f"@job{number}" for number in range(len(some))]
            attempts = await self._query(
                partition,
                f"c.type = 'attempt' AND c.job_id IN ({', '.join(names)})",
                dict(zip(names, some, strict=True)),
            )
            found |= {attempt["job_id"]: attempt["generation_id"] for attempt in attempts}
        return found

    async def open_case(self, case: Case, event: AuditEvent) -> bool:
        return await self._committed(case.partition, opening_operations(case), event)

    async def case(self, partition: Partition, case_id: str) -> Case | None:
        document = await read_or_none(await self._container(), f"case:{case_id}", partition.key)
        return read_case(document) if document else None

    async def cases(self, partition: Partition, limit: int) -> Sequence[Case]:
        newest = f"c.type = 'case' ORDER BY c.opened_at DESC OFFSET 0 LIMIT {int(limit)}"
        return [read_case(document) for document in await self._query(partition, newest, {})]

    async def cases_page(
        self, partition: Partition, shown: CaseFilter, after: str, limit: int
    ) -> Sequence[Case]:
        found = await self._query(
            partition,
            f"c.type = 'case'{_SHOWN[shown]} AND c.id > @after"
            f" ORDER BY c.id OFFSET 0 LIMIT {int(limit)}",
            {"@after": f"case:{after}"},
        )
        return [read_case(document) for document in found]

    async def cases_about(self, partition: Partition, provider: str, day: str) -> Sequence[Case]:
        found = await self._query(
            partition,
            "c.type = 'case' AND c.facts.provider = @provider"
            " AND (c.open = true OR c.facts.day = @day)",
            {"@provider": provider, "@day": day},
        )
        return [read_case(document) for document in found]

    async def adjusting_cases(self, partition: Partition) -> Sequence[Case]:
        found = await self._query(partition, "c.type = 'case' AND c.status = 'adjusting'", {})
        return [read_case(document) for document in found]

    async def is_booked(self, adjusting: Adjusting) -> bool:
        entry_id = adjustment_document_id(adjusting.adjustment_id)
        key = adjusting.partition.key
        return await read_or_none(await self._container(), entry_id, key) is not None

    async def change_case(self, case: Case, event: AuditEvent) -> bool:
        if await self._committed(case.partition, [changing_operation(case)], event):
            return True
        # Ours, if an answer was lost and the same change was sent again.
        return await self.case(case.partition, case.case_id) == case

    async def keep_run(self, partition: Partition, run: Document, event: AuditEvent) -> None:
        await self._committed(partition, [Create(run)], event)

    async def runs(self, partition: Partition, limit: int) -> Sequence[Document]:
        newest = f"c.type = 'reconciliation' ORDER BY c.ran_at DESC OFFSET 0 LIMIT {int(limit)}"
        return await self._query(partition, newest, {})

    async def _committed(
        self, partition: Partition, operations: Sequence[Operation], event: AuditEvent
    ) -> bool:
        noted = Create(outbox_document(partition, event))
        try:
            await commit(await self._container(), partition.key, [*operations, noted])
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A case was refused in an unforeseen way.") from None
            return False
        return True

    async def _query(
        self, partition: Partition, condition: str, parameters: dict[str, Any]
    ) -> list[Document]:
        async def read_all() -> list[Document]:
            found = (await self._container()).query_items(
                # Conditions are constants of ours; every value is a parameter.
                "SELECT * FROM c WHERE " + condition,  # noqa: S608  # nosec B608
                parameters=[{"name": n, "value": v} for n, v in parameters.items()],
                partition_key=partition.key,
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)
