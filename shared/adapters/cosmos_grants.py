"""Grants in Cosmos DB, in the partition of the budgets that they raise."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    create_once,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent
from shared.domain.barriers import grant_barrier, is_barrier
from shared.domain.budgets import CURRENCY, Budget, Scope, read_budget
from shared.domain.document_versions import upgrade
from shared.domain.grants import (
    Grant,
    check_same,
    end_operations,
    grant_document_id,
    grant_operations,
    read_grant,
)
from shared.domain.ids import Partition
from shared.domain.ledger import partition_for
from shared.domain.limit_changes import LIMIT_TRIES_MAX, budgets_after, check_allocation, check_open
from shared.errors import (
    BudgetExceeded,
    InvariantBroken,
    PeriodNotOpen,
    Unavailable,
)

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

GRANTS_LISTED_MAX = 100  # of one department and period; more would be a budget, not grants
UNREAD = "The grant could not be read back yet."
_CONFLICT, _PRECONDITION_FAILED = 409, 412


class CosmosGrants:
    """Implements the GrantStore port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def grant(self, grant: Grant, events: Sequence[AuditEvent]) -> tuple[Budget, ...] | None:
        for _ in range(LIMIT_TRIES_MAX):
            budgets = await self._budgets(grant.partition, grant.touched)
            operations = grant_operations(grant, budgets, events)
            try:
                answers = await commit(await self._container(), grant.partition.key, operations)
            except BatchRefused as refusal:
                if refusal.index == 0 and refusal.status == _CONFLICT:
                    await self._check_same(grant)
                    return None
                if refusal.status != _PRECONDITION_FAILED:
                    raise InvariantBroken("A grant was refused in an unforeseen way.") from None
                await self._check_refusal(grant, grant.touched[refusal.index - 1])
            else:
                return budgets_after(operations, answers)
        raise Unavailable("The budget changes too fast to be raised now.", retry_after_s=1)

    async def end(
        self, grant: Grant, ended_at: str, ended_by: str, event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        for _ in range(LIMIT_TRIES_MAX):
            budgets = await self._budgets(grant.partition, grant.scopes)
            operations = end_operations(grant, budgets, ended_at, ended_by, event)
            try:
                answers = await commit(await self._container(), grant.partition.key, operations)
            except BatchRefused as refusal:
                if refusal.status != _PRECONDITION_FAILED:
                    raise InvariantBroken("A grant could not be ended.") from None
                if refusal.index == 0:
                    return None
            else:
                return budgets_after(operations, answers)
        raise Unavailable("The budget changes too fast to be lowered now.", retry_after_s=1)

    async def find(self, grant_id: str) -> Grant | None:
        document = await read_or_none(
            await self._container(), grant_document_id(grant_id), partition_for(grant_id).key
        )
        return read_grant(document) if document and not is_barrier(document) else None

    async def bar(self, grant_id: str, barred_at: str) -> Grant | None:
        if await create_once(await self._container(), grant_barrier(grant_id, barred_at)):
            return None
        key, document_id = partition_for(grant_id).key, grant_document_id(grant_id)
        document = await read_or_none(await self._container(), document_id, key)
        if document is None:
            raise Unavailable(UNREAD)
        return None if is_barrier(document) else read_grant(document)

    async def grants(self, partition: Partition, *, active: bool) -> Sequence[Grant]:
        only = " AND c.status = 'active'" if active else ""
        return await self._query(
            partition,
            f"STARTSWITH(c.id, 'grant:') AND c.type = 'grant'{only} ORDER BY c.created_at DESC"
            f" OFFSET 0 LIMIT {GRANTS_LISTED_MAX}",
            [],
        )

    async def due(self, partition: Partition, now: str) -> Sequence[Grant]:
        return await self._query(
            partition,
            "STARTSWITH(c.id, 'grant:') AND c.status = 'active' AND c.ends_at <= @now",
            [{"name": "@now", "value": now}],
        )

    async def _query(
        self, partition: Partition, condition: str, parameters: list[dict[str, Any]]
    ) -> list[Grant]:
        async def read_all() -> list[Grant]:
            found = (await self._container()).query_items(
                "SELECT * FROM c WHERE " + condition,  # noqa: S608  # nosec B608  # our constants
                parameters=parameters,
                partition_key=partition.key,
            )
            return [read_grant(upgrade(dict(document))) async for document in found]

        return await answered(read_all)

    async def _budgets(self, partition: Partition, scopes: Sequence[Scope]) -> dict[Scope, Budget]:
        found = {}
        for scope in scopes:
            document = await read_or_none(await self._container(), scope.document_id, partition.key)
            if document is None:
                raise PeriodNotOpen(f"{scope.name} has no budget in {partition.period}.")
            found[scope] = read_budget(document)
        return found

    async def _check_same(self, grant: Grant) -> None:
        document = await read_or_none(
            await self._container(), grant.document_id, grant.partition.key
        )
        if document is None:
            raise Unavailable(UNREAD)
        if is_barrier(document):
            raise Unavailable("The period has just ended; send it again.", retry_after_s=1)
        check_same(read_grant(document), grant.request_hash)

    async def _check_refusal(self, grant: Grant, scope: Scope) -> None:
        """Raise what stood in the way; return if the budget has changed since it was read."""
        budget = (await self._budgets(grant.partition, [scope]))[scope]
        check_open(budget)
        if scope in grant.scopes:
            check_allocation(budget, grant.raised_micros)
        elif budget.available_micros < grant.surcharge_micros:
            raise BudgetExceeded(
                f"The {scope.kind} budget does not cover the surcharge: name it in the override.",
                extra={
                    "scope": scope.name,
                    "period": budget.period,
                    "needed_micros": grant.surcharge_micros,
                    "available_micros": budget.available_micros,
                    "currency": CURRENCY,
                },
            )
