"""Budget alerts in Cosmos DB: create-only documents beside the budgets they speak of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    create_once,
)
from shared.domain.alerts import Alert, Notice, create_operation, progress_operation
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import Budget, read_budget
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation
from shared.domain.notices import AnyNotice, partition_of_notice, read_notice
from shared.domain.provider_notices import ProviderNotice, notice_document
from shared.errors import InvariantBroken

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosAlerts:
    """Implements the AlertStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def raise_once(self, alert: Alert, event: AuditEvent) -> bool:
        operations = [create_operation(alert), Create(outbox_document(alert.partition, event))]
        try:
            await commit(await self._container(), alert.partition.key, operations)
        except BatchRefused as refusal:
            if refusal.index != 0 or refusal.status != _CONFLICT:
                raise InvariantBroken("An alert was refused in an unforeseen way.") from None
            return False
        return True

    async def announce_once(self, notice: ProviderNotice) -> bool:
        return await create_once(await self._container(), notice_document(notice))

    async def record(self, alert: Notice, event: AuditEvent | None) -> bool:
        operations: list[Operation] = [progress_operation(alert)]
        if event is not None:
            operations.append(Create(outbox_document(alert.partition, event)))
        try:
            await commit(await self._container(), alert.partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A delivery was refused in an unforeseen way.") from None
            return False
        return True

    async def alert(self, alert_id: str) -> AnyNotice | None:
        partition = partition_of_notice(alert_id)
        if partition is None:
            return None
        condition = "c.type = 'alert' AND c.alert_id = @alert_id"
        found = await self._query(partition, condition, {"@alert_id": alert_id})
        return read_notice(found[0]) if found else None

    async def raised(self, partition: Partition) -> frozenset[str]:
        async def read_all() -> frozenset[str]:
            found = (await self._container()).query_items(
                "SELECT VALUE c.id FROM c WHERE c.type = 'alert'", partition_key=partition.key
            )
            return frozenset([str(each) async for each in found])

        return await answered(read_all)

    async def undelivered(self, partition: Partition, limit: int) -> Sequence[AnyNotice]:
        condition = (
            "c.type = 'alert' AND c.open_deliveries > 0 ORDER BY c.raised_at"
            f" OFFSET 0 LIMIT {int(limit)}"
        )
        return [read_notice(document) for document in await self._query(partition, condition, {})]

    async def committed_budgets(self, partition: Partition) -> Sequence[Budget]:
        condition = "c.type = 'budget' AND c.reserved_micros + c.spent_micros > 0"
        return [read_budget(document) for document in await self._query(partition, condition, {})]

    async def _query(
        self, partition: Partition, condition: str, values: dict[str, Any]
    ) -> list[Document]:
        """Documents of a partition; conditions are constants of ours, values are parameters."""

        async def read_all() -> list[Document]:
            found = (await self._container()).query_items(
                "SELECT * FROM c WHERE " + condition,  # noqa: S608  # nosec B608
                parameters=[{"name": name, "value": value} for name, value in values.items()],
                partition_key=partition.key,
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)
