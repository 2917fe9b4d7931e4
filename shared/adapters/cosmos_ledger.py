"""The ledger in Cosmos DB: a partition per department and period, one batch per change."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.adapters.cosmos import (
    LEDGER_CONTAINER,
    BatchRefused,
    CosmosConnection,
    answered,
    commit,
    create_once,
    read_existing,
    read_or_none,
)
from shared.domain.adjustments import Adjustment, adjust_operations, adjustment_document_id
from shared.domain.attempt_markers import (
    AttemptMarker,
    marker_document,
    raise_operations,
    read_marker,
)
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.barriers import barrier_document, is_barrier, void_document
from shared.domain.budgets import CURRENCY, Budget, Scope, read_budget
from shared.domain.ids import Partition, operation_of
from shared.domain.ledger import (
    Create,
    Document,
    Hold,
    Operation,
    Reservation,
    Resolution,
    hold_id,
    partition_for,
    read_hold,
    reserve_operations,
    resolution_id,
    resolve_operations,
    rows_that_fit,
    unknown_operations,
)
from shared.domain.limit_changes import LIMIT_TRIES_MAX, budgets_after
from shared.errors import (
    BudgetExceeded,
    Conflict,
    IdempotencyKeyReused,
    InvariantBroken,
    PeriodClosed,
    PeriodNotOpen,
    PolicyDenied,
    Unavailable,
)

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_CONFLICT, _PRECONDITION_FAILED, _NOT_FOUND = 409, 412, 404


class CosmosLedger:
    """Implements the Ledger port; see docs/ledger.md for the protocol and its invariants."""

    def __init__(self, connection: CosmosConnection) -> None:
        self._connection = connection

    async def _container(self) -> "ContainerProxy":
        return await self._connection.container(LEDGER_CONTAINER)

    async def reserve(self, reservation: Reservation) -> tuple[Budget, ...] | None:
        hold = reservation.hold
        partition = partition_for(hold.operation_id)
        operations = reserve_operations(reservation)
        try:
            answers = await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.index == 0 and refusal.status == _CONFLICT:
                await self._same_request(hold)
                return None
            scope_index = refusal.index - 1
            if not 0 <= scope_index < len(hold.scopes):
                raise InvariantBroken("A reservation was refused in an unforeseen way.") from None
            scope = hold.scopes[scope_index]
            if refusal.status == _NOT_FOUND:
                raise PeriodNotOpen(f"{scope.name} has no budget in {partition.period}.") from None
            if refusal.status != _PRECONDITION_FAILED:
                raise InvariantBroken("A reservation was refused in an unforeseen way.") from None
            await self._check_open(partition)
            raise await self._budget_exceeded(partition, scope, hold.amount_micros) from None
        return budgets_after(operations, answers)

    async def _same_request(self, hold: Hold) -> None:
        standing = await self._read_back(hold.document_id, partition_for(hold.operation_id))
        if is_barrier(standing):
            raise Unavailable("The budget period has just ended; send it again.", retry_after_s=1)
        if standing["request_hash"] != hold.request_hash:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another request; send a new key."
            )

    async def _check_open(self, partition: Partition) -> None:
        """Raise PeriodClosed if that is why a booking was refused: sealing is never undone."""
        department = await self.budget(partition, Scope("department", partition.department_id))
        if department is not None and department.sealed:
            raise PeriodClosed(f"The period {partition.period} is closed: nothing is booked in it.")

    async def _budget_exceeded(
        self, partition: Partition, scope: Scope, needed_micros: int
    ) -> BudgetExceeded:
        budget = await self.budget(partition, scope)
        available = budget.available_micros if budget else 0
        return BudgetExceeded(
            f"The {scope.kind} budget of {partition.period} does not cover this request.",
            extra={
                "scope": scope.name,
                "period": partition.period,
                "needed_micros": needed_micros,
                "available_micros": available,
                "currency": CURRENCY,
                "overage": budget.overage if budget else "refuse",
            },
        )

    async def adjust(self, adjustment: Adjustment) -> tuple[Budget, ...] | None:
        partition, scopes = adjustment.partition, adjustment.charge.scopes()
        for _ in range(LIMIT_TRIES_MAX):
            raised = await self._raised_for(adjustment)
            operations = adjust_operations(adjustment, raised)
            try:
                answers = await commit(await self._container(), partition.key, operations)
            except BatchRefused as refusal:
                if refusal.index == 0 and refusal.status == _CONFLICT:
                    await self._check_not_given_up(adjustment)
                    return None
                if not 1 <= refusal.index <= len(scopes):
                    raise InvariantBroken("An adjustment was refused unexpectedly.") from None
                scope = scopes[refusal.index - 1]
                if refusal.status == _NOT_FOUND:
                    missing = f"{scope.name} has no budget in {partition.period}."
                    raise PeriodNotOpen(missing) from None
                if refusal.status != _PRECONDITION_FAILED:
                    raise InvariantBroken("An adjustment was refused unexpectedly.") from None
                await self._check_fits(adjustment, scope, may_have_moved=scope in raised)
            else:
                return budgets_after(operations, answers)
        raise Unavailable("The budget changes too fast to be corrected now.", retry_after_s=1)

    async def _check_fits(
        self, adjustment: Adjustment, scope: Scope, *, may_have_moved: bool
    ) -> None:
        """Raise why an adjustment was refused; return if a limit changed since it was read."""
        await self._check_open(adjustment.partition)
        amount = adjustment.amount_micros
        if amount > 0:
            raise await self._budget_exceeded(adjustment.partition, scope, amount)
        budget = await self.budget(adjustment.partition, scope)
        if not may_have_moved or budget is None or budget.spent_micros < -amount:
            raise Conflict("No more can be given back than was spent.")

    async def _raised_for(self, adjustment: Adjustment) -> dict[Scope, Budget]:
        """The budgets whose limits an approval has raised for the work that is corrected."""
        partition, generation_id = adjustment.partition, adjustment.refers_to
        is_credit = adjustment.amount_micros < 0
        if not is_credit or generation_id is None or partition_for(generation_id) != partition:
            return {}
        document_id = hold_id(operation_of(generation_id))
        document = await read_or_none(await self._container(), document_id, partition.key)
        if document is None or document["type"] != "hold":
            return {}
        raised = set(read_hold(document).raised) & set(adjustment.charge.scopes())
        return {scope: await self._must_budget(partition, scope) for scope in raised}

    async def give_up(self, adjustment: Adjustment, given_up_at: str) -> bool:
        if await create_once(await self._container(), void_document(adjustment, given_up_at)):
            return True
        return is_barrier(await self._standing_entry(adjustment))

    async def _check_not_given_up(self, adjustment: Adjustment) -> None:
        if is_barrier(await self._standing_entry(adjustment)):
            raise Conflict("This entry was refused and given up.", code="entry_given_up")

    async def _standing_entry(self, adjustment: Adjustment) -> Document:
        document_id = adjustment_document_id(adjustment.adjustment_id)
        return await self._read_back(document_id, adjustment.partition)

    async def begin_attempt(self, marker: AttemptMarker) -> AttemptMarker:
        partition = partition_for(marker.generation_id)
        if marker.raised_micros:
            return await self._begin_raised(partition, marker)
        if await create_once(await self._container(), marker_document(marker)):
            return marker
        # It exists: an earlier delivery's, another owner's, or ours whose answer was lost.
        return read_marker(await self._read_back(marker.document_id, partition))

    async def _begin_raised(self, partition: Partition, marker: AttemptMarker) -> AttemptMarker:
        """Marker, hold and budgets in one transaction."""
        hold = await self._open_hold(partition, operation_of(marker.generation_id))
        if hold.raised:  # somebody has approved this amount and no other
            raise PolicyDenied("What was approved is not raised any further.", code="approved_only")
        operations = raise_operations(marker, hold.scopes)
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            if refusal.index == 0 and refusal.status == _CONFLICT:
                return read_marker(await self._read_back(marker.document_id, partition))
            scope_index = refusal.index - 2
            if not 0 <= scope_index < len(hold.scopes) or refusal.status == _CONFLICT:
                raise InvariantBroken("A raise was refused in an unforeseen way.") from None
            await self._check_open(partition)
            scope = hold.scopes[scope_index]
            raise await self._budget_exceeded(partition, scope, marker.raised_micros) from None
        return marker

    async def record_job(self, marker: AttemptMarker, job_id: str) -> None:
        await self._set(marker, "job_id", job_id)

    async def record_outcome(self, marker: AttemptMarker, outcome: Mapping[str, Any]) -> None:
        await self._set(marker, "outcome", dict(outcome))

    async def _set(self, marker: AttemptMarker, name: str, value: object) -> None:
        key = partition_for(marker.generation_id).key
        steps = [{"op": "set", "path": f"/{name}", "value": value}]
        container = await self._container()
        await answered(
            lambda: container.patch_item(
                item=marker.document_id,
                partition_key=key,
                patch_operations=steps,
                no_response=True,
            )
        )

    async def resolve(self, operation_id: str, resolutions: Sequence[Resolution]) -> None:
        partition = partition_for(operation_id)
        hold = await self._open_hold(partition, operation_id)
        rows, tries_left = list(resolutions), LIMIT_TRIES_MAX
        # Each turn ends rows, drops one, learns that a record exists, or uses a try: it terminates.
        while rows:
            raised = {scope: await self._must_budget(partition, scope) for scope in hold.raised}
            now = rows[: rows_that_fit(rows, len(hold.scopes))]
            operations = resolve_operations(operation_id, hold.scopes, now, raised)
            try:
                await commit(await self._container(), partition.key, operations)
            except BatchRefused as refusal:
                if refusal.status == _PRECONDITION_FAILED and raised and tries_left:
                    tries_left -= 1  # a policy may have changed a limit since it was read
                    continue
                if refusal.status != _CONFLICT:
                    raise InvariantBroken("A settlement was refused: counters differ.") from None
                if refusal.index < len(now):
                    rows = await self._without_resolved(partition, rows)
                else:
                    rows = _with_existing_record(rows, operations[refusal.index])
            else:
                rows = rows[len(now) :]

    async def _open_hold(self, partition: Partition, operation_id: str) -> Hold:
        """The hold without which nothing is begun or resolved (I8).

        A replica may lag behind, or show what it was while its work waited: without the scopes
        that were raised for it.
        """
        document = await read_or_none(await self._container(), hold_id(operation_id), partition.key)
        if document is None or document["type"] != "hold":
            raise Unavailable("The hold could not be read yet.")
        return read_hold(document)

    async def _without_resolved(
        self, partition: Partition, rows: Sequence[Resolution]
    ) -> list[Resolution]:
        container = await self._container()
        standing = await asyncio.gather(
            *(read_or_none(container, resolution_id(r.generation_id), partition.key) for r in rows)
        )
        remaining = [row for row, found in zip(rows, standing, strict=True) if found is None]
        if len(remaining) == len(rows):
            raise Unavailable("A settlement that stands could not be read back yet.")
        return remaining

    async def note_unknown(self, record: Document, event: AuditEvent) -> None:
        partition = partition_for(record["generation_id"])
        operations = unknown_operations(record["generation_id"], record, event)
        try:
            await commit(await self._container(), partition.key, operations)
        except BatchRefused as refusal:
            # It was noted before, or the generation has ended meanwhile: nothing is left to note.
            if refusal.status not in (_CONFLICT, _PRECONDITION_FAILED):
                raise InvariantBroken("An unknown outcome could not be noted.") from None

    async def note_event(self, partition: Partition, event: AuditEvent) -> None:
        await create_once(await self._container(), outbox_document(partition, event))

    async def budget(self, partition: Partition, scope: Scope) -> Budget | None:
        document = await read_or_none(await self._container(), scope.document_id, partition.key)
        return read_budget(document) if document else None

    async def _must_budget(self, partition: Partition, scope: Scope) -> Budget:
        budget = await self.budget(partition, scope)
        if budget is None:
            raise Unavailable("A budget could not be read yet.", retry_after_s=1)
        return budget

    async def bar(self, operation_id: str, barred_at: str) -> bool:
        barrier = barrier_document(operation_id, barred_at)
        if await create_once(await self._container(), barrier):
            return True
        standing = await self._read_back(hold_id(operation_id), partition_for(operation_id))
        return is_barrier(standing)

    async def hold(self, operation_id: str) -> Hold | None:
        key = partition_for(operation_id).key
        document = await read_or_none(await self._container(), hold_id(operation_id), key)
        return read_hold(document) if document and not is_barrier(document) else None

    async def _read_back(self, document_id: str, partition: Partition) -> Document:
        return await read_existing(await self._container(), document_id, partition.key)


def _with_existing_record(rows: Sequence[Resolution], refused: Operation) -> list[Resolution]:
    """The record of one row was written earlier, as indeterminate: patch it instead."""
    document_id = refused.document["id"] if isinstance(refused, Create) else None
    changed = [
        replace(row, record_exists=True)
        if row.record["id"] == document_id and not row.record_exists
        else row
        for row in rows
    ]
    if changed == list(rows):
        raise InvariantBroken("A settlement was refused in an unforeseen way.")
    return changed
