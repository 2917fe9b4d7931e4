"""Spend adds up: by any dimensions, in any order, also as CSV and in fewer dimensions."""

import csv
import io
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.amounts import cents_text, decimal_text, micros_of
from shared.domain.entries import Entry, read_entry
from shared.domain.spend import DIMENSIONS, SpendTable, spend_csv
from shared.errors import InvariantBroken
from tests.synthetic_spend import COST_CENTRES, MODELS, PEOPLE, PROJECTS, adjustment, resolution

MICROS = st.integers(0, 2**53 - 1)
SIGNED = st.integers(-(2**53 - 1), 2**53 - 1)


@st.composite
def usage(draw: st.DrawFn) -> Entry:
    model, provider, _ = draw(st.sampled_from(MODELS))
    usd = draw(MICROS)
    return read_entry(
        resolution(
            draw(st.integers(0, 2**64)),
            department_id=draw(st.sampled_from(("marketing", "design"))),
            user_key=draw(st.sampled_from(PEOPLE)),
            project_id=draw(st.sampled_from(PROJECTS)),
            cost_centre_id=draw(st.sampled_from(COST_CENTRES)),
            model=model,
            provider=provider,
            images=draw(st.integers(0, 10)),
            amount_micros=draw(MICROS),
            usd_micros=usd,
            list_usd_micros=usd,
            admitted_at=f"2026-11-{draw(st.integers(1, 30)):02d}T23:59:59+00:00",
        )
    )


@st.composite
def correction(draw: st.DrawFn) -> Entry:
    return read_entry(adjustment(1, amount_micros=draw(SIGNED), usd_micros=draw(SIGNED)))


ENTRIES = st.lists(usage() | correction(), max_size=30)


@given(ENTRIES, st.permutations(DIMENSIONS), st.integers(0, len(DIMENSIONS)))
def test_groups_add_up_to_the_entries_exactly(
    entries: list[Entry], order: list[str], number: int
) -> None:
    table = SpendTable(order[:number])
    for entry in entries:
        table.add(entry)
    rows = table.rows()
    assert len(rows) == len({key for key, _ in rows}) == len(table)
    for name in ("amount_micros", "usd_micros", "list_usd_micros", "images"):
        total = sum(getattr(entry, name) for entry in entries)
        assert sum(getattr(spend, name) for _, spend in rows) == total
        assert getattr(table.total, name) == total
    assert sum(spend.entries for _, spend in rows) == len(entries)


@given(ENTRIES)
def test_fewer_dimensions_say_the_same_as_adding_up_anew(entries: list[Entry]) -> None:
    wide, narrow = SpendTable(("day", "model", "user")), SpendTable(("user", "day"))
    for entry in entries:
        wide.add(entry)
        narrow.add(entry)
    assert wide.narrowed("user", "day").rows() == narrow.rows()


@given(ENTRIES)
def test_csv_carries_every_micro_back(entries: list[Entry]) -> None:
    table = SpendTable(("project", "model"))
    for entry in entries:
        table.add(entry)
    lines = list(csv.DictReader(io.StringIO(spend_csv(table))))
    assert sum(int(line["amount_micros"]) for line in lines) == table.total.amount_micros
    assert sum(micros_of(line["amount"]) for line in lines) == table.total.amount_micros
    assert [line["project"] or None for line in lines] == [key[0] for key, _ in table.rows()]


def test_csv_does_not_calculate_in_a_spreadsheet() -> None:
    table = SpendTable(("project",))
    table.add(read_entry(resolution(1, project_id="=1+1")))
    (line,) = csv.DictReader(io.StringIO(spend_csv(table)))
    assert line["project"] == "'=1+1"


def test_groups_that_miss_the_total_are_never_shown() -> None:
    table = SpendTable(("model",))
    table.add(read_entry(resolution(1)))
    table.total.amount_micros += 1
    with pytest.raises(InvariantBroken):
        table.rows()


@given(SIGNED)
def test_decimal_text_is_exact_to_the_micro(micros: int) -> None:
    assert micros_of(decimal_text(micros)) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.00"),
        (4_999, "0.00"),
        (5_000, "0.01"),
        (-4_999, "0.00"),
        (-1_234_567_890, "-1,234.57"),
    ],
)
def test_cents_text_rounds_for_people(micros: int, text: str) -> None:
    assert cents_text(micros) == text


def test_entry_counts_on_the_utc_day_of_its_admission() -> None:
    entry = read_entry(resolution(1, admitted_at="2026-11-16T01:30:00+02:00"))
    assert entry.day == date(2026, 11, 15)


def test_entry_outside_its_period_counts_on_the_nearest_day_of_it() -> None:
    start, end = date(2026, 11, 1), date(2026, 12, 1)
    days = ("2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01", "2027-03-05")
    moved = [
        read_entry(resolution(1, admitted_at=f"{day}T00:00:00+00:00")).within(start, end).day
        for day in days
    ]
    assert moved == [start, start, end - timedelta(days=1), *[end - timedelta(days=1)] * 2]
    assert all(first <= second for first, second in pairwise(moved))


def test_discounted_entry_keeps_its_list_price() -> None:
    entry = read_entry(resolution(1, usd_micros=20_000, amount_micros=30_800))
    assert (entry.list_usd_micros, entry.list_micros) == (40_000, 61_600)


def test_document_that_is_no_entry_is_refused() -> None:
    for document in ({"type": "hold"}, adjustment(1, kind="gift")):
        with pytest.raises(InvariantBroken):
            read_entry(document)
