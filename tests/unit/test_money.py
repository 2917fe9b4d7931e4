from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.money import (
    MICROS_MAX,
    MICROS_PER_UNIT,
    aud_micros,
    ceil_micros,
    checked_micros,
)
from shared.errors import InvariantBroken

RATES = st.integers(min_value=1, max_value=100 * MICROS_PER_UNIT)
AMOUNTS = st.integers(min_value=0, max_value=10_000 * MICROS_PER_UNIT)


@pytest.mark.parametrize("value", [0, 1, MICROS_MAX])
def test_checked_micros_returns_what_a_double_keeps(value: int) -> None:
    assert checked_micros(value, "x") == value == int(float(value))


@pytest.mark.parametrize("value", [-1, MICROS_MAX + 1, 1.0, True, "1", None, Decimal(1)])
def test_checked_micros_refuses_everything_else_by_name(value: object) -> None:
    with pytest.raises(InvariantBroken, match="the_amount"):
        checked_micros(value, "the_amount")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "micros"), [("0", 0), ("0.000001", 1), ("1", 1), ("1.0000001", 2), ("2.5", 3)]
)
def test_ceil_micros_never_rounds_down(value: str, micros: int) -> None:
    assert ceil_micros(Decimal(value)) == micros


@given(usd=AMOUNTS, rate=RATES)
def test_aud_micros_is_the_smallest_amount_that_covers(usd: int, rate: int) -> None:
    aud = aud_micros(usd, rate)
    assert (aud - 1) * MICROS_PER_UNIT < usd * rate <= aud * MICROS_PER_UNIT


@given(less=AMOUNTS, more=AMOUNTS, rate=RATES)
def test_aud_micros_keeps_the_order_of_amounts(less: int, more: int, rate: int) -> None:
    less, more = sorted((less, more))
    assert aud_micros(less, rate) <= aud_micros(more, rate)


@given(one=AMOUNTS, other=AMOUNTS, rate=RATES)
def test_aud_micros_of_parts_covers_the_whole(one: int, other: int, rate: int) -> None:
    assert aud_micros(one, rate) + aud_micros(other, rate) >= aud_micros(one + other, rate)


def test_aud_micros_beyond_a_double_is_an_invariant_broken() -> None:
    with pytest.raises(InvariantBroken):
        aud_micros(MICROS_MAX, 2 * MICROS_PER_UNIT)
