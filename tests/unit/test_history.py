import base64
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.history import (
    CONTINUATION_CHARS_MAX,
    MONTHS_MAX,
    HistoryCursor,
    HistoryRange,
)
from shared.errors import Invalid

TODAY = date(2026, 11, 15)
WINDOW = HistoryRange("202611", "202609")
DEPARTMENTS = ("design", "marketing")


def test_range_is_this_month_and_the_two_before_by_default() -> None:
    assert HistoryRange.of(None, None, TODAY) == WINDOW


def test_range_covers_the_months_of_the_days_given() -> None:
    window = HistoryRange.of(date(2025, 12, 31), date(2026, 2, 1), TODAY)
    assert window == HistoryRange("202602", "202512")


@pytest.mark.parametrize(
    ("since", "until"),
    [(date(2026, 12, 1), date(2026, 11, 1)), (date(2024, 11, 30), date(2026, 11, 1))],
)
def test_range_out_of_order_or_too_long_is_invalid(since: date, until: date) -> None:
    with pytest.raises(Invalid):
        HistoryRange.of(since, until, TODAY)


def test_range_may_be_as_long_as_the_limit() -> None:
    assert HistoryRange.of(date(2024, 12, 1), date(2026, 11, 1), TODAY).oldest == "202412"
    assert MONTHS_MAX == 24


def test_listing_starts_with_the_newest_month_and_the_first_department() -> None:
    assert HistoryCursor.parse(None, WINDOW, DEPARTMENTS) == HistoryCursor("202611", "design", None)
    assert HistoryCursor.parse(None, WINDOW, ()) is None


def test_listing_visits_every_partition_once_and_ends() -> None:
    cursor = HistoryCursor.parse(None, WINDOW, DEPARTMENTS)
    visited = []
    while cursor is not None:
        visited.append((cursor.period, cursor.department_id))
        cursor = cursor.after(None, WINDOW, DEPARTMENTS)
    assert visited == [(p, d) for p in ("202611", "202610", "202609") for d in DEPARTMENTS]


def test_listing_stays_in_a_partition_that_has_more() -> None:
    cursor = HistoryCursor("202611", "design", None)
    assert cursor.after("token", WINDOW, DEPARTMENTS) == HistoryCursor("202611", "design", "token")


@given(token=st.none() | st.text(max_size=50))
def test_cursor_reads_back_as_it_was_written(token: str | None) -> None:
    cursor = HistoryCursor("202610", "marketing", token)
    text = cursor.text()
    assert text.isascii() and "=" not in text
    assert HistoryCursor.parse(text, WINDOW, DEPARTMENTS) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!!!",
        "é",
        "a" * (CONTINUATION_CHARS_MAX + 1),
        HistoryCursor("202612", "design", None).text(),  # outside the window
        HistoryCursor("202608", "design", None).text(),
        HistoryCursor("202611", "finance", None).text(),  # a department out of reach
        HistoryCursor("202611", "design", 5).text(),  # type: ignore[arg-type]
        "bnVsbA",
        "e30",
        "WzEsMiwzXQ",
        "W1tdLHt9LG51bGxd",
        base64.urlsafe_b64encode(b"[" * 3_000).decode(),  # deeper than a parser may go
    ],
)
def test_cursor_that_is_not_ours_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        HistoryCursor.parse(text, WINDOW, DEPARTMENTS)


@given(text=st.text(max_size=60))
def test_cursor_of_any_text_is_read_or_invalid(text: str) -> None:
    try:
        HistoryCursor.parse(text, WINDOW, DEPARTMENTS)
    except Invalid as refusal:
        assert refusal.faults[0].field == "/continuation"
