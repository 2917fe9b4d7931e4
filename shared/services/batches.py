"""Batches: one plan, one reservation, rows settled one by one, a receipt at the end."""

import logging
from dataclasses import dataclass

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_plans import PlannedRow, is_accepted
from shared.domain.batch_quotes import over_budget_row
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach, require, require_reach
from shared.domain.ids import chunk_of, partition_of
from shared.domain.ledger import Document
from shared.domain.parked_work import WAITING
from shared.domain.views import (
    BatchItemList,
    BatchItemView,
    BatchView,
    batch_view,
    generation_view,
)
from shared.domain.work import owner_of
from shared.errors import (
    Conflict,
    FieldFault,
    IdempotencyKeyReused,
    Invalid,
    NotFound,
    Rejected,
    Unavailable,
)
from shared.ports import BatchFiles, Clock, Ledger, Orchestrations, Records
from shared.services.batch_admission import (
    BatchAdmission,
    BatchOrder,
    batch_event,
    rejected_record,
)
from shared.services.batch_planning import NO_ROWS

NO_BATCHES = "Your role does not submit batches."
NO_SUCH = "There is no such batch."
ITEMS_PER_PAGE_MAX = 100

logger = logging.getLogger("eig.batches")


@dataclass(frozen=True)
class Batches:
    """A batch from its rows to its end."""

    admission: BatchAdmission
    ledger: Ledger
    records: Records
    files: BatchFiles
    clock: Clock

    async def submit(self, order: BatchOrder, orchestrations: Orchestrations) -> BatchView:
        """Plan, reserve in one transaction, start; a repeat starts nothing new."""
        require_reach(order.caller, Permission.BATCHES_CREATE, Reach.OWN, NO_BATCHES)
        standing = await self._standing(order)
        if standing is None:
            standing = await self.admission.admit(order, orchestrations)
        if standing["status"] == "running":
            try:
                await orchestrations.start_batch(
                    standing["batch_id"], standing["rows"], standing.get("deadline_rows", 0)
                )
            except Exception:  # the money is reserved, so it will be done: the sweep starts it
                logger.exception("start left to the sweep", extra={"batch_id": order.batch_id})
        return batch_view(standing)

    async def reject(self, order: BatchOrder, refusal: Rejected) -> None:
        """Keep the record of a file that was refused as a whole: nothing was or will be charged."""
        now = self.clock.now().isoformat()
        problem = {
            "code": refusal.problem_code,
            "detail": refusal.detail,
            "errors": [fault.as_json() for fault in refusal.faults],
        }
        record = rejected_record(order, NO_ROWS, now) | {
            "status": "rejected",
            "problem": problem,
            "completed_at": now,
        }
        event = batch_event(order, order.batch_id, "batch.rejected", now)
        await self.records.reject_batch(record, event)

    async def get(self, caller: Caller, batch_id: str) -> BatchView:
        """A batch the caller may see, with its progress."""
        return batch_view(await self.visible(caller, batch_id))

    async def cancel(self, caller: Caller, batch_id: str, correlation_id: str) -> BatchView:
        """Let the running wave end and start no further one; what was not called is released."""
        batch = await self.visible(caller, batch_id, Permission.BATCHES_CANCEL)
        overage = self.admission.overage
        if batch["status"] in WAITING and overage is not None:
            if await overage.cancel(caller, batch, correlation_id):
                return await self.get(caller, batch_id)
            raise Conflict("It is being started; try again.", code="already_started")
        if batch["status"] != "running":
            raise Conflict("The batch has ended already.", code="already_ended")
        event = AuditEvent(
            action="batch.cancel_requested",
            object_id=batch_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
        )
        await self.records.request_cancel(batch_id, event)
        return await self.get(caller, batch_id)

    async def items(
        self, caller: Caller, batch_id: str, *, continuation: str | None, limit: int
    ) -> BatchItemList:
        """Rows in file order; the continuation is the number of the next row."""
        batch = await self.visible(caller, batch_id)
        first = _row_number(continuation)
        last = min(first + min(limit, ITEMS_PER_PAGE_MAX) - 1, batch["rows"])
        if first > last:
            return BatchItemList(items=(), continuation=None)
        records = {
            record["row"]: record
            for record in await self.records.batch_generations(batch_id, first, last)
        }
        items: list[BatchItemView] = []
        for number in range(chunk_of(first), chunk_of(last) + 1):
            chunk = await self.files.chunk(batch_id, batch["plan"], number)
            for row in chunk.rows:
                if first <= row.row <= last:
                    items.append(_item_view(row, records.get(row.row), batch["last_row"]))
        more = str(last + 1) if last < batch["rows"] else None
        return BatchItemList(items=tuple(items), continuation=more)

    async def visible(
        self,
        caller: Caller,
        batch_id: str,
        permission: Permission = Permission.BATCHES_READ,
    ) -> Document:
        """The record of a batch the caller may see; NotFound for everything else."""
        if partition_of(batch_id) is None:
            raise NotFound(NO_SUCH)
        batch = await self.records.batch(batch_id)
        if batch is None:
            raise NotFound(NO_SUCH)
        require(caller, permission, owner_of(batch), "batch")
        return batch

    async def is_cancel_requested(self, batch_id: str) -> bool:
        """Whether no further wave may start."""
        batch = await self.records.batch(batch_id)
        if batch is None:  # the read lags: nobody may take that for a cancel
            raise Unavailable("The batch could not be read yet.")
        return bool(batch["cancel_requested"])

    async def _standing(self, order: BatchOrder) -> Document | None:
        batch = await self.records.batch(order.batch_id)
        hold = await self.ledger.hold(order.batch_id) if batch else None
        if hold is None:
            # A rejected batch has none. Otherwise the read lags, and `reserve` decides.
            return batch if batch and batch["status"] == "rejected" else None
        if hold.request_hash != order.content_hash:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another batch; send a new key."
            )
        return batch


def _item_view(row: PlannedRow, record: Document | None, last_row: int | None) -> BatchItemView:
    if row.quote is None:
        faults = tuple(fault.model_dump() for fault in row.faults)
        return BatchItemView(row=row.row, item_id=row.item_id, status="invalid", faults=faults)
    if not is_accepted(row.row, last_row):
        return BatchItemView(
            row=row.row,
            item_id=row.item_id,
            status="over_budget",
            faults=tuple(fault.as_json() for fault in over_budget_row(row).faults),
            quoted_micros=row.quote.amount_micros,
        )
    return BatchItemView(
        row=row.row,
        item_id=row.item_id,
        status=record["status"] if record else "waiting",
        quoted_micros=row.quote.amount_micros,
        generation=generation_view(record) if record else None,
    )


def _row_number(continuation: str | None) -> int:
    if continuation is None:
        return 1
    if not (continuation.isascii() and continuation.isdigit() and len(continuation) <= 6):
        raise Invalid(
            "The continuation token is not one of this listing's.",
            faults=[FieldFault("/continuation", "use the value of the last answer unchanged")],
        )
    return max(1, int(continuation))
