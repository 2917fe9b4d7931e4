"""Turns rows into a plan: price each valid row, keep chunk after chunk, list what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.domain.batch_files import BatchRow, errors_csv
from shared.domain.batch_plans import BatchChunk, BatchTotals, PlannedRow
from shared.domain.batch_quotes import BatchPrices, PricedRow, planned_row, priced_row
from shared.domain.budgets import Charge
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import CHUNK_ROWS
from shared.domain.prices import PriceCatalogue
from shared.domain.routes import alone, read_route
from shared.domain.routing import Surroundings
from shared.errors import FieldFault, Invalid
from shared.ports import BatchFiles
from shared.services.privacy_batches import PrivacyBatches

ERRORS_FILE = "errors.csv"
NO_ROWS = BatchTotals(rows=0, valid_rows=0, usd_micros=0, amount_micros=0)
WAVE_ROWS = 10 * CHUNK_ROWS  # screened together: enough calls at once, a few megabytes
FAULTS_SHOWN_MAX = 20  # in an error answer; errors.csv has them all


@dataclass(frozen=True)
class BatchPlanning:
    """Plans are written before any money is reserved; a plan without a hold costs nothing."""

    files: BatchFiles
    batched_models: frozenset[str] = frozenset()  # those with a batch deployment
    privacy: PrivacyBatches | None = None  # nothing to hide in proofs of money alone

    def header(
        self,
        caller: Caller,
        charge: Charge,
        catalogue: PriceCatalogue,
        *,
        batch_id: str,
        plan: str,
        created_at: str,
        correlation_id: str,
    ) -> BatchChunk:
        """A chunk without rows: what all chunks of this plan have in common."""
        rate = catalogue.exchange_rate
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
            price_version=catalogue.version,
            exchange_rate_version=rate.version,
            aud_per_usd_micros=rate.aud_per_usd_micros,
            rows=(),
        )

    async def plan(
        self, header: BatchChunk, around: Surroundings, rows: Iterator[BatchRow]
    ) -> BatchPrices:
        """Write the plan and its errors.csv, chunk by chunk; raise Invalid if no row is valid."""
        count, number = 0, 0
        faulty: list[BatchRow] = []
        priced: list[PricedRow] = []
        versions: dict[str, None] = {}  # one, unless somebody changes a policy meanwhile
        while taken := await asyncio.to_thread(lambda: list(islice(rows, WAVE_ROWS))):
            planned = [self._with_deadline(planned_row(row, around), row) for row in taken]
            if self.privacy is not None:
                screened = await self.privacy.screened(header, planned)
                planned = screened.rows
                versions[screened.policy_version] = None
            faulty += [faulty_row(row) for row in planned if row.faults]
            priced += [found for row in planned if (found := priced_row(row)) is not None]
            for first in range(0, len(planned), CHUNK_ROWS):
                of_chunk = tuple(planned[first : first + CHUNK_ROWS])
                await self.files.put_chunk(number, header.model_copy(update={"rows": of_chunk}))
                number += 1
            count += len(taken)
        await self.write_errors(header.batch_id, faulty)
        if not priced:
            raise Invalid(
                "No row of the batch is valid, so nothing was started.",
                code="no_valid_rows",
                faults=[
                    FieldFault(f"/rows/{row.row}{fault.field}", fault.message)
                    for row in faulty
                    for fault in row.faults
                ][:FAULTS_SHOWN_MAX],
            )
        return BatchPrices(count, faulty, priced, "|".join(versions))

    async def copy(self, batch_id: str, plan: str, chunks: int, new_id: str) -> None:
        """The same plan under another batch id."""
        for number in range(chunks):
            chunk = await self.files.chunk(batch_id, plan, number)
            await self.files.put_chunk(number, chunk.model_copy(update={"batch_id": new_id}))

    async def write_errors(self, batch_id: str, faulty: Sequence[BatchRow]) -> None:
        """Write errors.csv beside the results, if there is anything to say."""
        if faulty:
            lines = _parts(errors_csv(faulty))
            await self.files.put_result(batch_id, ERRORS_FILE, "text/csv; charset=utf-8", lines)

    def _with_deadline(self, planned: PlannedRow, row: BatchRow) -> PlannedRow:
        """A row may wait only where that is cheaper; all others are carried out at once."""
        if row.deadline is None or planned.request is None:
            return planned
        if planned.request.model not in self.batched_models:
            return planned
        route = alone(read_route(planned.route)).as_json() if planned.route else None
        return planned.model_copy(update={"deadline": row.deadline, "route": route})


def faulty_row(row: PlannedRow) -> BatchRow:
    """A planned row that cannot be carried out, as errors.csv lists it."""
    faults = tuple(FieldFault(fault.field, fault.message) for fault in row.faults)
    return BatchRow(row.row, row.line, row.item_id, None, faults)


async def _parts(lines: Iterator[str]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line.encode()
