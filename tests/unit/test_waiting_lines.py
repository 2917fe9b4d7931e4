"""Who goes first when a provider admits fewer than want to start: simulated in virtual time."""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from statistics import median

import pytest

from shared.domain.token_buckets import US_PER_S, BucketDocument, Lane, Limit, Tally, Want
from shared.domain.waiting_lines import AGING_US, GRACE_US, LINE_MAX, Priority, decide

START_US = 1_796_000_000 * US_PER_S
INTERACTIVE, BATCH, WAITING = Priority.INTERACTIVE, Priority.BATCH, Priority.WAITING
PAUSE_US_MIN = US_PER_S  # a durable timer is never shorter
TIMER_LATE_US_MAX = US_PER_S // 2


@dataclass
class Crowd:
    """Asks of many lanes at the buckets of one provider, each again when it was told to."""

    limits: tuple[Limit, ...]
    seed: int = 1
    document: BucketDocument = field(default_factory=lambda: BucketDocument("starts"))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.queue: list[tuple[int, int, Lane, int]] = []
        self.order = itertools.count()
        self.waits_s: dict[Lane, list[float]] = {}
        self.admitted: list[tuple[int, Lane]] = []

    def come(self, lane: Lane, at_s: float, many: int = 1) -> None:
        at_us = START_US + int(at_s * US_PER_S)
        for _ in range(many):
            heapq.heappush(self.queue, (at_us, next(self.order), lane, at_us))

    def run(self, until_s: float) -> None:
        end_us = START_US + int(until_s * US_PER_S)
        while self.queue and self.queue[0][0] <= end_us:
            now_us, _, lane, since_us = heapq.heappop(self.queue)
            tally = Tally({"starts": self.document}, now_us)
            decision = decide(tally, [Want("starts", each, 1) for each in self.limits], lane)
            self.document = tally.documents["starts"]
            if decision.receipts is not None:
                self.admitted.append((now_us, lane))
                self.waits_s.setdefault(lane, []).append((now_us - since_us) / US_PER_S)
                continue
            assert decision.wait_us is not None
            late_us = self.random.randrange(TIMER_LATE_US_MAX)
            again_us = now_us + max(PAUSE_US_MIN, decision.wait_us) + late_us
            heapq.heappush(self.queue, (again_us, next(self.order), lane, since_us))

    def share_of(self, lane: Lane) -> float:
        return sum(each == lane for _, each in self.admitted) / len(self.admitted)


def per_minute(starts: int) -> tuple[Limit, ...]:
    return (Limit.strict("minute", starts, 60),)


@pytest.mark.parametrize("starts", [4, 60, 600])
def test_single_request_waits_about_one_start_beside_a_thousand_rows(starts: int) -> None:
    crowd, single = Crowd(per_minute(starts)), Lane(INTERACTIVE, "legal")
    crowd.come(Lane(BATCH, "marketing"), 0, 200)
    spacing_s = max(10.0, 3 * 60 / starts)
    for number in range(20):
        crowd.come(single, 5 + number * spacing_s)
    crowd.run(5 + 20 * spacing_s)
    assert len(crowd.waits_s[single]) >= 19
    one_start_s = 60 / starts / 0.95
    assert max(crowd.waits_s[single]) <= 2 * one_start_s + 2


@pytest.mark.parametrize("starts", [4, 60, 600])
def test_lane_alone_uses_nearly_all_that_is_allowed(starts: int) -> None:
    crowd, minutes = Crowd(per_minute(starts)), 5
    crowd.come(Lane(BATCH, "marketing"), 0, 2 * starts * minutes)
    crowd.run(minutes * 60)
    assert 0.9 * starts * minutes <= len(crowd.admitted) <= starts * minutes


def test_two_departments_share_alike_whatever_they_ask_for() -> None:
    crowd = Crowd(per_minute(60))
    greedy, modest = Lane(BATCH, "marketing"), Lane(BATCH, "legal")
    crowd.come(greedy, 0, 1_000)
    crowd.come(modest, 0, 200)
    crowd.run(240)
    assert crowd.share_of(modest) == pytest.approx(0.5, abs=0.05)


def test_many_departments_share_alike() -> None:
    crowd, lanes = Crowd(per_minute(120)), [Lane(BATCH, f"d{number}") for number in range(10)]
    for number, lane in enumerate(lanes):
        crowd.come(lane, 0, 50 * (number + 1))
    crowd.run(200)
    shares = [crowd.share_of(lane) for lane in lanes]
    assert min(shares) >= 0.08
    assert max(shares) <= 0.12


def test_flood_of_single_requests_does_not_starve_those_of_another_department() -> None:
    crowd, flood, single = Crowd(per_minute(60)), Lane(0, "marketing"), Lane(0, "legal")
    crowd.come(flood, 0, 500)
    for number in range(20):
        crowd.come(single, 10 + 10 * number)
    crowd.run(230)
    assert median(crowd.waits_s[single]) <= 2
    assert max(crowd.waits_s[single]) <= 4


def test_batch_moves_on_behind_a_flood_of_single_requests() -> None:
    crowd, batch = Crowd(per_minute(60)), Lane(BATCH, "marketing")
    crowd.come(batch, 0, 50)
    crowd.come(Lane(INTERACTIVE, "legal"), 0, 1_000)
    crowd.run(600)
    served = [at for at, lane in crowd.admitted if lane == batch]
    gaps = [(after - before) for before, after in itertools.pairwise([START_US, *served])]
    assert max(gaps) <= 1.5 * AGING_US + GRACE_US


def test_rows_that_may_wait_go_last() -> None:
    crowd, hurried, waiting = Crowd(per_minute(60)), Lane(BATCH, "a"), Lane(WAITING, "b")
    crowd.come(waiting, 0, 200)
    crowd.come(hurried, 0, 60)
    crowd.run(80)
    assert crowd.share_of(hurried) >= 0.65


def test_place_of_somebody_who_never_comes_back_is_free_after_a_while() -> None:
    limit = Limit("minute", 60, 60, 1)
    wants, document = [Want("starts", limit, 1)], BucketDocument("starts")

    def ask(lane: Lane, after_s: float) -> bool:
        nonlocal document
        tally = Tally({"starts": document}, START_US + int(after_s * US_PER_S))
        taken = decide(tally, wants, lane).receipts is not None
        document = tally.documents["starts"]
        return taken

    assert ask(Lane(BATCH, "a"), 0)
    assert not ask(Lane(INTERACTIVE, "gone"), 0.1)
    assert not ask(Lane(BATCH, "a"), 2)
    assert ask(Lane(BATCH, "a"), 1.1 + GRACE_US / US_PER_S)


def test_models_of_a_provider_wait_only_for_their_own_limit() -> None:
    minute, slow = Limit("minute", 600, 60, 10), Limit("minute:slow", 1, 60, 1)
    document = BucketDocument("starts")
    for number in range(3):
        tally = Tally({"starts": document}, START_US + number)
        decide(tally, [Want("starts", each, 1) for each in (minute, slow)], Lane(0, "a"))
        document = tally.documents["starts"]
    tally = Tally({"starts": document}, START_US + 10)
    assert decide(tally, [Want("starts", minute, 1)], Lane(BATCH, "b")).receipts is not None


def test_line_keeps_a_bounded_number_of_lanes() -> None:
    crowd = Crowd(per_minute(20))
    for number in range(3 * LINE_MAX):
        crowd.come(Lane(BATCH, f"d{number}"), 0, 2)
    crowd.run(30)
    assert len(crowd.document.line) == LINE_MAX


def test_limit_that_can_never_be_met_says_so() -> None:
    tally = Tally({"starts": BucketDocument("starts")}, START_US)
    decision = decide(tally, [Want("starts", Limit("x", 1, 1, 1), 2)], Lane(0, "a"))
    assert (decision.receipts, decision.wait_us, decision.short) == (None, None, "x")
