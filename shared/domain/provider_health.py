"""The health of a provider as all workers see it: a circuit breaker and how long calls take.

    closed      calls go through; failures are counted
    open        no call goes through for a time that grows by itself, or a longer one that was named
    half_open   that time has come: one call of all workers goes through as a probe and decides

A provider names a time by `Retry-After`. Two rate limits in a row hold calls back until then; they
say nothing about its health. A refusal of a prompt is an answer like any other. What shuts out
the whole account (it is blocked, or its quota is gone) opens the breaker at once, for it would meet
every request alike and is nobody's fault who asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any, Final, Literal

from shared.domain.attempts import (
    CANCELLED_BEFORE_SENDING,
    CANCELLED_IN_FLIGHT,
    NOT_FOUND,
    Billed,
    Delivered,
    Failure,
    NotDelivered,
    ProviderOutcome,
)
from shared.domain.ids import Partition

US_PER_S: Final = 1_000_000
CONSECUTIVE_MAX: Final = 5  # failures in a row over all workers
WINDOW_US: Final = 60 * US_PER_S
WINDOW_CALLS_MIN: Final = 20  # fewer calls say little about a share
FAILED_PERCENT_MAX: Final = 50
OPEN_FACTOR_MAX: Final = 20  # between two probes, however often they fail: ten minutes by default
BLOCKED_FACTOR: Final = 4  # who is blocked is asked four times as rarely
PROBE_US_MAX: Final = 300 * US_PER_S  # longer than any call
PROBE_FACTOR: Final = 6  # times as long as it was open, a probe is waited for: then it is lost
PROBE_LOOK_US: Final = 5 * US_PER_S  # until somebody else asks how the probe ended
LIMITED_MIN: Final = 2  # rate limits in a row: one alone may be about one request
HELD_US_MAX: Final = 300 * US_PER_S  # the most that `Retry-After` holds everybody back
LATENCIES_KEPT: Final = 16
SCHEMA_VERSION: Final = 1
HEALTH_PARTITION: Final = Partition("providers", "health")  # no department and no period

HealthState = Literal["closed", "open", "half_open"]
Verdict = Literal["works", "fails", "blocks", "limits", "nothing"]
_ACCOUNT_WIDE: Final = frozenset({Failure.PROVIDER_BLOCKED, Failure.QUOTA_EXHAUSTED})
_NOT_THE_PROVIDER: Final = frozenset({Failure.CANCELED, Failure.CUSTODY})
_ANSWERS: Final = frozenset({Failure.CONTENT_REJECTED, Failure.INVALID_REQUEST})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ProviderHealth:
    """What others need to know of a provider's health. `until` is ISO 8601, in UTC."""

    provider: str
    state: HealthState = "closed"
    until: str | None = None
    latency_s: float | None = None  # the median of recent deliveries; None: nobody knows yet
    reason: str | None = None


@dataclass(frozen=True)
class Sample:
    """What one worker saw of a provider since it last told."""

    calls: int = 0
    successes: int = 0
    failures: int = 0
    streak: int = 0  # failures since the last success
    limited: int = 0  # rate limits since the last success
    latencies_ms: tuple[int, ...] = ()
    blocked: str | None = None
    named_us: int = 0  # the longest wait that an answer asked for since the last success
    reason: str = ""

    def with_outcome(
        self, verdict: Verdict, outcome: ProviderOutcome | None, latency_s: float | None
    ) -> "Sample":
        """The sample with one more call in it."""
        if verdict == "nothing":
            return self
        if verdict == "works":
            return replace(
                self.with_latency(outcome, latency_s),
                calls=self.calls + 1,
                successes=self.successes + 1,
                streak=0,
                limited=0,
                blocked=None,
                named_us=0,
            )
        named_us = max(self.named_us, _named_us(outcome))
        seen = replace(self, calls=self.calls + 1, named_us=named_us)
        if verdict == "limits":
            return replace(seen, limited=self.limited + 1)
        reason = _reason(outcome)
        seen = replace(seen, failures=self.failures + 1)
        if verdict == "blocks":
            return replace(seen, blocked=reason)
        return replace(seen, streak=self.streak + 1, reason=reason)

    def with_latency(self, outcome: ProviderOutcome | None, latency_s: float | None) -> "Sample":
        """The sample with how long a delivery took: all that a probe leaves in it."""
        if latency_s is None or not isinstance(outcome, Delivered):
            return self
        latencies_ms = (*self.latencies_ms, round(latency_s * 1_000))[-LATENCIES_KEPT:]
        return replace(self, latencies_ms=latencies_ms)


@dataclass(frozen=True)
class Breaker:
    """A provider's health as it is stored; times in microseconds since 1970."""

    provider: str
    revision: int = 0  # 0: not stored yet
    is_open: bool = False
    until_us: int = 0  # of an open breaker: then a probe may go
    reason: str = ""
    opened: int = 0  # times in a row; each time it stays open twice as long
    since_us: int = 0
    held_until_us: int = 0
    probe_id: str = ""
    probe_until_us: int = 0
    streak: int = 0
    limited: int = 0
    window_us: int = 0  # when the window began
    calls: int = 0
    failures: int = 0
    latencies_ms: tuple[int, ...] = ()
    change_id: str = ""

    def state(self, now_us: int) -> HealthState:
        if not self.is_open:
            return "open" if now_us < self.held_until_us else "closed"
        return "open" if now_us < self.until_us else "half_open"

    def closed_for_us(self, now_us: int) -> int | None:
        """How long no call at all may go through; None when one may, if only as a probe."""
        if self.is_open and self.probe_until_us > now_us:
            return min(PROBE_LOOK_US, self.probe_until_us - now_us)
        until_us = max(self.until_us if self.is_open else 0, self.held_until_us)
        return until_us - now_us if until_us > now_us else None

    def next_change_us(self, now_us: int) -> int | None:
        """When its state may change by itself; None if it will not."""
        closed_us = self.closed_for_us(now_us)
        return None if closed_us is None else now_us + closed_us

    @property
    def latency_s(self) -> float | None:
        return median_low(self.latencies_ms) / 1_000 if self.latencies_ms else None


def iso_of(moment_us: int) -> str:
    """A moment of a breaker in ISO 8601, in UTC."""
    return (_EPOCH + timedelta(microseconds=moment_us)).isoformat()


def verdict_of(outcome: ProviderOutcome | None) -> Verdict:
    """What the end of a call says about the provider."""
    if outcome is None or _is_our_doing(outcome):
        return "nothing"
    if isinstance(outcome, Delivered):
        return "works"
    if not isinstance(outcome, NotDelivered):
        return "fails"  # no definite answer
    if outcome.failure in _ACCOUNT_WIDE:
        return "blocks"
    if outcome.failure == Failure.RATE_LIMITED:
        return "limits"
    if outcome.failure in _NOT_THE_PROVIDER or outcome.reason == NOT_FOUND:
        return "nothing"
    return "works" if outcome.failure in _ANSWERS else "fails"


def _is_our_doing(outcome: ProviderOutcome) -> bool:
    """Whether we stopped the call, or our own judge of prompts did before it was sent."""
    if isinstance(outcome, NotDelivered):
        is_judged = outcome.moderation is not None and outcome.billed is Billed.NOTHING
        return is_judged or outcome.reason == CANCELLED_BEFORE_SENDING
    return not isinstance(outcome, Delivered) and outcome.reason == CANCELLED_IN_FLIGHT


def merged(breaker: Breaker, sample: Sample, now_us: int, open_us: int) -> Breaker:
    """The breaker after what a worker saw; `open_us` is how long it opens the first time."""
    fresh = now_us - breaker.window_us < WINDOW_US
    limited = sample.limited + (0 if sample.successes else breaker.limited)
    is_held = sample.limited > 0 and limited >= LIMITED_MIN
    seen = replace(
        breaker,
        window_us=breaker.window_us if fresh else now_us,
        calls=(breaker.calls if fresh else 0) + sample.calls,
        failures=(breaker.failures if fresh else 0) + sample.failures,
        streak=sample.streak + (0 if sample.successes else breaker.streak),
        limited=limited,
        latencies_ms=(*breaker.latencies_ms, *sample.latencies_ms)[-LATENCIES_KEPT:],
        held_until_us=max(breaker.held_until_us, now_us + sample.named_us if is_held else 0),
    )
    if seen.is_open:
        return seen  # only the probe closes it or prolongs it
    if sample.blocked is not None:
        return _opened(
            seen, sample.blocked, BLOCKED_FACTOR, open_us, now_us, named_us=sample.named_us
        )
    failing = seen.calls >= WINDOW_CALLS_MIN and (
        seen.failures * 100 >= seen.calls * FAILED_PERCENT_MAX
    )
    if sample.failures and (seen.streak >= CONSECUTIVE_MAX or failing):
        return _opened(seen, sample.reason, 1, open_us, now_us, named_us=sample.named_us)
    return seen


def probing(breaker: Breaker, probe_id: str, now_us: int, open_us: int) -> Breaker:
    """The breaker with a probe under way; only from `half_open` and while no other probe is.

    A worker that dies takes its probe along: another one may go after three minutes by default.
    """
    lost_us = now_us + min(PROBE_US_MAX, PROBE_FACTOR * open_us)
    return replace(breaker, probe_id=probe_id, probe_until_us=lost_us)


def probed(
    breaker: Breaker, verdict: Verdict, outcome: ProviderOutcome | None, now_us: int, open_us: int
) -> Breaker:
    """The breaker after its probe ended: closed, open again for longer, or free for another."""
    ended = replace(breaker, probe_id="", probe_until_us=0)
    if verdict in ("works", "limits"):  # it answers
        return replace(
            ended,
            is_open=False,
            until_us=0,
            reason="",
            opened=0,
            since_us=now_us,
            streak=0,
            limited=1 if verdict == "limits" else 0,
            window_us=now_us,
            calls=0,
            failures=0,
        )
    if verdict == "nothing":
        return ended
    factor = BLOCKED_FACTOR if verdict == "blocks" else 1
    return _opened(ended, _reason(outcome), factor, open_us, now_us, named_us=_named_us(outcome))


def health_of(breaker: Breaker, now_us: int, iso: str | None) -> ProviderHealth:
    """What is told of a breaker; `iso` is when its state may change."""
    state = breaker.state(now_us)
    reason = breaker.reason if breaker.is_open else "rate_limited" if state == "open" else None
    return ProviderHealth(breaker.provider, state, iso, breaker.latency_s, reason)


def _opened(
    breaker: Breaker, reason: str, factor: int, first_us: int, now_us: int, *, named_us: int
) -> Breaker:
    """The breaker open for its own time, or for the one that the provider named if it is longer."""
    doubled = factor << min(breaker.opened, OPEN_FACTOR_MAX)
    open_us = first_us * min(doubled, OPEN_FACTOR_MAX)
    return replace(
        breaker,
        is_open=True,
        until_us=now_us + max(open_us, named_us),
        reason=reason,
        opened=breaker.opened + 1,
        since_us=breaker.since_us if breaker.is_open else now_us,
    )


def _named_us(outcome: ProviderOutcome | None) -> int:
    """How long the provider asked to wait, as far as it is heeded."""
    wait_s = outcome.retry_after_s if isinstance(outcome, NotDelivered) else None
    return min(int((wait_s or 0) * US_PER_S), HELD_US_MAX)


def _reason(outcome: ProviderOutcome | None) -> str:
    if isinstance(outcome, NotDelivered):
        return str(outcome.failure)
    return "no_answer"


_KEYS: Final = ("provider", "revision")  # beside the fields, where a write compares them
_FIELDS: Final = tuple(name for name in Breaker.__dataclass_fields__ if name not in _KEYS)


def document_id_of(provider: str) -> str:
    return f"health:{provider}"


def breaker_fields(breaker: Breaker) -> dict[str, Any]:
    """What is stored of a breaker, without its name and its revision."""
    fields = {name: getattr(breaker, name) for name in _FIELDS}
    return fields | {"latencies_ms": list(breaker.latencies_ms)}


def read_breaker(document: Mapping[str, Any]) -> Breaker:
    """A breaker as it was stored; a field that is newer than the document has its default."""
    stored = document["health"]
    fields = {name: stored[name] for name in _FIELDS if name in stored}
    fields["latencies_ms"] = tuple(stored["latencies_ms"])
    return Breaker(provider=document["provider"], revision=document["revision"], **fields)
