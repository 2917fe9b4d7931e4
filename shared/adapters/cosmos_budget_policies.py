"""Budget policies and the opening of periods in Cosmos DB; each change with its audit event."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    READ_BACK_PAUSE_S,
    READ_BACK_TRIES_MAX,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_or_none,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budget_policies import (
    BudgetPolicy,
    applied_operation,
    apply_operation,
    carry_over_document_id,
    carry_over_operation,
    check_allocation,
    policy_document_id,
    policy_partition,
    put_operation,
    read_policy,
)
from shared.domain.budgets import Budget, Scope, budget_document, read_budget
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation
from shared.errors import InvariantBroken, PreconditionFailed, Unavailable
from shared.ports import POLICIES_PER_PAGE_MAX

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

TRIES_MAX = 8  # of a change whose ground moved between the read and the write
_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404


class CosmosBudgetPolicies:
    """Implements the BudgetPolicies port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def policy(self, department_id: str, scope: Scope) -> BudgetPolicy | None:
        document = await read_or_none(
            await self._container(), policy_document_id(scope), policy_partition(department_id).key
        )
        return read_policy(document) if document else None

    async def policies(
        self, department_id: str, *, after: str = "", limit: int = POLICIES_PER_PAGE_MAX
    ) -> Sequence[BudgetPolicy]:
        found = await self._query(
            policy_partition(department_id),
            "STARTSWITH(c.id, 'policy:') AND c.id > @after ORDER BY c.id"
            f" OFFSET 0 LIMIT {int(limit)}",
            {"@after": f"policy:{after}"},
        )
        return [read_policy(document) for document in found]

    async def pending(self, department_id: str) -> Sequence[BudgetPolicy]:
        found = await self._query(
            policy_partition(department_id),
            f"STARTSWITH(c.id, 'policy:') AND c.pending = 1 OFFSET 0 LIMIT {POLICIES_PER_PAGE_MAX}",
            {},
        )
        return [read_policy(document) for document in found]

    async def applied(self, department_id: str, policy: BudgetPolicy) -> None:
        key = policy_partition(department_id).key
        try:
            await commit(await self._container(), key, [applied_operation(policy)])
        except BatchRefused as refusal:
            if refusal.status != _PRECONDITION_FAILED:  # it was changed again: that is pending
                raise InvariantBroken("A policy could not be marked as applied.") from None

    async def largest(self, partition: Partition, limit: int) -> Sequence[Budget]:
        found = await self._query(
            partition,
            f"STARTSWITH(c.id, 'budget:') ORDER BY c.spent_micros DESC OFFSET 0 LIMIT {int(limit)}",
            {},
        )
        return [read_budget(document) for document in found]

    async def _query(
        self, partition: Partition, condition: str, values: Mapping[str, str]
    ) -> list[Document]:
        parameters: list[dict[str, Any]] = [
            {"name": name, "value": value} for name, value in values.items()
        ]

        async def read_all() -> list[Document]:
            found = (await self._container()).query_items(
                "SELECT * FROM c WHERE " + condition,  # noqa: S608  # nosec B608  # our constants
                parameters=parameters,
                partition_key=partition.key,
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)

    async def put(self, department_id: str, policy: BudgetPolicy, event: AuditEvent) -> None:
        partition = policy_partition(department_id)
        operations = [
            put_operation(department_id, policy),
            Create(outbox_document(partition, event)),
        ]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND):
                raise InvariantBroken("A policy was refused in an unforeseen way.") from None
            await self._check_standing(department_id, policy)

    async def _check_standing(self, department_id: str, policy: BudgetPolicy) -> None:
        """After a refusal: ours may stand already, if its answer was lost and it was sent again."""
        for _ in range(READ_BACK_TRIES_MAX):
            standing = await self.policy(department_id, policy.scope)
            if standing == policy:
                return
            revision = standing.revision if standing else 0
            if revision != policy.revision - 1:
                raise PreconditionFailed("The budget was changed since you read it; read it again.")
            await asyncio.sleep(READ_BACK_PAUSE_S)  # it cannot be so: the replica lags
        raise Unavailable("The budget could not be read back yet.", retry_after_s=1)

    async def open(self, partition: Partition, budget: Budget, event: AuditEvent) -> None:
        operations: list[Operation] = [
            Create(budget_document(partition, budget)),
            Create(outbox_document(partition, event)),
        ]
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.status != _CONFLICT:
                raise InvariantBroken("A period could not be opened.") from None

    async def apply(
        self, partition: Partition, policy: BudgetPolicy, event: AuditEvent
    ) -> Budget | None:
        for _ in range(TRIES_MAX):
            budget = await self._budget(partition, policy.scope)
            if budget is None or budget.sealed or budget.policy_revision >= policy.revision:
                return budget
            change = apply_operation(policy, budget)
            noted = Create(outbox_document(partition, event))
            try:
                await commit(await self._container(), partition.key, [change, noted])
            except BatchRefused as refusal:
                if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                    raise InvariantBroken("A policy could not be applied.") from None
                check_allocation(policy, budget)
        raise Unavailable("The budget changes too fast to be changed now.", retry_after_s=1)

    async def carry_over(
        self, partition: Partition, policy: BudgetPolicy, event: AuditEvent
    ) -> int:
        carry_id = carry_over_document_id(policy.scope)
        for _ in range(TRIES_MAX):
            standing = await read_or_none(await self._container(), carry_id, partition.key)
            if standing is not None:
                return int(standing["amount_micros"])
            budget = await self._budget(partition, policy.scope)
            amount = policy.rolls_over_micros(budget.unused_micros) if budget else 0
            entry = {
                "id": carry_id,
                "pk": partition.key,
                "type": "carry_over",
                "scope": policy.scope.name,
                "amount_micros": amount,
                "carried_at": event.occurred_at,
            }
            operations: list[Operation] = [
                Create(entry),
                *([carry_over_operation(budget, amount)] if budget and amount else []),
                Create(outbox_document(partition, event)),
            ]
            try:
                await commit(await self._container(), partition.key, operations)
            except BatchRefused as refusal:
                if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                    raise InvariantBroken("What rolls over could not be taken.") from None
            else:
                return amount
        raise Unavailable("The budget changes too fast to be carried over.", retry_after_s=1)

    async def _budget(self, partition: Partition, scope: Scope) -> Budget | None:
        document = await read_or_none(await self._container(), scope.document_id, partition.key)
        return read_budget(document) if document else None
