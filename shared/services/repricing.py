"""Work that waited, at the prices of the day on which it shall start."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchChunk, PlannedQuote, PlannedRow
from shared.domain.batch_quotes import BatchPrices, PricedRow, priced_row, unplanned
from shared.domain.generations import resolve_request
from shared.domain.ids import chunks_of
from shared.domain.parked_work import Parked
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.prices import PriceCatalogue
from shared.domain.routes import read_route, requoted
from shared.domain.work import read_work_item
from shared.errors import Invalid
from shared.services.batch_planning import BatchPlanning, faulty_row

PLAN_HEX_DIGITS = 16  # tells apart the plans of one batch


@dataclass(frozen=True)
class Repricing:
    """Quotes waiting work again; a batch gets a new plan, so that each row is billed by it."""

    planning: BatchPlanning
    catalogues: PriceCatalogues

    async def priced(self, work: Parked, now: datetime) -> tuple[Parked, dict[str, Any]]:
        """The work at the prices of now, and what that changes in its record.

        Raises Invalid if it has no price any more, or its model is retired.
        """
        asked_at = datetime.fromisoformat(work.record["created_at"]).astimezone(UTC)
        if asked_at.date() == now.astimezone(UTC).date():  # prices change with the day
            return work, {}
        catalogue = self.catalogues.at(now)
        if work.kind == "batch":
            return await self._batch(work, catalogue)
        item = read_work_item(work.record)
        quote = catalogue.quote(resolve_request(item.request)[0])
        hold = replace(work.hold, amount_micros=quote.amount_micros, usd_micros=quote.usd_micros)
        changes: dict[str, Any] = {"quote": vars(quote)}
        if item.planned_route is not None:
            route = requoted(item.planned_route, item.request, catalogue.quote)
            changes["route"] = route.as_json()
        return replace(work, hold=hold), changes

    async def _batch(
        self, work: Parked, catalogue: PriceCatalogue
    ) -> tuple[Parked, dict[str, Any]]:
        batch, files = work.record, self.planning.files
        plan = _plan_of(batch["plan"], catalogue)
        count, faulty = 0, list[BatchRow]()
        valid: list[PricedRow] = []
        for number in range(chunks_of(batch["rows"])):
            chunk = await files.chunk(work.operation_id, batch["plan"], number)
            priced = _priced_chunk(chunk, plan, catalogue)
            await files.put_chunk(number, priced)
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
        }
        return replace(work, hold=hold), changes


def _plan_of(before: str, catalogue: PriceCatalogue) -> str:
    """Of these rows at the prices of this day: models are retired on days without new prices."""
    rate = catalogue.exchange_rate.version
    seed = (before, catalogue.version, rate, str(catalogue.day))
    return hashlib.sha256("|".join(seed).encode()).hexdigest()[:PLAN_HEX_DIGITS]


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
    """The row at other prices, or with the fault that it has by now; its order of models stays."""
    if row.request is None:
        return row
    try:
        quote = catalogue.quote(resolve_request(row.request)[0])
        route = requoted(read_route(row.route), row.request, catalogue.quote) if row.route else None
    except Invalid as refusal:
        faults = unplanned(row, refusal).faults
        return row.model_copy(update={"request": None, "quote": None, "faults": faults})
    priced = PlannedQuote(usd_micros=quote.usd_micros, amount_micros=quote.amount_micros)
    return row.model_copy(update={"quote": priced, "route": route.as_json() if route else None})
