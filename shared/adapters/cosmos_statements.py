"""Chargeback statements in Cosmos DB, beside the entries they add up."""

from typing import TYPE_CHECKING

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    commit,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Scope, read_budget
from shared.domain.ids import Partition
from shared.domain.statements import (
    ISSUED,
    Closing,
    Statement,
    issue_operations,
    read_statement,
    reseal_operation,
    seal_operations,
    statement_document_id,
)
from shared.errors import InvariantBroken, NotFound

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404


class CosmosStatements:
    """Implements the Statements port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def closing(self, partition: Partition) -> Closing | None:
        scope = Scope("department", partition.department_id)
        document = await read_or_none(await self._container(), scope.document_id, partition.key)
        if document is None:
            return None
        budget = read_budget(document)
        return Closing(budget.reserved_micros, budget.spent_micros, budget.sealed)

    async def statement(self, partition: Partition) -> Statement | None:
        document = await read_or_none(
            await self._container(), statement_document_id(partition.period), partition.key
        )
        return read_statement(document) if document else None

    async def seal(self, partition: Partition, event: AuditEvent) -> bool:
        try:
            await commit(await self._container(), partition.key, seal_operations(partition, event))
        except BatchRefused as refusal:
            if refusal.status == _NOT_FOUND:
                raise NotFound("Nothing was ever booked in this period.") from None
            if refusal.status != _PRECONDITION_FAILED:
                raise InvariantBroken("A period could not be sealed.") from None
            return await self._sealed_before(partition)
        return True

    async def _sealed_before(self, partition: Partition) -> bool:
        """Whether the period is sealed; said by a write, after which this session reads all."""
        try:
            await commit(await self._container(), partition.key, [reseal_operation(partition)])
        except BatchRefused as refusal:
            if refusal.status != _PRECONDITION_FAILED:
                raise InvariantBroken("A period could not be sealed.") from None
            standing = await self.closing(partition)
            return standing is not None and standing.sealed == ISSUED
        return True

    async def issue(self, statement: Statement, event: AuditEvent) -> Statement:
        partition = statement.partition
        try:
            await commit(await self._container(), partition.key, issue_operations(statement, event))
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("A statement could not be issued.") from None
            standing = await self.statement(partition)  # another call was faster, or ours was lost
            if standing is None:
                raise InvariantBroken(
                    "The entries of a sealed period do not add up to what its budget says."
                ) from None
            return standing
        return statement
