"""Turns rows into a plan: price each valid row, keep chunk after chunk, list what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.domain.batch_files import BatchRow, errors_csv
from shared.domain.batch_plans import (
    BatchChunk,
    BatchTotals,
    PlannedFault,
    PlannedQuote,
    PlannedRow,
    totals_of,
)
from shared.domain.budgets import Charge
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import CHUNK_ROWS
from shared.domain.prices import PriceCatalogue
from shared.errors import FieldFault, Invalid
from shared.ports import BatchFiles

ERRORS_FILE = "errors.csv"
NO_ROWS = BatchTotals(rows=0, valid_rows=0, usd_micros=0, amount_micros=0)
FAULTS_SHOWN_MAX = 20  # in an error answer; errors.csv has them all


@dataclass(frozen=True)
class BatchPlanning:
    """Plans are written before any money is reserved; a plan without a hold costs nothing."""

    files: BatchFiles
    catalogue: PriceCatalogue

    def header(
        self,
        caller: Caller,
        charge: Charge,
        *,
        batch_id: str,
        plan: str,
        created_at: str,
        correlation_id: str,
    ) -> BatchChunk:
        """A chunk without rows: what all chunks of this plan have in common."""
        rate = self.catalogue.exchange_rate
        return BatchChunk(
            batch_id=batch_id,
            plan=plan,
            tenant_id=caller.tenant_id,
            department_id=caller.department_id,
            user_key=caller.key,
            project_id=charge.project_id,
            cost_centre_id=charge.cost_centre_id,
            actor_role=CLAIM_BY_ROLE[caller.role],
            correlation_id=correlation_id,
            created_at=created_at,
            price_version=self.catalogue.version,
            exchange_rate_version=rate.version,
            aud_per_usd_micros=rate.aud_per_usd_micros,
            rows=(),
        )

    async def plan(self, header: BatchChunk, rows: Iterator[BatchRow]) -> BatchTotals:
        """Write the plan and its errors.csv, chunk by chunk; raise Invalid if no row is valid."""
        totals, number = NO_ROWS, 0
        faulty: list[BatchRow] = []
        while taken := await asyncio.to_thread(lambda: list(islice(rows, CHUNK_ROWS))):
            planned = [self._planned(row) for row in taken]
            faulty += [faulty_row(row) for row in planned if row.faults]
            chunk = header.model_copy(update={"rows": tuple(planned)})
            await self.files.put_chunk(number, chunk)
            totals, number = _added(totals, totals_of(planned)), number + 1
        await self.write_errors(header.batch_id, faulty)
        if totals.valid_rows == 0:
            raise Invalid(
                "No row of the batch is valid, so nothing was started.",
                code="no_valid_rows",
                faults=[
                    FieldFault(f"/rows/{row.row}{fault.field}", fault.message)
                    for row in faulty
                    for fault in row.faults
                ][:FAULTS_SHOWN_MAX],
            )
        return totals

    async def write_errors(self, batch_id: str, faulty: Sequence[BatchRow]) -> None:
        """Write errors.csv beside the results, if there is anything to say."""
        if faulty:
            lines = _parts(errors_csv(faulty))
            await self.files.put_result(batch_id, ERRORS_FILE, "text/csv; charset=utf-8", lines)

    def _planned(self, row: BatchRow) -> PlannedRow:
        if row.request is None:
            faults = tuple(PlannedFault(field=f.field, message=f.message) for f in row.faults)
            return PlannedRow(row=row.row, line=row.line, item_id=row.item_id, faults=faults)
        try:
            quote = self.catalogue.quote(row.request)
        except Invalid as unpriced:
            fault = PlannedFault(field="/model", message=unpriced.detail)
            return PlannedRow(row=row.row, line=row.line, item_id=row.item_id, faults=(fault,))
        priced = PlannedQuote(usd_micros=quote.usd_micros, amount_micros=quote.amount_micros)
        return PlannedRow(row=row.row, item_id=row.item_id, request=row.request, quote=priced)


def faulty_row(row: PlannedRow) -> BatchRow:
    """A planned row that cannot be carried out, as errors.csv lists it."""
    faults = tuple(FieldFault(fault.field, fault.message) for fault in row.faults)
    return BatchRow(row.row, row.line, row.item_id, None, faults)


def _added(left: BatchTotals, right: BatchTotals) -> BatchTotals:
    return BatchTotals(
        rows=left.rows + right.rows,
        valid_rows=left.valid_rows + right.valid_rows,
        usd_micros=left.usd_micros + right.usd_micros,
        amount_micros=left.amount_micros + right.amount_micros,
    )


async def _parts(lines: Iterator[str]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line.encode()
