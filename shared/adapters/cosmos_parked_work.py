"""Work that waits, and approvals, in Cosmos DB: in the partition that will pay for it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    read_or_none,
)
from shared.domain.approvals import (
    Approval,
    Vote,
    approval_document_id,
    close_operations,
    conclude_operations,
    escalate_operations,
    read_approval,
    read_vote,
    request_operations,
    vote_operations,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.barriers import is_barrier
from shared.domain.budgets import CURRENCY, Budget, Scope, read_budget
from shared.domain.document_versions import upgrade
from shared.domain.ids import Partition
from shared.domain.ledger import (
    Create,
    Document,
    Hold,
    Operation,
    hold_id,
    partition_for,
    read_hold,
)
from shared.domain.limit_changes import LIMIT_TRIES_MAX, budgets_after, check_allocation, check_open
from shared.domain.parked_work import (
    Move,
    Parked,
    move_document,
    parked_document,
    place_freed_operations,
    read_move,
    record_id,
    unpark_operations,
)
from shared.errors import (
    BudgetExceeded,
    Conflict,
    IdempotencyKeyReused,
    InvariantBroken,
    PeriodNotOpen,
    Unavailable,
)

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

APPROVALS_LISTED_MAX = 100  # of one department and period; the oldest are not waiting any more
WAITING_PER_PAGE = 500  # of one department and period; the sweep asks for page after page
_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404


class CosmosParkedWork:
    """Implements the ParkedWork port."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def request(self, approval: Approval, work: Parked, event: AuditEvent) -> bool:
        return await self._take_place(work.hold, request_operations(approval, work, event))

    async def approval(self, operation_id: str) -> Approval | None:
        document = await self._read(operation_id, approval_document_id(operation_id))
        return read_approval(document) if document else None

    async def votes(self, operation_id: str) -> Sequence[Vote]:
        found = await self._query(
            partition_for(operation_id),
            "STARTSWITH(c.id, @prefix) ORDER BY c.id",
            {"@prefix": f"vote:{operation_id}:"},
        )
        return [read_vote(document) for document in found]

    async def approvals(
        self, partition: Partition, tenant_id: str, requester: str | None, *, pending: bool
    ) -> Sequence[Approval]:
        condition = "STARTSWITH(c.id, 'approval:') AND c.tenant_id = @tenant_id"
        parameters = {"@tenant_id": tenant_id}
        if requester is not None:
            condition += " AND c.requester = @requester"
            parameters["@requester"] = requester
        if pending:
            condition += " AND c.status = 'pending'"
        order = f" ORDER BY c.created_at DESC OFFSET 0 LIMIT {APPROVALS_LISTED_MAX}"
        found = await self._query(partition, condition + order, parameters)
        return [read_approval(document) for document in found]

    async def vote(
        self, approval: Approval, vote: Vote, record: Mapping[str, Any] | None, event: AuditEvent
    ) -> bool:
        operations = vote_operations(approval, vote, record, event)
        refusal = await self._refusal(approval.partition, operations)
        if refusal is None:
            return True
        if refusal.index != 0:
            return self._has_changed(refusal)
        standing = await self._read(vote.operation_id, vote.document_id)
        if standing is None:
            raise Unavailable("A vote that stands could not be read back yet.")
        if standing["vote_id"] != vote.vote_id:  # not ours, sent again
            raise Conflict("You have decided on this already.", code="already_decided")
        return True

    async def escalate(self, approval: Approval, event: AuditEvent) -> bool:
        operations = escalate_operations(approval, event)
        refusal = await self._refusal(approval.partition, operations)
        return refusal is None or self._has_changed(refusal)

    async def close(
        self, approval: Approval, after: Approval, record: Mapping[str, Any], event: AuditEvent
    ) -> bool:
        operations = close_operations(approval, after, record, event)
        refusal = await self._refusal(approval.partition, operations)
        return refusal is None or self._has_changed(refusal)

    async def conclude(
        self, approval: Approval, work: Parked, changes: Mapping[str, Any], event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        partition, hold = approval.partition, work.hold
        for _ in range(LIMIT_TRIES_MAX):
            raised = {scope: await self._budget(partition, scope) for scope in approval.raised}
            operations = conclude_operations(approval, work, raised, changes, event)
            try:
                answers = await commit(await self._container(), partition.key, operations)
            except BatchRefused as refusal:
                scope_index = refusal.index - 2  # after the approval and the place of the hold
                if scope_index < 0 and refusal.status == _PRECONDITION_FAILED:
                    return None
                if refusal.status not in (_PRECONDITION_FAILED, _NOT_FOUND):
                    raise InvariantBroken("An approval could not be carried out.") from None
                scope = hold.scopes[scope_index]
                budget = await self._budget(partition, scope)
                check_open(budget)
                if scope in raised:
                    check_allocation(budget, hold.amount_micros)
                else:
                    _check_covered(budget, hold)
            else:
                return budgets_after(operations, answers)
        raise Unavailable("The budget changes too fast to be raised now.", retry_after_s=1)

    async def move(self, move: Move, event: AuditEvent) -> Move | None:
        operations = [
            Create(move_document(move)),
            Create(outbox_document(move.partition, event)),
        ]
        if await self._take_place(move.parked.hold, operations):
            return move
        return await self.find_move(move.operation_id)

    async def land(self, move: Move) -> None:
        work = move.parked
        # No event: it is the second half of one change, which the move has told of.
        operations = [Create(parked_document(work)), Create(work.record)]
        refusal = await self._refusal(work.partition, operations)
        if refusal is not None and (refusal.index, refusal.status) != (0, _CONFLICT):
            raise InvariantBroken("Moved work was refused in an unforeseen way.")
        landed = [{"op": "set", "path": "/status", "value": "landed"}]
        container = await self._container()
        await answered(
            lambda: container.patch_item(
                item=hold_id(move.operation_id),
                partition_key=move.partition.key,
                patch_operations=landed,
                no_response=True,
            )
        )

    async def find_move(self, operation_id: str) -> Move | None:
        document = await self._read(operation_id, hold_id(operation_id))
        return read_move(document) if document and document["type"] == "moved_hold" else None

    async def parked(self, operation_id: str) -> Parked | None:
        place = await self._read(operation_id, hold_id(operation_id))
        if place is None or place.get("status") != "parked":
            return None
        record = await self._read(operation_id, record_id(place["kind"], operation_id))
        if record is None:
            raise Unavailable("The record of waiting work could not be read yet.")
        return Parked(place["kind"], read_hold(place), record)

    async def release(
        self, work: Parked, changes: Mapping[str, Any], started_at: str, event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        operations = unpark_operations(work, {}, started_at, changes)
        operations.append(Create(outbox_document(work.partition, event)))
        try:
            answers = await commit(await self._container(), work.partition.key, operations)
        except BatchRefused as refusal:
            if refusal.index == 0 and refusal.status == _PRECONDITION_FAILED:
                return None
            scope_index = refusal.index - 1
            if not 0 <= scope_index < len(work.hold.scopes):
                raise InvariantBroken("Deferred work could not be reserved.") from None
            scope = work.hold.scopes[scope_index]
            if refusal.status == _NOT_FOUND:
                period = work.partition.period
                raise PeriodNotOpen(f"{scope.name} has no budget in {period}.") from None
            budget = await self._budget(work.partition, scope)
            check_open(budget)
            raise _exceeded(budget, work.hold.amount_micros) from None
        return budgets_after(operations, answers)

    async def drop(self, work: Parked, record: Mapping[str, Any], event: AuditEvent) -> bool:
        operations = place_freed_operations(work, record)
        operations.append(Create(outbox_document(work.partition, event)))
        refusal = await self._refusal(work.partition, operations)
        return refusal is None or self._has_changed(refusal)

    async def waiting(
        self, partition: Partition, now: str, after: str
    ) -> Sequence[Mapping[str, Any]]:
        return await self._query(
            partition,
            "((STARTSWITH(c.id, 'approval:') AND (c.status = 'approved'"
            " OR (c.status = 'pending' AND (c.expires_at <= @now"
            " OR (c.escalations = 0 AND c.escalates_at <= @now)))))"
            " OR (STARTSWITH(c.id, 'h:') AND (c.status = 'moved'"
            " OR (c.status = 'parked' AND c.waits_for = 'deferred'))))"
            f" AND c.id > @after ORDER BY c.id OFFSET 0 LIMIT {WAITING_PER_PAGE}",
            {"@now": now, "@after": after},
        )

    async def _take_place(self, hold: Hold, operations: Sequence[Operation]) -> bool:
        """Commit what begins by taking the id of a request; False if that request has it."""
        place = operations[0]
        if not isinstance(place, Create):
            raise InvariantBroken("An id is taken by creating its place.")
        partition = partition_for(place.document["operation_id"])
        refusal = await self._refusal(partition, operations)
        if refusal is None:
            return True
        if (refusal.index, refusal.status) != (0, _CONFLICT):
            raise InvariantBroken("Waiting work was refused in an unforeseen way.")
        standing = await self._read(place.document["operation_id"], place.document["id"])
        if standing is None:
            raise Unavailable("A request that stands could not be read back yet.")
        if is_barrier(standing):
            raise Unavailable("The budget period has just ended; send it again.", retry_after_s=1)
        if standing["request_hash"] != hold.request_hash:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another request; send a new key."
            )
        return False

    async def _refusal(
        self, partition: Partition, operations: Sequence[Operation]
    ) -> BatchRefused | None:
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            return refusal
        return None

    def _has_changed(self, refusal: BatchRefused) -> bool:
        """False: what was read stands no more; anything else is a fault of ours."""
        if refusal.status not in (_PRECONDITION_FAILED, _CONFLICT):
            raise InvariantBroken("A step of waiting work was refused in an unforeseen way.")
        return False

    async def _read(self, operation_id: str, document_id: str) -> Document | None:
        key = partition_for(operation_id).key
        return await read_or_none(await self._container(), document_id, key)

    async def _budget(self, partition: Partition, scope: Scope) -> Budget:
        document = await read_or_none(await self._container(), scope.document_id, partition.key)
        if document is None:
            raise PeriodNotOpen(f"{scope.name} has no budget in {partition.period}.")
        return read_budget(document)

    async def _query(
        self, partition: Partition, condition: str, parameters: Mapping[str, Any]
    ) -> list[Document]:
        sent = [{"name": name, "value": value} for name, value in parameters.items()]

        async def read_all() -> list[Document]:
            found = (await self._container()).query_items(
                "SELECT * FROM c WHERE " + condition,  # noqa: S608  # nosec B608  # our constants
                parameters=sent,
                partition_key=partition.key,
            )
            return [upgrade(dict(document)) async for document in found]

        return await answered(read_all)


def _check_covered(budget: Budget, hold: Hold) -> None:
    """Raise BudgetExceeded if a budget that nobody may raise does not cover the work."""
    if budget.available_micros < hold.amount_micros:
        raise _exceeded(budget, hold.amount_micros)


def _exceeded(budget: Budget, needed_micros: int) -> BudgetExceeded:
    return BudgetExceeded(
        f"The {budget.scope.kind} budget of {budget.period} does not cover this request.",
        extra={
            "scope": budget.scope.name,
            "period": budget.period,
            "needed_micros": needed_micros,
            "available_micros": budget.available_micros,
            "currency": CURRENCY,
            "overage": budget.overage,
        },
    )
