from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.periods import Calendar, PeriodKind, PeriodRule, add_months
from shared.errors import InvariantBroken

KINDS = st.sampled_from(["month", "quarter", "year"])
MONTHS = st.builds(
    lambda year, month: f"{year:04d}{month:02d}",
    st.integers(2000, 2090),
    st.integers(1, 12),
)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "fiscal_start_month", "at", "period", "end"),
    [
        ("month", 1, "2026-11-22", "202611", "2026-12-01"),
        ("month", 7, "2026-12-31T23:59:59", "202612", "2027-01-01"),
        ("quarter", 1, "2026-11-22", "202610", "2027-01-01"),
        ("quarter", 7, "2026-11-22", "202610", "2027-01-01"),
        ("quarter", 2, "2026-11-22", "202611", "2027-02-01"),
        ("year", 1, "2026-11-22", "202601", "2027-01-01"),
        ("year", 7, "2026-11-22", "202607", "2027-07-01"),
        ("year", 7, "2026-06-30T23:59:59", "202507", "2026-07-01"),
    ],
)
def test_a_moment_lies_in_the_period_of_its_rule(
    kind: PeriodKind, fiscal_start_month: int, at: str, period: str, end: str
) -> None:
    calendar = Calendar((PeriodRule(kind, fiscal_start_month),))
    assert calendar.period_at(moment(at)) == period
    assert calendar.end(period).isoformat() == end
    assert calendar.start(period) == date(int(period[:4]), int(period[4:]), 1)


def test_a_change_of_length_begins_with_the_next_period() -> None:
    calendar = Calendar((PeriodRule("quarter"),)).changed("year", 7, moment("2026-11-22"))
    assert calendar.period_at(moment("2026-12-31")) == "202610"
    assert calendar.period_at(moment("2027-01-01")) == "202701"
    assert calendar.following("202610") == "202701"
    assert calendar.end("202701") == date(2027, 7, 1)  # a short one, up to the fiscal year
    assert calendar.end("202707") == date(2028, 7, 1)
    assert calendar.previous("202707") == "202701"


def test_a_second_change_before_the_first_takes_effect_replaces_it() -> None:
    now = moment("2026-11-22")
    calendar = Calendar().changed("year", 1, now).changed("quarter", 1, now)
    assert [rule.kind for rule in calendar.rules] == ["month", "quarter"]


@given(changes=st.lists(st.tuples(KINDS, st.integers(1, 12), MONTHS), max_size=5), month=MONTHS)
def test_periods_follow_one_another_without_gap_or_overlap(
    changes: list[tuple[PeriodKind, int, str]], month: str
) -> None:
    calendar = Calendar()
    for kind, fiscal, at in sorted(changes, key=lambda change: change[2]):
        calendar = calendar.changed(kind, fiscal, moment(f"{at[:4]}-{at[4:]}-15"))
    period = calendar.period_of_month(month)
    end = calendar.end_month(period)
    assert period <= month < end
    assert calendar.period_of_month(add_months(end, -1)) == period
    assert calendar.period_of_month(end) == end
    assert calendar.previous(end) == period
    assert calendar.is_period(period)


@given(month=MONTHS, number=st.integers(-200, 200))
def test_adding_months_and_taking_them_away_is_nothing(month: str, number: int) -> None:
    assert add_months(add_months(month, number), -number) == month


@pytest.mark.parametrize("fiscal_start_month", [0, 13])
def test_a_fiscal_year_starts_in_a_real_month(fiscal_start_month: int) -> None:
    with pytest.raises(InvariantBroken):
        PeriodRule("year", fiscal_start_month)


def test_rules_out_of_order_are_an_invariant_broken() -> None:
    with pytest.raises(InvariantBroken):
        Calendar((PeriodRule(from_month="202701"), PeriodRule(from_month="202601")))
