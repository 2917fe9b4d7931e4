"""What token buckets admit: never more than they say, and nearly all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.token_buckets import (
    CLOCK_SKEW_US_MAX,
    US_PER_S,
    BucketDocument,
    Claim,
    Lane,
    Limit,
    Receipt,
    Standing,
    Tally,
    Want,
    read_document,
    stored_document,
    wait_us,
)

START_US = 1_796_000_000 * US_PER_S
LIMITS = [
    Limit("steady", 10, 3_600, 10),
    Limit("odd", 7, 60, 3),
    Limit("single", 4, 60, 1),
    Limit.strict("strict", 60, 60),
    Limit("money", 250_000_000, 60, 250_000_000),  # more than one token a microsecond
]


@dataclass
class Bench:
    """One bucket, and a record of what was taken when."""

    limit: Limit

    def __post_init__(self) -> None:
        self.document = BucketDocument("d")
        self.kept: list[tuple[int, int]] = []
        self.receipts: list[tuple[int, Receipt]] = []

    def tally(self, now_us: int) -> Tally:
        return Tally({"d": self.document}, now_us)

    def take(self, now_us: int, tokens: int = 1) -> int | None:
        """The wait; 0 when it was taken."""
        tally = self.tally(now_us)
        wants = [Want("d", self.limit, tokens)]
        wait, short = tally.wait_us(wants)
        if short:
            return wait
        (receipt,) = tally.take(wants)
        self.document = tally.documents["d"]
        self.receipts.append((len(self.kept), receipt))
        self.kept.append((now_us, tokens))
        return 0

    def give_back(self, now_us: int, which: int = 0) -> None:
        """Give back one of the takes that have not been given back yet."""
        index, receipt = self.receipts.pop(which % len(self.receipts))
        tally = self.tally(now_us)
        tally.give_back([receipt])
        self.document = tally.documents["d"]
        self.kept[index] = (self.kept[index][0], 0)

    def stands(self, now_us: int) -> Standing:
        (found,) = self.tally(now_us).standings([Want("d", self.limit, 1)])
        return found


def most_of(limit: Limit, time_us: int) -> int:
    """What the module promises for a stretch of time whose end is excluded."""
    return limit.burst - 1 + -(-time_us * limit.tokens // (limit.period_s * US_PER_S))


def assert_never_more(limit: Limit, kept: Sequence[tuple[int, int]]) -> None:
    for first in range(len(kept)):
        total = 0
        for last in range(first, len(kept)):
            total += kept[last][1]
            stretch_us = kept[last][0] - kept[first][0] + 1
            assert total <= most_of(limit, stretch_us), (limit, kept[first : last + 1])


pauses_us = st.integers(0, 20 * US_PER_S) | st.integers(0, 1_000)


@given(st.sampled_from(LIMITS), st.lists(st.tuples(pauses_us, st.integers(1, 12)), max_size=60))
def test_takes_at_any_times_are_never_more_than_promised(
    limit: Limit, steps: list[tuple[int, int]]
) -> None:
    bench, now_us = Bench(limit), START_US
    for pause_us, tokens in steps:
        now_us += pause_us
        bench.take(now_us, tokens * max(1, limit.burst // 12))
    assert_never_more(limit, bench.kept)


@given(
    st.sampled_from(LIMITS),
    st.lists(st.tuples(pauses_us, st.integers(0, 6), st.integers(0, 9)), max_size=80),
)
def test_takes_and_returns_never_let_more_be_kept_than_promised(
    limit: Limit, steps: list[tuple[int, int, int]]
) -> None:
    bench, now_us = Bench(limit), START_US
    for pause_us, tokens, which in steps:
        now_us += pause_us
        if tokens:
            bench.take(now_us, tokens)
        elif bench.receipts:
            bench.give_back(now_us, which)
    assert_never_more(limit, bench.kept)


@given(st.sampled_from(LIMITS), st.integers(1, 12), pauses_us)
def test_the_wait_that_is_told_is_exactly_long_enough(
    limit: Limit, tokens: int, pause_us: int
) -> None:
    bench, now_us = Bench(limit), START_US
    while bench.take(now_us, max(1, limit.burst // 3)) == 0:
        now_us += pause_us // 100
        if len(bench.kept) > 50:
            return  # it is earned faster than it is taken
    wait = bench.take(now_us, tokens)
    if wait is None:
        assert tokens > limit.burst
    elif wait:
        assert bench.take(now_us + wait - 1, tokens) != 0
        assert bench.take(now_us + wait, tokens) == 0


@pytest.mark.parametrize("allowed", [1, 4, 6, 15, 19, 20, 60, 100, 600, 9_000])
def test_strict_limit_is_never_passed_in_a_period_and_nearly_used(allowed: int) -> None:
    limit, period_us = Limit.strict("starts", allowed, 60), 60 * US_PER_S
    bench, now_us, periods = Bench(limit), START_US, 10 if allowed < 1_000 else 2
    end_us = START_US + periods * period_us
    while now_us < end_us:
        now_us += bench.take(now_us) or 0
    taken = [at for at, _ in bench.kept if at < end_us]
    first = 0
    for last, at in enumerate(taken):
        while at - taken[first] >= period_us:
            first += 1
        assert last - first + 1 <= allowed
    assert len(taken) >= 0.95 * allowed * periods


def test_take_of_more_than_the_burst_can_never_be() -> None:
    assert wait_us(LIMITS[0], 0, 11, START_US) is None


def test_rest_lets_a_whole_burst_be_taken_and_no_more() -> None:
    bench = Bench(Limit("steady", 10, 3_600, 10))
    assert bench.stands(START_US).left == 10
    assert bench.take(START_US, 10) == 0
    assert bench.stands(START_US) == Standing(bench.limit, 0, 3_600 * US_PER_S)
    assert bench.take(START_US) == 360 * US_PER_S
    assert bench.stands(START_US + 3_600 * US_PER_S).left == 10
    assert bench.stands(START_US + 7_200 * US_PER_S).left == 10


def test_what_is_given_back_at_once_can_be_taken_again() -> None:
    bench = Bench(Limit("steady", 10, 3_600, 10))
    bench.take(START_US, 10)
    bench.give_back(START_US)
    assert bench.stands(START_US).left == 10


def test_what_was_earned_again_meanwhile_cannot_be_given_back() -> None:
    bench = Bench(Limit("steady", 10, 3_600, 10))
    bench.take(START_US, 5)
    later_us = START_US + 1_800 * US_PER_S
    (_, receipt) = bench.receipts[0]
    bench.take(later_us, 10)
    tally = bench.tally(later_us)
    tally.give_back([receipt])
    assert tally.changed == set()


def test_bucket_that_a_fast_clock_emptied_admits_the_next_take_and_is_sound_again() -> None:
    bench = Bench(Limit("steady", 60, 60, 2))
    bench.take(START_US + 86_400 * US_PER_S)
    assert bench.take(START_US) == 0
    assert bench.take(START_US) == US_PER_S


def test_bucket_of_a_clock_that_is_a_little_fast_is_believed() -> None:
    bench = Bench(Limit("steady", 60, 60, 1))
    bench.take(START_US + CLOCK_SKEW_US_MAX - US_PER_S)
    assert bench.take(START_US) == CLOCK_SKEW_US_MAX


def test_take_of_several_buckets_waits_for_the_slowest_and_takes_nothing() -> None:
    fast, slow = Limit("fast", 60, 60, 2), Limit("slow", 1, 60, 1)
    tally = Tally({"d": BucketDocument("d")}, START_US)
    wants = [Want("d", fast, 1), Want("d", slow, 1)]
    assert tally.wait_us(wants) == (0, ())
    tally.take(wants)
    assert tally.wait_us(wants) == (60 * US_PER_S, (wants[1],))
    assert [each.left for each in tally.standings(wants)] == [1, 0]


def test_document_is_read_back_as_it_was_stored() -> None:
    claim = Claim(Lane(1, "marketing"), ("minute",), 1, 2, 3, 4)
    document = BucketDocument("d", 7, {"minute": START_US}, (claim,), "c")
    assert read_document(stored_document("p", document)) == document
