"""The end of a batch: results and receipt beside each other, every figure from the ledger."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_files import spreadsheet_safe
from shared.domain.identity import Caller
from shared.domain.ids import CHUNK_ROWS, chunks_of
from shared.domain.ledger import Document
from shared.domain.settlements import SYSTEM_ACTOR
from shared.domain.views import (
    ProviderTotal,
    ReceiptLine,
    ReceiptView,
    generation_view,
    row_counts,
)
from shared.errors import Conflict, Unavailable
from shared.ports import BatchFiles, Clock, Records
from shared.services.batch_planning import BatchPlanning, faulty_row
from shared.services.batches import Batches

RECEIPT_JSON, RECEIPT_CSV, RESULTS = "receipt.json", "receipt.csv", "results.jsonl"


@dataclass(frozen=True)
class BatchResults:
    """Closes batches and hands out their receipts."""

    batches: Batches
    planning: BatchPlanning
    records: Records
    files: BatchFiles
    clock: Clock

    async def finish(self, batch_id: str) -> str:
        """Write results and receipt, then mark the batch as ended; repeating it is harmless."""
        batch = await self.records.batch(batch_id)
        if batch is None:
            return "unknown"
        now = self.clock.now().isoformat()
        receipt = await self._receipt(batch, now)
        await self.files.put_result(
            batch_id, RESULTS, "application/x-ndjson", self._result_lines(batch)
        )
        body = receipt.model_dump_json(indent=1).encode()
        await self.files.put_result(batch_id, RECEIPT_JSON, "application/json", _one(body))
        await self.files.put_result(
            batch_id, RECEIPT_CSV, "text/csv; charset=utf-8", _one(_receipt_csv(receipt.lines))
        )
        await self._write_errors(batch)
        status = _final_status(batch)
        event = AuditEvent(
            action=f"batch.{status}",
            object_id=batch_id,
            actor=SYSTEM_ACTOR,
            actor_role="system",
            outcome="failure" if status == "indeterminate" else "success",
            occurred_at=now,
            correlation_id=batch["correlation_id"],
            details={"amount_micros": receipt.amount_micros, "usd_micros": receipt.usd_micros},
        )
        await self.records.close_batch(batch_id, status, now, event)
        return status

    async def receipt(self, caller: Caller, batch_id: str, *, as_csv: bool) -> bytes:
        """The receipt of a batch that has ended; Conflict until then."""
        await self.batches.visible(caller, batch_id)
        body = await self.files.result(batch_id, RECEIPT_CSV if as_csv else RECEIPT_JSON)
        if body is None:
            raise Conflict("The batch has no receipt yet.", code="no_receipt")
        return body

    async def _write_errors(self, batch: Document) -> None:
        """Again from the plan that was reserved: another body under the same key may have tried."""
        if not batch["invalid_rows"]:
            return
        faulty = [
            faulty_row(row)
            for number in range(chunks_of(batch["rows"]))
            for row in (await self.files.chunk(batch["batch_id"], batch["plan"], number)).rows
            if row.faults
        ]
        await self.planning.write_errors(batch["batch_id"], faulty)

    async def _receipt(self, batch: Document, now: str) -> ReceiptView:
        lines = [
            ReceiptLine(**{name: entry[name] for name in ReceiptLine.model_fields})
            async for entry in self.records.resolutions(batch["batch_id"])
        ]
        _check_complete(batch, len(lines))
        return ReceiptView(
            batch_id=batch["batch_id"],
            department_id=batch["department_id"],
            price_version=batch["price_version"],
            quoted_micros=batch["quoted_micros"],
            amount_micros=sum(line.amount_micros for line in lines),
            usd_micros=sum(line.usd_micros for line in lines),
            rows=row_counts(batch),
            providers=_provider_totals(lines),
            lines=tuple(lines),
            completed_at=now,
        )

    async def _result_lines(self, batch: Document) -> AsyncIterator[bytes]:
        for first in range(1, batch["rows"] + 1, CHUNK_ROWS):
            last = first + CHUNK_ROWS - 1
            for record in await self.records.batch_generations(batch["batch_id"], first, last):
                yield generation_view(record).model_dump_json().encode() + b"\n"


def _provider_totals(lines: Sequence[ReceiptLine]) -> tuple[ProviderTotal, ...]:
    totals = []
    for provider in sorted({line.provider for line in lines}):
        own = [line for line in lines if line.provider == provider]
        totals.append(
            ProviderTotal(
                provider=provider,
                images=sum(line.images for line in own),
                amount_micros=sum(line.amount_micros for line in own),
                usd_micros=sum(line.usd_micros for line in own),
            )
        )
    return tuple(totals)


def _receipt_csv(lines: Sequence[ReceiptLine]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(ReceiptLine.model_fields))
    writer.writeheader()
    for line in lines:
        row = line.model_dump()
        writer.writerow(row | {"item_id": spreadsheet_safe(row["item_id"])})
    return text.getvalue().encode()


def _check_complete(batch: Document, entries: int) -> None:
    """A receipt is written from one state: raise Unavailable while the reads lag or rows run."""
    counts = batch["counts"]
    if (
        sum(counts.values()) != batch["valid_rows"]
        or entries != batch["valid_rows"] - counts["indeterminate"]
    ):
        raise Unavailable("The entries of the batch could not all be read yet.")


def _final_status(batch: Document) -> str:
    if batch["counts"]["indeterminate"]:
        return "indeterminate"
    return "canceled" if batch["counts"]["canceled"] else "completed"


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body
