"""Deferred work: when its period starts it is priced anew, reserved and started, or dropped."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchChunk, PlannedRow
from shared.domain.batch_quotes import BatchPrices, PricedRow, planned_row, priced_row
from shared.domain.generations import resolve_request
from shared.domain.ids import chunks_of
from shared.domain.parked_work import Parked, ended_record
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.prices import PriceCatalogue
from shared.domain.work import read_work_item
from shared.errors import Invalid, PeriodNotOpen, Rejected, Unavailable
from shared.ports import BatchFiles, Clock, Records
from shared.ports.parked_work import ParkedWork
from shared.services.alerts import Alerts
from shared.services.approvals import Ending
from shared.services.batch_planning import BatchPlanning, faulty_row
from shared.services.budget_periods import BudgetPeriods

PLAN_HEX_DIGITS = 16  # tells apart the plans of one batch
ADMITTED = "admitted"

_STARTED = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Deferrals:
    """Brings work that waited for a period to its start, or to an end without a charge."""

    store: ParkedWork
    records: Records
    files: BatchFiles
    planning: BatchPlanning
    periods: BudgetPeriods
    catalogues: PriceCatalogues
    clock: Clock
    alerts: Alerts | None = None  # told of every reservation

    async def release(self, operation_id: str) -> Ending:
        """Price anew and reserve, once; a budget that refuses again ends it, and costs nothing."""
        work = await self.store.parked(operation_id)
        if work is None or work.record["status"] != "deferred":
            return await self._ending(operation_id)
        now = self.clock.now()
        if now < datetime.fromisoformat(work.record["starts_at"]):
            raise Unavailable("Its period has not started yet.", retry_after_s=1)
        try:
            priced, changes = await self._priced(work, self.catalogues.at(now))
            await self._reserve(priced, changes, now.isoformat())
        except PeriodNotOpen as unopened:
            raise Unavailable("The period could not be opened yet.") from unopened
        except Rejected as refusal:
            await self._drop(work, refusal)
        return await self._ending(operation_id)

    async def _reserve(self, work: Parked, changes: Mapping[str, Any], now: str) -> None:
        record = work.record
        event = AuditEvent(
            action=f"{work.kind}.admitted",
            object_id=work.operation_id,
            actor=record["user_key"],
            actor_role="deferred",
            outcome="success",
            occurred_at=now,
            correlation_id=record["correlation_id"],
            details={
                "reserved_micros": work.hold.amount_micros,
                "price_version": self.catalogues.at(datetime.fromisoformat(now)).version,
            },
        )
        try:
            budgets = await self.store.release(work, changes, now, event)
        except PeriodNotOpen:
            await self.periods.open(work.partition, work.hold.scopes)
            budgets = await self.store.release(work, changes, now, event)
        if budgets is not None and self.alerts is not None:
            await self.alerts.note(work.partition, budgets)

    async def _drop(self, work: Parked, refusal: Rejected) -> None:
        now = self.clock.now().isoformat()
        event = AuditEvent(
            action=f"{work.kind}.dropped",
            object_id=work.operation_id,
            actor="system:overage",
            actor_role="system",
            outcome="denied",
            occurred_at=now,
            correlation_id=work.record["correlation_id"],
            reason=refusal.problem_code,
        )
        record = ended_record(work.kind, refusal.problem_code, refusal.detail, now)
        await self.store.drop(work, record, event)

    async def _ending(self, operation_id: str) -> Ending:
        """How the work stands now: another delivery may have brought it further."""
        batch = await self.records.batch(operation_id)
        if batch is not None:
            status = ADMITTED if batch["status"] in _STARTED else str(batch["status"])
            deadline_rows = int(batch.get("deadline_rows", 0))
            return Ending(status, "batch", int(batch["rows"]), deadline_rows)
        record = await self.records.generation(operation_id)
        if record is None:
            raise Unavailable("The deferred work could not be read yet.")
        status = ADMITTED if record["status"] in _STARTED else str(record["status"])
        return Ending(status, "generation", 1)

    async def _priced(
        self, work: Parked, catalogue: PriceCatalogue
    ) -> tuple[Parked, dict[str, Any]]:
        """The work at the prices of its own period, and what that changes in its record."""
        if work.kind == "batch":
            return await self._priced_batch(work, catalogue)
        resolved, _ = resolve_request(read_work_item(work.record).request)
        quote = catalogue.quote(resolved)
        hold = replace(work.hold, amount_micros=quote.amount_micros, usd_micros=quote.usd_micros)
        return replace(work, hold=hold), {"quote": vars(quote), "starts_at": None}

    async def _priced_batch(
        self, work: Parked, catalogue: PriceCatalogue
    ) -> tuple[Parked, dict[str, Any]]:
        batch = work.record
        seed = (batch["plan"], catalogue.version, catalogue.exchange_rate.version)
        plan = hashlib.sha256("|".join(seed).encode()).hexdigest()[:PLAN_HEX_DIGITS]
        count, faulty = 0, list[BatchRow]()
        valid: list[PricedRow] = []
        for number in range(chunks_of(batch["rows"])):
            chunk = await self.files.chunk(work.operation_id, batch["plan"], number)
            priced = _priced_chunk(chunk, plan, catalogue)
            await self.files.put_chunk(number, priced)
            count += len(priced.rows)
            faulty += [faulty_row(row) for row in priced.rows if row.faults]
            valid += [found for row in priced.rows if (found := priced_row(row)) is not None]
        await self.planning.write_errors(work.operation_id, faulty)
        if not valid:
            raise Invalid("No row of the batch can be priced any more.", code="no_valid_rows")
        totals = BatchPrices(count, faulty, valid).totals(len(valid))
        hold = replace(
            work.hold,
            rows=totals.valid_rows,
            amount_micros=totals.amount_micros,
            usd_micros=totals.usd_micros,
        )
        changes = {
            "plan": plan,
            "price_version": catalogue.version,
            "valid_rows": totals.valid_rows,
            "invalid_rows": totals.invalid_rows,
            "quoted_micros": totals.amount_micros,
            "quoted_usd_micros": totals.usd_micros,
            "deadline_rows": totals.deadline_rows,
            "starts_at": None,
        }
        return replace(work, hold=hold), changes


def _priced_chunk(chunk: BatchChunk, plan: str, catalogue: PriceCatalogue) -> BatchChunk:
    rate = catalogue.exchange_rate
    return chunk.model_copy(
        update={
            "plan": plan,
            "price_version": catalogue.version,
            "exchange_rate_version": rate.version,
            "aud_per_usd_micros": rate.aud_per_usd_micros,
            "rows": tuple(_priced_row(row, catalogue) for row in chunk.rows),
        }
    )


def _priced_row(row: PlannedRow, catalogue: PriceCatalogue) -> PlannedRow:
    if row.request is None:
        return row
    checked = BatchRow(row.row, row.line, row.item_id, row.request, ())
    priced = planned_row(checked, catalogue)
    return row.model_copy(
        update={"request": priced.request, "quote": priced.quote, "faults": priced.faults}
    )
