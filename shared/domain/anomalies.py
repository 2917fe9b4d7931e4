"""Days on which a department spent unusually much on a model, with the reason in words.

A day is compared with the same weekday of the eight weeks before it, never with what came after:
how many robust deviations is it above their median? The deviation is the median one of that
weekday, but at least that of all weekdays together: eight values alone would call too much unusual.
Medians do not move when a past day was odd itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from shared.domain.amounts import cents_text
from shared.domain.budgets import CURRENCY
from shared.domain.spend import SpendTable

WINDOW_DAYS: Final = 56
SAME_WEEKDAYS_MIN: Final = 4  # fewer make no usual day
DEVIATIONS_MIN: Final = 5.0  # measured: tests/unit/test_anomalies.py prints precision and recall
EXCESS_MICROS_MIN: Final = 1_000_000  # less than 1 AUD above the usual interests nobody
SCALE_PERCENT_MIN: Final = 10  # of the median: a department as regular as a clock may breathe
BY: Final = ("department", "model", "user", "day")  # what `anomalies` needs its table by
_MAD_TO_DEVIATION: Final = 1.4826  # makes a median absolute deviation a standard deviation
_WEEK: Final = 7
_NO_MODEL: Final = "adjustments"


@dataclass(frozen=True)
class Anomaly:
    """One unusual day; micro-AUD."""

    day: date
    department_id: str
    model: str
    amount_micros: int
    usual_micros: int
    deviations: float
    reason: str


@dataclass(frozen=True)
class Unusual:
    """A day of one series that stands out: its place, the usual amount, and by how much."""

    index: int
    usual_micros: int
    weekdays: int
    deviations: float


def anomalies(table: SpendTable, first: date, until: date) -> list[Anomaly]:
    """Unusual days from `first` to before `until`, newest first; the table also holds the past."""
    found = []
    for (department, model), days in _series(table).items():
        start = min(days)
        dates = [start + timedelta(days=number) for number in range((until - start).days)]
        daily = [sum(days.get(day, {}).values()) for day in dates]
        for unusual in unusual_days(daily):
            day, amount = dates[unusual.index], daily[unusual.index]
            if day < first:
                continue
            who = f"{department} spent {cents_text(amount)} {CURRENCY} on {model}"
            found.append(
                Anomaly(
                    day=day,
                    department_id=department,
                    model=model,
                    amount_micros=amount,
                    usual_micros=unusual.usual_micros,
                    deviations=round(unusual.deviations, 1),
                    reason=f"{who} {_comparison(day, unusual)}{_leader(amount, days[day])}",
                )
            )
    return sorted(found, key=lambda each: (-each.day.toordinal(), -each.amount_micros))


def _series(table: SpendTable) -> dict[tuple[str, str], dict[date, dict[str, int]]]:
    """Per department and model, per day, what each person was charged; nobody's own is ''."""
    series: dict[tuple[str, str], dict[date, dict[str, int]]] = {}
    for (department, model, user, day), each in table.rows():
        days = series.setdefault((department or "", model or _NO_MODEL), {})
        people = days.setdefault(date.fromisoformat(day or ""), {})
        people[user or ""] = people.get(user or "", 0) + each.amount_micros
    return series


def unusual_days(daily_micros: Sequence[int]) -> list[Unusual]:
    """The days that stand out against the eight weeks before them; index 0 is the oldest day."""
    found = []
    for index, amount in enumerate(daily_micros):
        begin = max(0, index - WINDOW_DAYS)
        weekdays = {day: daily_micros[begin + (day - begin) % _WEEK : index : _WEEK]
                    for day in range(index, index + _WEEK)}  # fmt: skip
        same = weekdays[index]
        if len(same) < SAME_WEEKDAYS_MIN:
            continue
        usual = int(median(same))
        if amount - usual < EXCESS_MICROS_MIN:
            continue
        deviations = (amount - usual) / _scale(usual, same, list(weekdays.values()))
        if deviations >= DEVIATIONS_MIN:
            found.append(Unusual(index, usual, len(same), deviations))
    return found


def _scale(usual: int, same: Sequence[int], weekdays: Sequence[Sequence[int]]) -> float:
    """One robust deviation of this weekday, in micro-AUD."""
    own = median(abs(amount - usual) for amount in same)
    relative = [
        abs(amount / middle - 1)
        for days in weekdays
        if (middle := median(days or [0])) > 0
        for amount in days
    ]
    pooled = usual * median(relative) if relative else 0.0
    floor = usual * SCALE_PERCENT_MIN / 100
    return max(_MAD_TO_DEVIATION * max(own, pooled), floor, 1.0)


def _comparison(day: date, unusual: Unusual) -> str:
    weekday = f"{day:%A}"
    return (
        f"on {weekday}, {day.day} {day:%B %Y}; the usual {weekday} of the {unusual.weekdays} weeks "
        f"before cost {cents_text(unusual.usual_micros)} {CURRENCY}. That is "
        f"{unusual.deviations:.1f} robust deviations more."
    )


def _leader(amount: int, people: Mapping[str, int]) -> str:
    user, most = max(people.items(), key=lambda each: (each[1], each[0]))
    return f" {100 * most // amount} % of it was charged to user {user}." if user else ""
