"""The price of a batch row by row, and how many rows from the first on a budget covers."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import BatchTotals, PlannedFault, PlannedQuote, PlannedRow
from shared.domain.routing import Surroundings, routed
from shared.errors import FieldFault, Rejected

OVER_BUDGET: Final = "over_budget: the budget ended before this row"


@dataclass(frozen=True, slots=True)
class PricedRow:
    """What is remembered of each valid row while its batch is admitted."""

    row: int
    line: int
    item_id: str
    model: str
    usd_micros: int
    amount_micros: int
    is_deadline: bool
    images: int = 1


@dataclass(frozen=True)
class BatchPrices:
    """What planning found: the rows of a file, those at fault, and the valid ones in file order."""

    rows: int
    faulty: Sequence[BatchRow]
    priced: Sequence[PricedRow]
    privacy_version: str = ""  # the revisions by which the rows were screened

    @cached_property
    def _sums(self) -> list[int]:
        return list(accumulate(row.amount_micros for row in self.priced))

    def fitting(self, available_micros: int) -> int:
        """How many valid rows, from the first on, add up to no more than is available."""
        return bisect_right(self._sums, available_micros)

    def totals(self, accepted: int) -> BatchTotals:
        """The totals when the first `accepted` valid rows are carried out and no others."""
        taken = self.priced[:accepted]
        left_out = len(self.priced) - len(taken)
        return BatchTotals(
            rows=self.rows,
            valid_rows=len(taken),
            usd_micros=sum(row.usd_micros for row in taken),
            amount_micros=sum(row.amount_micros for row in taken),
            deadline_rows=sum(row.is_deadline for row in taken),
            images=sum(row.images for row in taken),
            over_budget_rows=left_out,
            last_row=taken[-1].row if taken and left_out else None,
            models=frozenset(row.model for row in taken),
        )

    def errors(self, accepted: int) -> list[BatchRow]:
        """Rows at fault and valid rows beyond the accepted ones, in file order, for errors.csv."""
        beyond = [over_budget_row(row) for row in self.priced[accepted:]]
        return sorted([*self.faulty, *beyond], key=lambda row: row.row)


def over_budget_row(row: PricedRow | PlannedRow) -> BatchRow:
    """A valid row that the budget did not cover, as errors.csv lists it."""
    return BatchRow(row.row, row.line, row.item_id, None, (FieldFault("", OVER_BUDGET),))


def priced_row(row: PlannedRow) -> PricedRow | None:
    """What to remember of a planned row; None for one at fault."""
    if row.request is None or row.quote is None:
        return None
    return PricedRow(
        row=row.row,
        line=row.line,
        item_id=row.item_id,
        model=row.request.model,
        usd_micros=row.quote.usd_micros,
        amount_micros=row.quote.amount_micros,
        is_deadline=row.deadline is not None,
        images=row.request.count,
    )


def planned_row(row: BatchRow, around: Surroundings) -> PlannedRow:
    """Route and price one checked row; one that nobody can serve gets a fault instead."""
    if row.request is None:
        faults = tuple(PlannedFault(field=f.field, message=f.message) for f in row.faults)
        return PlannedRow(row=row.row, line=row.line, item_id=row.item_id, faults=faults)
    try:
        route = routed(row.request, around)
    except Rejected as refusal:
        return unplanned(row, refusal)
    first = route.candidates[0]
    priced = PlannedQuote(usd_micros=first.usd_micros, amount_micros=first.amount_micros)
    return PlannedRow(
        row=row.row,
        line=row.line,
        item_id=row.item_id,
        request=first.request(row.request),
        quote=priced,
        route=route.as_json() if row.request.is_routed else None,
    )


def unplanned(row: BatchRow | PlannedRow, refusal: Rejected) -> PlannedRow:
    """A row that is refused, with the words of the refusal."""
    fault = PlannedFault(field="/model", message=refusal.detail)
    return PlannedRow(row=row.row, line=row.line, item_id=row.item_id, faults=(fault,))


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
