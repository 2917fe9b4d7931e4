"""The burn-down forecast: what it says of series whose future we know."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from shared.domain.forecasts import (
    HISTORY_DAYS_MAX,
    HISTORY_DAYS_MIN,
    BurnDown,
    Standing,
    burn_down,
    trimmed,
)
from tests.synthetic_spend import daily_series

TODAY = date(2026, 11, 9)  # a Monday, as the series begin on one
END = date(2026, 12, 1)
LEVEL = 100_000_000
SERIES = 30  # of each kind, enough to tell 80 % from 60 %
HORIZON = 14


def forecast(daily: list[int], limit_micros: int = 10**12, today_micros: int = 0) -> BurnDown:
    found = burn_down(daily, TODAY, END, Standing(limit_micros, 0, today_micros))
    assert found is not None
    return found


def test_too_little_history_gives_no_forecast() -> None:
    standing = Standing(10**9, 0, 0)
    daily = daily_series(1, HISTORY_DAYS_MIN)
    assert burn_down(daily[1:], TODAY, END, standing) is None
    assert burn_down(daily, TODAY, END, standing) is not None
    assert burn_down([0] * 200, TODAY, END, standing) is None
    assert burn_down(daily, END, END, standing) is None


def test_days_before_the_first_spend_are_no_history() -> None:
    assert trimmed([0, 0, 5, 0, 7]) == [5, 0, 7]
    assert len(trimmed([1] * 500)) == HISTORY_DAYS_MAX


def test_same_history_gives_the_same_forecast() -> None:
    daily = daily_series(4, 84)
    assert forecast(daily) == forecast(daily)


def test_regular_spend_is_foreseen_to_the_day() -> None:
    found = forecast([LEVEL] * 84, limit_micros=10 * LEVEL + 1)
    tenth = TODAY + timedelta(days=10)
    assert (found.breach_earliest, found.breach_on, found.breach_latest) == (tenth,) * 3
    assert found.breach_percent == 100
    assert found.days[-1].middle_micros == len(found.days) * LEVEL
    assert found.backtest.error_percent == 0
    assert found.backtest.coverage_percent == 100


def test_limit_out_of_reach_has_no_breach_date() -> None:
    found = forecast(daily_series(2, 84))
    assert found.breach_percent == 0
    assert (found.breach_earliest, found.breach_on, found.breach_latest) == (None, None, None)


def test_what_is_held_today_is_never_forecast_below() -> None:
    found = forecast([LEVEL] * 84, today_micros=5 * LEVEL)
    assert found.days[0].low_micros == 5 * LEVEL


def test_band_is_whole_micros_in_order_and_never_falls() -> None:
    found = forecast(daily_series(3, 84))
    assert len(found.days) == (END - TODAY).days
    for band in found.days:
        assert all(type(each) is int for each in list(vars(band).values())[1:])
        assert band.low_micros <= band.middle_micros <= band.high_micros
    lows = [band.low_micros for band in found.days]
    assert lows == sorted(lows)


def test_weekends_are_foreseen_as_weekends() -> None:
    days = forecast(daily_series(5, 84)).days
    steps = [after.middle_micros - before.middle_micros for before, after in pairwise(days)]
    weekday, weekend = steps[0], steps[4]  # Tuesday, Saturday
    assert weekend < weekday / 2


@pytest.mark.parametrize(
    ("growth", "coverage_min", "error_max"), [(0.0, 0.75, 0.2), (0.005, 0.6, 0.25)]
)
def test_interval_holds_what_happens(growth: float, coverage_min: float, error_max: float) -> None:
    inside, error = 0, 0.0
    end = TODAY + timedelta(days=HORIZON)
    for seed in range(SERIES):
        daily = daily_series(seed, 84 + HORIZON, growth=growth)
        found = burn_down(daily[:84], TODAY, end, Standing(10**12, 0, 0))
        assert found is not None
        happened = sum(daily[84:])
        band = found.days[-1]
        inside += band.low_micros <= happened <= band.high_micros
        error += abs(band.middle_micros - happened) / happened
    print(
        f"growth {growth} a day: {inside}/{SERIES} inside the 80 % interval, "
        f"mean error {100 * error / SERIES:.1f} %"
    )
    assert inside / SERIES >= coverage_min
    assert error / SERIES <= error_max
