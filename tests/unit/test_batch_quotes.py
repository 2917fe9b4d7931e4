from hypothesis import given
from hypothesis import strategies as st

from shared.domain.batch_files import BatchRow
from shared.domain.batch_plans import is_accepted
from shared.domain.batch_quotes import (
    BatchPrices,
    PricedRow,
    over_budget_row,
    planned_row,
    priced_row,
    rows_that_fit,
)
from shared.errors import FieldFault
from tests.builders import catalogue, request, surroundings


def priced(
    row: int, amount_micros: int, model: str = "sdxl", is_deadline: bool = False
) -> PricedRow:
    return PricedRow(
        row, row + 1, f"row-{row}", model, amount_micros // 2, amount_micros, is_deadline
    )


def fault(row: int) -> BatchRow:
    return BatchRow(row, row + 1, f"row-{row}", None, (FieldFault("/size", "no"),))


PRICES = BatchPrices(
    rows=5,
    faulty=[fault(2)],
    priced=[priced(1, 10), priced(3, 20, "gpt-image-2", True), priced(4, 30), priced(5, 5)],
)


def test_fitting_takes_rows_in_file_order_until_one_does_not_fit() -> None:
    fitting = [PRICES.fitting(available) for available in (0, 9, 10, 29, 30, 59, 60, 64, 65, 999)]
    assert fitting == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_totals_of_all_rows_name_no_last_row() -> None:
    totals = PRICES.totals(4)
    assert (totals.rows, totals.valid_rows, totals.invalid_rows) == (5, 4, 1)
    assert (totals.amount_micros, totals.usd_micros) == (65, 32)
    assert (totals.over_budget_rows, totals.last_row, totals.deadline_rows) == (0, None, 1)
    assert totals.models == {"sdxl", "gpt-image-2"}


def test_totals_of_a_prefix_end_with_its_last_row() -> None:
    totals = PRICES.totals(2)
    assert (totals.rows, totals.valid_rows, totals.invalid_rows) == (5, 2, 1)
    assert (totals.amount_micros, totals.over_budget_rows, totals.last_row) == (30, 2, 3)
    assert [row for row in range(1, 6) if is_accepted(row, totals.last_row)] == [1, 2, 3]
    assert PRICES.totals(1).models == {"sdxl"}


def test_errors_list_faults_and_rows_left_out_in_file_order() -> None:
    errors = PRICES.errors(2)
    assert [row.row for row in errors] == [2, 4, 5]
    assert [row.faults[0].message.partition(":")[0] for row in errors] == [
        "no",
        "over_budget",
        "over_budget",
    ]
    assert PRICES.errors(4) == [fault(2)]


def test_planned_row_keeps_its_price_or_its_faults() -> None:
    wanted = request("flux-schnell")
    row = planned_row(BatchRow(7, 8, "seven", wanted, ()), surroundings())
    assert row.quote is not None
    assert row.quote.amount_micros == catalogue().quote(wanted).amount_micros
    remembered = priced_row(row)
    assert remembered is not None
    assert (remembered.row, remembered.line, remembered.model) == (7, 8, "flux-schnell")
    assert over_budget_row(remembered) == over_budget_row(row)
    faulty = planned_row(fault(2), surroundings())
    assert priced_row(faulty) is None
    assert [each.field for each in faulty.faults] == ["/size"]


@given(
    amounts=st.lists(st.integers(1, 1_000), max_size=30),
    available=st.integers(0, 20_000),
)
def test_fitting_is_the_longest_prefix_that_the_money_covers(
    amounts: list[int], available: int
) -> None:
    prices = BatchPrices(len(amounts), [], [priced(n, a) for n, a in enumerate(amounts, 1)])
    accepted = prices.fitting(available)
    assert prices.totals(accepted).amount_micros <= available
    if accepted < len(amounts):
        assert prices.totals(accepted + 1).amount_micros > available
    rows = [
        planned_row(BatchRow(n, n, f"row-{n}", request("sdxl"), ()), surroundings())
        for n in range(1, len(amounts) + 1)
    ]
    each = catalogue().quote(request("sdxl")).amount_micros
    assert rows_that_fit(rows, available) == min(len(rows), available // each)
