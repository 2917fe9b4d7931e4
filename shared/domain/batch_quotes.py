"""The price of a batch row by row, and how many rows from the first on a budget covers."""

from collections.abc import Iterable

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import PlannedFault, PlannedQuote, PlannedRow
from shared.domain.prices import PriceCatalogue
from shared.errors import Invalid


def planned_row(row: BatchRow, catalogue: PriceCatalogue) -> PlannedRow:
    """Price one checked row; a row without a price gets a fault instead of a quote."""
    if row.request is None:
        faults = tuple(PlannedFault(field=f.field, message=f.message) for f in row.faults)
        return PlannedRow(row=row.row, line=row.line, item_id=row.item_id, faults=faults)
    try:
        quote = catalogue.quote(row.request)
    except Invalid as refusal:
        fault = PlannedFault(field="/model", message=refusal.detail)
        return PlannedRow(row=row.row, line=row.line, item_id=row.item_id, faults=(fault,))
    priced = PlannedQuote(usd_micros=quote.usd_micros, amount_micros=quote.amount_micros)
    return PlannedRow(row=row.row, item_id=row.item_id, request=row.request, quote=priced)


def rows_that_fit(rows: Iterable[PlannedRow], available_micros: int) -> int:
    """How many priced rows, taken in file order, add up to no more than is available."""
    count, sum_micros = 0, 0
    for row in rows:
        if row.quote is None:
            continue
        sum_micros += row.quote.amount_micros
        if sum_micros > available_micros:
            break
        count += 1
    return count
