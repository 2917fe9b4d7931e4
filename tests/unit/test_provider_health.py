"""When a provider's breaker opens, how long for, and what closes it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.azure_http import Answer
from shared.adapters.providers import (
    adobe_firefly_answers,
    azure_foundry,
    azure_ml,
    azure_openai_answers,
    replicate_answers,
)
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ModerationNote,
    NotDelivered,
    ProviderOutcome,
    Unknown,
)
from shared.domain.provider_health import (
    BLOCKED_FACTOR,
    CONSECUTIVE_MAX,
    HELD_US_MAX,
    LATENCIES_KEPT,
    OPEN_FACTOR_MAX,
    PROBE_FACTOR,
    PROBE_LOOK_US,
    US_PER_S,
    WINDOW_US,
    Breaker,
    Sample,
    breaker_fields,
    merged,
    probed,
    probing,
    read_breaker,
    verdict_of,
)
from tests.contract.image_orders import order

NOW_US = 1_796_000_000 * US_PER_S
OPEN_US = 30 * US_PER_S
OPEN_US_MAX = OPEN_FACTOR_MAX * OPEN_US
CLOSED = Breaker("p", 1)
WORKED = Delivered((), None)


def failed(failure: Failure, retry_after_s: float | None = None) -> NotDelivered:
    return NotDelivered(failure, Billed.NOTHING, "why", retry_after_s=retry_after_s)


def sample_of(*outcomes: ProviderOutcome, latency_s: float | None = None) -> Sample:
    sample = Sample()
    for outcome in outcomes:
        sample = sample.with_outcome(verdict_of(outcome), outcome, latency_s)
    return sample


def after(*outcomes: ProviderOutcome, breaker: Breaker = CLOSED, now_us: int = NOW_US) -> Breaker:
    for outcome in outcomes:
        breaker = merged(breaker, sample_of(outcome), now_us, OPEN_US)
    return breaker


def half_open() -> Breaker:
    return after(*[Unknown("gone")] * CONSECUTIVE_MAX, now_us=NOW_US - OPEN_US)


@pytest.mark.parametrize("failure", [Failure.PROVIDER_BLOCKED, Failure.QUOTA_EXHAUSTED])
def test_breaker_opens_at_once_when_the_account_is_shut_out(failure: Failure) -> None:
    breaker = after(failed(failure))
    assert breaker.state(NOW_US) == "open"
    assert breaker.closed_for_us(NOW_US) == BLOCKED_FACTOR * OPEN_US
    assert breaker.reason == failure


@pytest.mark.parametrize(
    "outcome",
    [
        Unknown("timeout"),
        failed(Failure.TRANSIENT),
        failed(Failure.TIMEOUT),
        failed(Failure.AUTH_OR_CONFIG),
        failed(Failure.MALFORMED),
    ],
)
def test_breaker_opens_after_failures_in_a_row(outcome: ProviderOutcome) -> None:
    assert after(*[outcome] * (CONSECUTIVE_MAX - 1)).state(NOW_US) == "closed"
    assert after(*[outcome] * CONSECUTIVE_MAX).state(NOW_US) == "open"


@pytest.mark.parametrize(
    "outcome", [WORKED, failed(Failure.CONTENT_REJECTED), failed(Failure.INVALID_REQUEST)]
)
def test_answer_ends_a_row_of_failures(outcome: ProviderOutcome) -> None:
    row: list[ProviderOutcome] = [failed(Failure.TRANSIENT)] * (CONSECUTIVE_MAX - 1)
    assert after(*row, outcome, *row).state(NOW_US) == "closed"


@pytest.mark.parametrize(
    "outcome",
    [
        failed(Failure.CANCELED),
        failed(Failure.CUSTODY),
        Unknown("cancelled_in_flight"),
        NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "cancelled_before_sending"),
        replace(failed(Failure.CONTENT_REJECTED), moderation=ModerationNote()),
        replace(failed(Failure.INVALID_REQUEST), moderation=ModerationNote()),
    ],
)
def test_what_is_not_the_providers_doing_says_nothing(outcome: ProviderOutcome) -> None:
    assert sample_of(outcome) == Sample()
    assert verdict_of(None) == "nothing"
    row: list[ProviderOutcome] = [failed(Failure.TRANSIENT)] * (CONSECUTIVE_MAX - 1)
    assert after(*row, outcome).state(NOW_US) == "closed"
    assert after(*row, outcome, failed(Failure.TRANSIENT)).state(NOW_US) == "open"
    probe = probing(half_open(), "a", NOW_US, OPEN_US)
    assert probed(probe, verdict_of(outcome), outcome, NOW_US, OPEN_US).state(NOW_US) == "half_open"


def test_pictures_that_we_refuse_are_an_answer_of_the_provider() -> None:
    refused = replace(
        failed(Failure.CONTENT_REJECTED),
        billed=Billed.MAXIMUM,
        moderation=ModerationNote(refused=1),
    )
    assert verdict_of(refused) == "works"


@pytest.mark.parametrize(
    "missing",
    [
        azure_openai_answers.outcome_of_error(404, {"code": "DeploymentNotFound"}, {}, None),
        azure_foundry.outcome_of_error(Answer(404, {}, {"error": {"code": "DeploymentNotFound"}})),
        azure_ml.outcome_of_error(Answer(404, {}, {"error": {}}), order("sdxl-sovereign")),
        replicate_answers.refused_submission(404, {}, {"detail": "Not found"}),
        adobe_firefly_answers.refused_submission(404, {}, {}),
    ],
)
def test_model_that_is_not_there_says_nothing_of_the_others(missing: ProviderOutcome) -> None:
    assert after(*[missing] * 2 * CONSECUTIVE_MAX).state(NOW_US) == "closed"


def test_breaker_opens_when_half_of_many_calls_fail() -> None:
    mixed: list[ProviderOutcome] = [failed(Failure.TRANSIENT), WORKED] * 10
    assert after(*mixed[:18]).state(NOW_US) == "closed"
    assert after(*mixed, failed(Failure.TRANSIENT)).state(NOW_US) == "open"


def test_success_after_a_block_in_one_sample_opens_nothing() -> None:
    blocked = failed(Failure.PROVIDER_BLOCKED)
    assert merged(CLOSED, sample_of(blocked, WORKED), NOW_US, OPEN_US).state(NOW_US) == "closed"
    assert merged(CLOSED, sample_of(WORKED, blocked), NOW_US, OPEN_US).state(NOW_US) == "open"


def test_failures_of_an_earlier_window_do_not_count() -> None:
    mixed: list[ProviderOutcome] = [failed(Failure.TRANSIENT), WORKED] * 9
    later = after(
        failed(Failure.TRANSIENT), WORKED, breaker=after(*mixed), now_us=NOW_US + WINDOW_US
    )
    assert (later.state(NOW_US + WINDOW_US), later.calls) == ("closed", 2)


def test_success_that_opens_nothing_is_no_reason_to_open() -> None:
    many = Sample(calls=30, successes=30)
    bad = replace(CLOSED, failures=100, calls=100, window_us=NOW_US)
    assert merged(bad, many, NOW_US, OPEN_US).state(NOW_US) == "closed"


@pytest.mark.parametrize(("wait_s", "held_us"), [(7, 7 * US_PER_S), (86_400, HELD_US_MAX)])
def test_rate_limit_holds_calls_back_for_the_time_it_named(wait_s: float, held_us: int) -> None:
    limited = failed(Failure.RATE_LIMITED, wait_s)
    assert after(limited).state(NOW_US) == "closed"
    assert after(limited, WORKED, limited).state(NOW_US) == "closed"
    breaker = after(limited, limited)
    assert breaker.state(NOW_US) == "open"
    assert breaker.closed_for_us(NOW_US) == held_us
    assert breaker.state(NOW_US + held_us) == "closed"


@pytest.mark.parametrize(
    ("wait_s", "open_us"),
    [(None, OPEN_US), (7, OPEN_US), (240, 240 * US_PER_S), (86_400, HELD_US_MAX)],
)
def test_breaker_stays_open_as_long_as_its_failures_named(
    wait_s: float | None, open_us: int
) -> None:
    busy = failed(Failure.TRANSIENT, wait_s)
    assert after(*[busy] * CONSECUTIVE_MAX).closed_for_us(NOW_US) == open_us
    together = merged(CLOSED, sample_of(*[busy] * CONSECUTIVE_MAX), NOW_US, OPEN_US)
    assert together.closed_for_us(NOW_US) == open_us
    probe = probing(half_open(), "a", NOW_US, OPEN_US)
    again = probed(probe, "fails", busy, NOW_US, OPEN_US)
    assert again.closed_for_us(NOW_US) == max(2 * OPEN_US, open_us)
    assert again.state(NOW_US + max(2 * OPEN_US, open_us)) == "half_open"


def test_time_that_was_named_before_a_success_holds_nobody_back() -> None:
    limited = failed(Failure.RATE_LIMITED)
    sample = sample_of(failed(Failure.TRANSIENT, 240), WORKED, limited, limited)
    assert merged(CLOSED, sample, NOW_US, OPEN_US).state(NOW_US) == "closed"
    alone = after(limited, limited, failed(Failure.TRANSIENT, 240))
    assert alone.state(NOW_US) == "closed"


def test_rate_limit_without_a_time_holds_nobody_back() -> None:
    assert after(*[failed(Failure.RATE_LIMITED)] * 3).state(NOW_US) == "closed"


def test_breaker_is_half_open_when_its_time_has_come_and_one_probe_goes() -> None:
    breaker = half_open()
    assert breaker.state(NOW_US) == "half_open"
    assert breaker.closed_for_us(NOW_US) is None
    under_way = probing(breaker, "a", NOW_US, OPEN_US)
    assert under_way.closed_for_us(NOW_US) == PROBE_LOOK_US
    assert under_way.closed_for_us(NOW_US + PROBE_FACTOR * OPEN_US) is None


@pytest.mark.parametrize("outcome", [WORKED, failed(Failure.CONTENT_REJECTED)])
def test_probe_that_is_answered_closes_the_breaker(outcome: ProviderOutcome) -> None:
    probe = probing(half_open(), "a", NOW_US, OPEN_US)
    closed = probed(probe, verdict_of(outcome), outcome, NOW_US, OPEN_US)
    assert (closed.state(NOW_US), closed.opened, closed.streak) == ("closed", 0, 0)


def test_rate_limit_of_a_probe_is_the_first_of_two_in_a_row() -> None:
    limited = failed(Failure.RATE_LIMITED, 7)
    probe = probing(half_open(), "a", NOW_US, OPEN_US)
    closed = probed(probe, verdict_of(limited), limited, NOW_US, OPEN_US)
    assert closed.state(NOW_US) == "closed"
    assert after(limited, breaker=closed).closed_for_us(NOW_US) == 7 * US_PER_S


def test_probe_that_fails_opens_the_breaker_for_twice_as_long() -> None:
    breaker, open_us = half_open(), OPEN_US
    for _ in range(8):
        probe = probing(breaker, "a", breaker.until_us, OPEN_US)
        outcome = Unknown("gone")
        breaker = probed(probe, "fails", outcome, breaker.until_us, OPEN_US)
        open_us = min(2 * open_us, OPEN_US_MAX)
        assert breaker.closed_for_us(probe.until_us) == open_us
    assert open_us == OPEN_US_MAX


def test_probe_that_was_never_sent_leaves_the_breaker_half_open() -> None:
    free = probed(probing(half_open(), "a", NOW_US, OPEN_US), "nothing", None, NOW_US, OPEN_US)
    assert (free.state(NOW_US), free.closed_for_us(NOW_US)) == ("half_open", None)


def test_calls_that_began_before_neither_close_nor_prolong_an_open_breaker() -> None:
    breaker = half_open()
    late = after(WORKED, Unknown("gone"), failed(Failure.PROVIDER_BLOCKED), breaker=breaker)
    assert (late.is_open, late.until_us, late.opened) == (True, breaker.until_us, breaker.opened)


def test_latency_is_the_median_of_recent_deliveries() -> None:
    sample = Sample()
    for latency_s in (9.0, 1.0, 2.0, 3.0):
        sample = sample.with_outcome("works", WORKED, latency_s)
    refused = failed(Failure.CONTENT_REJECTED)
    sample = sample.with_outcome("works", refused, 0.1)
    assert merged(CLOSED, sample, NOW_US, OPEN_US).latency_s == 2.0
    assert CLOSED.latency_s is None
    many = Sample(latencies_ms=tuple(range(100)))
    assert len(merged(CLOSED, many, NOW_US, OPEN_US).latencies_ms) == LATENCIES_KEPT


def test_breaker_is_read_back_as_it_was_stored() -> None:
    breaker = replace(half_open(), latencies_ms=(1, 2), change_id="c")
    stored = {"provider": "p", "revision": 1, "health": breaker_fields(breaker)}
    assert read_breaker(stored) == breaker


outcomes = st.sampled_from(
    [WORKED, Unknown("x"), *(failed(each, 3) for each in Failure if each != Failure.CANCELED)]
)


@given(st.lists(st.tuples(outcomes, st.integers(0, 90)), max_size=60))
def test_breaker_never_stays_open_longer_than_its_longest_time(
    steps: list[tuple[ProviderOutcome, int]],
) -> None:
    breaker, now_us = CLOSED, NOW_US
    for outcome, pause_s in steps:
        now_us += pause_s * US_PER_S
        if breaker.state(now_us) == "half_open":
            probe = probing(breaker, "a", now_us, OPEN_US)
            breaker = probed(probe, verdict_of(outcome), outcome, now_us, OPEN_US)
        else:
            breaker = after(outcome, breaker=breaker, now_us=now_us)
        closed_us = breaker.closed_for_us(now_us)
        assert closed_us is None or 0 < closed_us <= OPEN_US_MAX
        assert breaker.state(now_us + OPEN_US_MAX) in ("closed", "half_open")
