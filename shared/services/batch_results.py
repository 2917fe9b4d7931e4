"""The end of a batch: results and receipt beside each other, every figure from the ledger."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.audit_events import AuditEvent
from shared.domain.batch_files import BatchRow, spreadsheet_safe
from shared.domain.batch_plans import PlannedRow, is_accepted
from shared.domain.batch_quotes import over_budget_row
from shared.domain.entry_lines import booked_lines
from shared.domain.identity import Caller
from shared.domain.ids import CHUNK_ROWS, chunks_of
from shared.domain.key_views import KeySetView, KeyView
from shared.domain.ledger import Document
from shared.domain.receipt_views import OverBudgetRow, ProviderTotal, ReceiptLine, ReceiptView
from shared.domain.settlements import SYSTEM_ACTOR
from shared.domain.views import generation_view, row_counts
from shared.errors import Conflict, InvariantBroken, Unavailable
from shared.ports import BatchFiles, Clock, Records
from shared.ports.receipts import ReceiptSigner
from shared.services.batch_planning import BatchPlanning, faulty_row
from shared.services.batches import Batches

RESULTS = "results.jsonl"
RECEIPT_JSON, RECEIPT_CSV, RECEIPT_JWS = "receipt.json", "receipt.csv", "receipt.json.jws"
ReceiptForm = Literal["json", "csv", "jws"]
RECEIPT_FILES: Final[dict[ReceiptForm, str]] = {
    "json": RECEIPT_JSON,
    "csv": RECEIPT_CSV,
    "jws": RECEIPT_JWS,
}


@dataclass(frozen=True)
class BatchResults:
    """Closes batches and hands out their receipts."""

    batches: Batches
    planning: BatchPlanning
    records: Records
    files: BatchFiles
    signer: ReceiptSigner
    clock: Clock

    async def finish(self, batch_id: str) -> str:
        """Write results and receipt, then mark the batch as ended; repeating it is harmless."""
        batch = await self.records.batch(batch_id)
        if batch is None:
            return "unknown"
        left_out = await self._left_out(batch)
        receipt = await self._receipt(batch, left_out)
        await self.files.put_result(
            batch_id, RESULTS, "application/x-ndjson", self._result_lines(batch)
        )
        await self.planning.write_errors(batch_id, [row for row, _ in left_out])
        await self._write_receipt(receipt)
        status = _final_status(batch)
        now = self.clock.now().isoformat()
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

    async def receipt(self, caller: Caller, batch_id: str, form: ReceiptForm) -> bytes:
        """The receipt of a batch that has ended, or its signature; Conflict until then."""
        await self.batches.visible(caller, batch_id)
        body = await self.files.result(batch_id, RECEIPT_FILES[form])
        if body is None:
            raise Conflict("The batch has no receipt yet.", code="no_receipt")
        return body

    def keys(self) -> KeySetView:
        """The public keys that receipts are checked with."""
        return KeySetView(
            keys=tuple(KeyView.model_validate(key) for key in self.signer.public_keys())
        )

    async def _write_receipt(self, receipt: ReceiptView) -> None:
        """The receipt in both forms, and the signature over the very bytes of the JSON.

        The bytes follow from the ledger alone, so writers of the same state write the same. One
        that is overtaken by the writer of a later state sees that at the end, and does it again.
        """
        batch_id = receipt.batch_id
        body = receipt.model_dump_json(indent=1).encode()
        signature = await self.signer.sign(body)
        await self.files.put_result(batch_id, RECEIPT_JSON, "application/json", _one(body))
        await self.files.put_result(batch_id, RECEIPT_JWS, "application/jose", _one(signature))
        await self.files.put_result(
            batch_id, RECEIPT_CSV, "text/csv; charset=utf-8", _one(_receipt_csv(receipt.lines))
        )
        if await self.files.result(batch_id, RECEIPT_JSON) != body:
            raise Unavailable("Another receipt of this batch was written at the same time.")

    async def _left_out(self, batch: Document) -> list[tuple[BatchRow, PlannedRow]]:
        """Rows that were not reserved, as errors.csv lists them, from the plan that was.

        Another body under the same key may have left an errors.csv of its own.
        """
        found: list[tuple[BatchRow, PlannedRow]] = []
        if not batch["invalid_rows"] and not batch["over_budget_rows"]:
            return found
        for number in range(chunks_of(batch["rows"])):
            chunk = await self.files.chunk(batch["batch_id"], batch["plan"], number)
            for row in chunk.rows:
                if row.faults:
                    found.append((faulty_row(row), row))
                elif not is_accepted(row.row, batch["last_row"]):
                    found.append((over_budget_row(row), row))
        return found

    async def _receipt(
        self, batch: Document, left_out: Sequence[tuple[BatchRow, PlannedRow]]
    ) -> ReceiptView:
        entries = [entry async for entry in self.records.resolutions(batch["batch_id"])]
        lines = [line for entry in entries for line in _receipt_lines(entry)]
        _check_complete(batch, len(entries))
        amount_micros = sum(line.amount_micros for line in lines)
        if amount_micros != batch["spent_micros"]:
            raise InvariantBroken("A receipt does not add up to what the ledger booked.")
        return ReceiptView(
            batch_id=batch["batch_id"],
            department_id=batch["department_id"],
            price_version=batch["price_version"],
            quoted_micros=batch["quoted_micros"],
            amount_micros=amount_micros,
            usd_micros=sum(line.usd_micros for line in lines),
            list_usd_micros=sum(line.list_usd_micros for line in lines),
            saved_micros=batch.get("saved_micros", 0),
            rows=row_counts(batch),
            providers=_provider_totals(lines),
            lines=tuple(lines),
            over_budget=tuple(
                OverBudgetRow(
                    row=row.row, item_id=row.item_id, quoted_micros=row.quote.amount_micros
                )
                for _, row in left_out
                if row.quote is not None
            ),
            completed_at=max((str(entry["closed_at"]) for entry in entries), default=None),
        )

    async def _result_lines(self, batch: Document) -> AsyncIterator[bytes]:
        for first in range(1, batch["rows"] + 1, CHUNK_ROWS):
            last = first + CHUNK_ROWS - 1
            for record in await self.records.batch_generations(batch["batch_id"], first, last):
                yield generation_view(record).model_dump_json().encode() + b"\n"


def _receipt_lines(entry: Document) -> list[ReceiptLine]:
    """An entry as lines of the receipt: one for each attempt that cost something, and the last."""
    names = ("generation_id", "row", "item_id")
    shared = {name: entry[name] for name in names}
    return [
        ReceiptLine(
            **shared, **{name: value for name, value in vars(line).items() if name != "failure"}
        )
        for line in booked_lines(entry)
    ]


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
