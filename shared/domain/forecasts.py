"""Burn-down forecast: when a budget will be used up, with an 80 % interval and a back-tested error.

Future days are drawn from past days of the same weekday, scaled by how the last two weeks compare
with the rest (half-way, so that one odd fortnight does not carry the whole forecast) and by a
random walk as lively as the weeks were. That is a seasonal bootstrap: it assumes no distribution,
knows weekends, and says nothing about what was never seen before. numpy alone draws the paths: the
forecasting libraries cost a Functions worker seconds to import and hundreds of megabytes.

Amounts go in and come out as integers; floats live between them and are never booked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Paths = NDArray[np.float64]  # shape (PATHS, days), micro-AUD a day

HISTORY_DAYS_MIN: Final = 42  # two weeks to be tested on after four to learn from
HISTORY_DAYS_MAX: Final = 91  # thirteen weeks: what is older says little about next week
WINDOW_DAYS: Final = 56  # eight days of each weekday to draw from
TRAINING_DAYS_MIN: Final = 28
TEST_HORIZON_DAYS: Final = 14
PATHS: Final = 2_000  # the quantiles of 10 % and 90 % are then steady to about a percent
TEST_PATHS: Final = 500  # a back-test forecasts once for each past day
SEED: Final = 20_261_101  # fixed, so that the same entries give the same report
INTERVAL_PERCENT: Final = 80
_LOW, _MIDDLE, _HIGH = 0.1, 0.5, 0.9
_WEEK: Final = 7
_LIVELINESS_MAX: Final = 0.8  # standard deviation of a week's log factor; more is noise


@dataclass(frozen=True)
class Backtest:
    """How the same forecast would have done: totals of the next days, made at each past day."""

    origins: int
    horizon_days: int
    error_percent: int  # mean absolute error of the middle forecast, in percent of what happened
    coverage_percent: int  # how often what happened lay inside the interval; 80 is right


@dataclass(frozen=True)
class DayBand:
    """Spend of the period up to the end of a day; micro-AUD."""

    day: date
    low_micros: int
    middle_micros: int
    high_micros: int


@dataclass(frozen=True)
class BurnDown:
    """A forecast of one budget to the end of its period; dates are None if not in the period."""

    days: tuple[DayBand, ...]
    breach_percent: int  # of the paths that pass the limit before the period ends
    breach_on: date | None  # half of all paths have passed the limit by then
    breach_earliest: date | None  # 10 % have
    breach_latest: date | None  # 90 % have
    backtest: Backtest


@dataclass(frozen=True)
class Standing:
    """Where a budget stands this morning; micro-AUD."""

    limit_micros: int
    spent_before_micros: int  # in this period, up to the end of yesterday
    committed_today_micros: int  # spent today, or held now


def trimmed(daily_micros: Sequence[int]) -> list[int]:
    """The history from its first spend on, at most HISTORY_DAYS_MAX days of it."""
    first = next((i for i, amount in enumerate(daily_micros) if amount > 0), len(daily_micros))
    return list(daily_micros[first:][-HISTORY_DAYS_MAX:])


def burn_down(
    daily_micros: Sequence[int], today: date, end: date, standing: Standing
) -> BurnDown | None:
    """Forecast from today to the day before `end`; None without enough history.

    `daily_micros` are complete days, oldest first, the last one yesterday.
    """
    history = trimmed(daily_micros)
    days = (end - today).days
    if len(history) < HISTORY_DAYS_MIN or days < 1:
        return None
    paths = _paths(history, today.weekday(), days)
    paths[:, 0] = paths[:, 0].clip(min=standing.committed_today_micros)
    reached = paths.cumsum(axis=1) + standing.spent_before_micros
    passed = (reached > standing.limit_micros).mean(axis=0)  # share of paths, never falls
    return BurnDown(
        days=_bands(reached, today),
        breach_percent=round(100 * float(passed[-1])),
        breach_on=_first(passed, _MIDDLE, today),
        breach_earliest=_first(passed, _LOW, today),
        breach_latest=_first(passed, _HIGH, today),
        backtest=_backtest(history, today),
    )


def _paths(history: Sequence[int], weekday: int, days: int, number: int = PATHS) -> "Paths":
    """Possible futures; `weekday` is that of the day after the history."""
    import numpy as np

    random = np.random.default_rng(SEED)
    past = np.asarray(history[-WINDOW_DAYS:], dtype=np.float64)
    weekdays = (weekday - len(past) + np.arange(len(past))) % _WEEK
    paths = np.empty((number, days))
    for ahead in range(days):
        pool = past[weekdays == (weekday + ahead) % _WEEK]
        paths[:, ahead] = random.choice(pool, number)  # nosec B311  # numpy's seeded generator
    weeks = past[len(past) % _WEEK :].reshape(-1, _WEEK).sum(axis=1)
    if weeks.mean() <= 0:
        return paths
    level = np.sqrt(weeks[-2:].mean() / weeks.mean())
    ratios = np.log(np.maximum(weeks[1:], 1) / np.maximum(weeks[:-1], 1))
    step = min(float(ratios.std()), _LIVELINESS_MAX) / np.sqrt(2)  # a ratio has two weeks' noise
    walk = random.normal(0, step, (number, -(-days // _WEEK))).cumsum(axis=1)
    return np.asarray(paths * level * np.exp(np.repeat(walk, _WEEK, axis=1)[:, :days]))


def _bands(reached: "Paths", today: date) -> tuple[DayBand, ...]:
    import numpy as np

    quantiles = np.quantile(reached, (_LOW, _MIDDLE, _HIGH), axis=0)
    return tuple(
        DayBand(today + timedelta(days=ahead), *(int(amount) for amount in quantiles[:, ahead]))
        for ahead in range(reached.shape[1])
    )


def _first(passed: "Paths", share: float, today: date) -> date | None:
    """The first day by which this share of paths has passed the limit."""
    reached = (passed >= share).nonzero()[0]
    return today + timedelta(days=int(reached[0])) if len(reached) else None


def _backtest(history: Sequence[int], today: date) -> Backtest:
    """Forecast again from each past day with what was known then (rolling origin)."""
    import numpy as np

    errors, inside = [], 0
    origins = range(TRAINING_DAYS_MIN, len(history) - TEST_HORIZON_DAYS + 1)
    for origin in origins:
        happened = sum(history[origin : origin + TEST_HORIZON_DAYS])
        weekday = (today - timedelta(days=len(history) - origin)).weekday()
        totals = _paths(history[:origin], weekday, TEST_HORIZON_DAYS, TEST_PATHS).sum(axis=1)
        low, middle, high = np.quantile(totals, (_LOW, _MIDDLE, _HIGH))
        errors.append(abs(float(middle) - happened) / max(happened, 1))
        inside += bool(low <= happened <= high)
    return Backtest(
        origins=len(origins),
        horizon_days=TEST_HORIZON_DAYS,
        error_percent=round(100 * sum(errors) / len(errors)),
        coverage_percent=round(100 * inside / len(origins)),
    )
