"""Batches: one plan, one reservation, rows settled one by one, a receipt at the end."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchSource, BatchTotals, PlannedRow, batch_record
from shared.domain.budgets import Charge
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Ownership, require_sight
from shared.domain.ids import chunk_of, partition_of
from shared.domain.ledger import Document, Hold, Reservation
from shared.domain.prices import PriceCatalogue
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
from shared.services.admission import Admission
from shared.services.batch_planning import NO_ROWS, BatchPlanning

NO_SUCH = "There is no such batch."
ITEMS_PER_PAGE_MAX = 100
PLAN_HEX_DIGITS = 16  # tells apart the few bodies that one key may have been used for

logger = logging.getLogger("eig.batches")

RowReader = Callable[[], Iterator[BatchRow]]


@dataclass(frozen=True)
class BatchOrder:
    """A batch as it arrives: who, under which id, from where, and how to read its rows."""

    caller: Caller
    charge: Charge
    batch_id: str
    source: BatchSource
    content_hash: str
    read_rows: RowReader
    correlation_id: str


@dataclass(frozen=True)
class Batches:
    """A batch from its rows to its end."""

    admission: Admission
    ledger: Ledger
    records: Records
    files: BatchFiles
    planning: BatchPlanning
    catalogue: PriceCatalogue
    clock: Clock

    async def submit(self, order: BatchOrder, orchestrations: Orchestrations) -> BatchView:
        """Plan, reserve the whole price in one transaction, start; a repeat starts nothing new."""
        standing = await self._standing(order)
        if standing is None:
            created_at = self.clock.now().isoformat()
            header = self.planning.header(
                order.caller,
                order.charge,
                batch_id=order.batch_id,
                plan=self._plan_of(order),
                created_at=created_at,
                correlation_id=order.correlation_id,
            )
            totals = await self.planning.plan(header, order.read_rows())
            reservation = self._reservation(order, totals, created_at)
            await self.admission.reserve(order.caller, reservation)
            standing = reservation.record
        if standing["status"] == "running":
            try:
                await orchestrations.start_batch(order.batch_id, standing["rows"])
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
        record = self._record(order, NO_ROWS, now) | {
            "status": "rejected",
            "problem": problem,
            "completed_at": now,
        }
        event = self._event(order, "batch.rejected", now)
        await self.records.reject_batch(record, event)

    async def get(self, caller: Caller, batch_id: str) -> BatchView:
        """A batch the caller may see, with its progress."""
        return batch_view(await self.visible(caller, batch_id))

    async def cancel(self, caller: Caller, batch_id: str, correlation_id: str) -> BatchView:
        """Let the running wave end and start no further one; what was not called is released."""
        batch = await self.visible(caller, batch_id)
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
                    items.append(_item_view(row, records.get(row.row)))
        more = str(last + 1) if last < batch["rows"] else None
        return BatchItemList(items=tuple(items), continuation=more)

    async def visible(self, caller: Caller, batch_id: str) -> Document:
        """The record of a batch the caller may see; NotFound for everything else."""
        if partition_of(batch_id) is None:
            raise NotFound(NO_SUCH)
        batch = await self.records.batch(batch_id)
        if batch is None:
            raise NotFound(NO_SUCH)
        require_sight(caller, owner_of(batch), "batch")
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

    def _plan_of(self, order: BatchOrder) -> str:
        """Where the plan of these very rows at these very prices is kept."""
        catalogue = self.catalogue
        seed = (order.content_hash, catalogue.version, catalogue.exchange_rate.version)
        return hashlib.sha256("|".join(seed).encode()).hexdigest()[:PLAN_HEX_DIGITS]

    def _reservation(self, order: BatchOrder, totals: BatchTotals, created_at: str) -> Reservation:
        caller = order.caller
        hold = Hold(
            operation_id=order.batch_id,
            rows=totals.valid_rows,
            amount_micros=totals.amount_micros,
            usd_micros=totals.usd_micros,
            scopes=order.charge.scopes(),
            request_hash=order.content_hash,
            tenant_id=caller.tenant_id,
            user_key=caller.key,
            created_at=created_at,
        )
        details: dict[str, str | int | bool | None] = {
            "rows": totals.rows,
            "valid_rows": totals.valid_rows,
            "reserved_micros": totals.amount_micros,
            "price_version": self.catalogue.version,
        }
        event = self._event(order, "batch.admitted", created_at, details)
        return Reservation(hold, self._record(order, totals, created_at), event)

    def _record(self, order: BatchOrder, totals: BatchTotals, created_at: str) -> Document:
        caller = order.caller
        return batch_record(
            order.batch_id,
            Ownership(caller.tenant_id, caller.department_id, caller.key),
            order.charge,
            order.source,
            totals,
            created_at=created_at,
            correlation_id=order.correlation_id,
            price_version=self.catalogue.version,
            plan=self._plan_of(order),
        )

    def _event(
        self,
        order: BatchOrder,
        action: str,
        occurred_at: str,
        details: dict[str, str | int | bool | None] | None = None,
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=order.batch_id,
            actor=order.caller.key,
            actor_role=CLAIM_BY_ROLE[order.caller.role],
            outcome="denied" if action == "batch.rejected" else "success",
            occurred_at=occurred_at,
            correlation_id=order.correlation_id,
            details=details or {},
        )


def _item_view(row: PlannedRow, record: Document | None) -> BatchItemView:
    if row.quote is None:
        faults = tuple(fault.model_dump() for fault in row.faults)
        return BatchItemView(row=row.row, item_id=row.item_id, status="invalid", faults=faults)
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
