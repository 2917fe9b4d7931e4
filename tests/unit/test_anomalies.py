"""Unusual days: how many of those that were put in are found, and how many others."""

import random
from datetime import date, timedelta

from shared.domain.anomalies import BY, anomalies, unusual_days
from shared.domain.entries import read_entry
from shared.domain.spend import SpendTable
from tests.synthetic_spend import PEOPLE, daily_series, resolution

SERIES, DAYS, SPIKES = 60, 120, 3
FIRST_SPIKE = 60
LEVEL = 100_000_000


def spiked(seed: int) -> tuple[list[int], set[int]]:
    """A noisy, partly growing series, and the days on which 2 to 5 usual weekdays were added."""
    generator = random.Random(1_000 + seed)
    daily = daily_series(seed, DAYS, growth=0.003 * (seed % 2), shape=4 + seed % 8)
    days = set(generator.sample(range(FIRST_SPIKE, DAYS), SPIKES))
    for day in sorted(days):
        daily[day] += LEVEL * generator.choice((2, 3, 5))
    return daily, days


def test_spikes_are_found_and_little_else() -> None:
    found = missed = wrong = 0
    for seed in range(SERIES):
        daily, spikes = spiked(seed)
        days = {unusual.index for unusual in unusual_days(daily)}
        found += len(days & spikes)
        missed += len(spikes - days)
        wrong += len(days - spikes)
    precision, recall = found / (found + wrong), found / (found + missed)
    print(f"precision {precision:.2f}, recall {recall:.2f} ({found} found, {wrong} others)")
    assert precision >= 0.75
    assert recall >= 0.75


def test_quiet_series_has_no_unusual_day() -> None:
    assert unusual_days([LEVEL] * 90) == []
    assert unusual_days([0] * 90) == []
    assert unusual_days([]) == []


def test_first_weeks_have_nothing_to_be_compared_with() -> None:
    daily = [LEVEL] * 27 + [50 * LEVEL]
    assert unusual_days(daily) == []


def test_small_change_interests_nobody() -> None:
    assert unusual_days([1_000] * 60 + [900_000]) == []


def test_weekend_as_busy_as_a_weekday_is_unusual() -> None:
    daily = [LEVEL if day % 7 < 5 else LEVEL // 10 for day in range(75)]
    daily[68] = LEVEL  # a Saturday
    (only,) = unusual_days(daily)
    assert (only.index, only.usual_micros) == (68, LEVEL // 10)


def test_past_is_judged_without_what_came_after() -> None:
    daily, _ = spiked(1)
    until = [unusual.index for unusual in unusual_days(daily[:90])]
    assert until == [unusual.index for unusual in unusual_days(daily) if unusual.index < 90]


def test_anomaly_says_why_in_words() -> None:
    first = date(2026, 9, 7)
    table = SpendTable(BY)
    number = 0
    for day in range(70):
        for _ in range(20 if day == 68 else 2):
            number += 1
            moment = f"{first + timedelta(days=day)}T10:00:00+00:00"
            who = PEOPLE[1] if number % 10 else PEOPLE[0]
            table.add(
                read_entry(
                    resolution(number, user_key=who, amount_micros=900_000, admitted_at=moment)
                )
            )
    (only,) = anomalies(table, first + timedelta(days=60), first + timedelta(days=70))
    assert (only.amount_micros, only.usual_micros) == (18_000_000, 1_800_000)
    assert only.reason.startswith(
        "marketing spent 18.00 AUD on gpt-image-2 on Saturday, 14 November 2026; the usual "
        "Saturday of the 8 weeks before cost 1.80 AUD."
    )
    assert only.reason.endswith(f"90 % of it was charged to user {PEOPLE[1].split('.')[1]}.")
    assert anomalies(table, first + timedelta(days=69), first + timedelta(days=70)) == []
