"""Watches providers for all workers: what calls ended in, and whether another one may go.

A worker looks at most once a second and tells at most once a minute while all goes well; a failure
is told at once. Everything here fails open: when the store does not answer, calls go on, for each
of them still needs its own marker in the ledger and the provider itself can refuse.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shared.domain.attempts import ProviderOutcome
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.provider_health import (
    HEALTH_PARTITION,
    Breaker,
    ProviderHealth,
    Sample,
    health_of,
    iso_of,
    merged,
    probed,
    probing,
    verdict_of,
)
from shared.domain.provider_notices import change_between
from shared.errors import Unavailable
from shared.ports import Clock
from shared.ports.provider_health import ProviderHealthStore

FRESH = timedelta(seconds=1)  # a view that is older is read again before it is used
READ_TIME_S = 2.0  # of one look; without an answer the last view stays
TELL_TIME_S = 5.0  # of one telling; the call it tells of has ended and waits for it
TELL_EVERY = timedelta(seconds=60)  # while nothing fails: one write a minute and worker
PUTS_MAX = 6  # of one change, while other workers write too
STORE_RETRY_S = 5.0  # nobody can say whether a probe is under way
ACTOR, ROLE = "system:provider_health", "system"

logger = logging.getLogger("eig.provider_health")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Admission:
    """Whether a call may go: not before `wait_s`, or as the probe that this id names."""

    wait_s: float | None = None
    probe_id: str | None = None


@dataclass
class _View:
    """What this worker knows of a provider, and what it has not told yet."""

    breaker: Breaker
    read_at: datetime | None = None
    told_at: datetime | None = None
    sample: Sample = field(default_factory=Sample)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProviderHealths:
    """The health of all providers as one worker sees and tells it."""

    def __init__(
        self,
        store: ProviderHealthStore,
        clock: Clock,
        providers: Sequence[str],
        open_for: timedelta,
    ) -> None:
        """`open_for` is how long a breaker that opens for the first time stays so."""
        self._store = store
        self._clock = clock
        self._open_us = open_for // _MICROSECOND
        self._views = {name: _View(Breaker(name)) for name in providers}

    async def snapshot(self) -> Mapping[str, ProviderHealth]:
        """The health of every provider, as of at most FRESH ago."""
        breakers = await asyncio.gather(*(self._current(name) for name in self._views))
        now_us = self._now_us()
        return {
            each.provider: health_of(each, now_us, self._iso(each.next_change_us(now_us)))
            for each in breakers
        }

    async def closed_for_s(self, provider: str) -> float | None:
        """How long no call may go to a provider at all; None if one may, if only as a probe.

        The whole time: whoever must wait for long asks somebody else, if the route has anybody.
        """
        closed_us = (await self._current(provider)).closed_for_us(self._now_us())
        return None if closed_us is None else closed_us / 1_000_000

    async def admit(self, provider: str) -> Admission:
        """Whether a call may go now; the one that finds the breaker half open becomes its probe."""
        if (await self._current(provider)).state(self._now_us()) != "half_open":
            return Admission(await self.closed_for_s(provider))
        try:
            return await self._claim_probe(provider)
        except Unavailable:
            return Admission(STORE_RETRY_S)

    async def note(
        self,
        provider: str,
        outcome: ProviderOutcome | None,
        latency_s: float | None,
        probe_id: str | None,
    ) -> None:
        """Take in how a call ended. Never raises: the call has ended whatever happens here."""
        view = self._views[provider]
        verdict = verdict_of(outcome)
        if probe_id is None:
            view.sample = view.sample.with_outcome(verdict, outcome, latency_s)
        else:  # what it says of the breaker is told at once, and never a second time
            view.sample = view.sample.with_latency(outcome, latency_s)
        try:
            async with asyncio.timeout(TELL_TIME_S):
                if probe_id is not None:
                    await self._end_probe(view, probe_id, outcome)
                elif verdict in ("fails", "blocks", "limits") or self._is_due(view):
                    await self._tell(view)
        except Exception:  # how the call ended must not be lost for what is thought of its provider
            logger.warning("health not told", extra={"code": provider}, exc_info=True)

    def outbox_partitions(self) -> list[Partition]:
        """Where audit events of openings and closings wait."""
        return [HEALTH_PARTITION]

    async def _current(self, provider: str) -> Breaker:
        view = self._views[provider]
        if self._is_old(view):
            async with view.reading:  # one look answers everybody who waits for it
                if self._is_old(view):
                    await self._look(view)
        return view.breaker

    def _is_old(self, view: _View) -> bool:
        if view.read_at is None:
            return True
        age = self._clock.now() - view.read_at
        return not timedelta() <= age <= FRESH  # or the clock was set back

    async def _look(self, view: _View) -> None:
        began = self._clock.now()
        try:
            async with asyncio.timeout(READ_TIME_S):
                found = await self._store.breaker(view.breaker.provider)
        except (Unavailable, TimeoutError):
            logger.warning("health not read", extra={"code": view.breaker.provider})
        else:
            if found.revision >= view.breaker.revision:  # a lagging read brings nothing new
                view.breaker = found
        view.read_at = began

    async def _claim_probe(self, provider: str) -> Admission:
        view = self._views[provider]
        probe_id = self._clock.new_id()
        for _ in range(PUTS_MAX):
            standing = await self._store.breaker(provider)
            now_us = self._now_us()
            closed_us = standing.closed_for_us(now_us)
            if standing.state(now_us) != "half_open" or closed_us is not None:
                self._saw(view, standing)
                return Admission(None if closed_us is None else closed_us / 1_000_000)
            if await self._put(view, standing, probing(standing, probe_id, now_us, self._open_us)):
                return Admission(None, probe_id)
        return Admission(STORE_RETRY_S)

    async def _end_probe(self, view: _View, probe_id: str, outcome: ProviderOutcome | None) -> None:
        for _ in range(PUTS_MAX):
            standing = await self._store.breaker(view.breaker.provider)
            if standing.probe_id != probe_id:
                return  # it took so long that it was given up
            ended = probed(standing, verdict_of(outcome), outcome, self._now_us(), self._open_us)
            if await self._put(view, standing, ended):
                return
        raise Unavailable("The end of a probe could not be told.")

    def _is_due(self, view: _View) -> bool:
        return view.told_at is None or self._clock.now() - view.told_at >= TELL_EVERY

    async def _tell(self, view: _View) -> None:
        """Merge what was seen into the stored breaker; whoever comes meanwhile joins the next."""
        async with view.telling:
            sample, view.sample = view.sample, Sample()
            if sample == Sample():
                return  # somebody else has told it
            view.told_at = self._clock.now()
            for _ in range(PUTS_MAX):
                standing = await self._store.breaker(view.breaker.provider)
                after = merged(standing, sample, self._now_us(), self._open_us)
                if await self._put(view, standing, after):
                    return
        raise Unavailable("What was seen of a provider could not be told.")

    async def _put(self, view: _View, before: Breaker, after: Breaker) -> bool:
        following = replace(after, revision=before.revision + 1, change_id=self._clock.new_id())
        event = _event(before, following, self._clock.now())
        if not await self._store.put(following, event, change_between(before, following)):
            return False
        self._saw(view, following)
        if event is not None:
            level = logging.ERROR if following.is_open else logging.INFO
            logger.log(level, event.action, extra={"code": following.provider})
        return True

    def _saw(self, view: _View, breaker: Breaker) -> None:
        view.breaker, view.read_at = breaker, self._clock.now()

    def _now_us(self) -> int:
        return (self._clock.now() - _EPOCH) // _MICROSECOND

    def _iso(self, moment_us: int | None) -> str | None:
        return None if moment_us is None else iso_of(moment_us)


def _event(before: Breaker, after: Breaker, now: datetime) -> AuditEvent | None:
    """The event of an opening (also a longer one) or a closing; the rest is bookkeeping."""
    if (before.is_open, before.opened) == (after.is_open, after.opened):
        return None
    what = "opened" if after.is_open else "closed"
    return AuditEvent(
        action=f"provider.{what}.{after.revision}",
        object_id=f"provider:{after.provider}",
        actor=ACTOR,
        actor_role=ROLE,
        outcome="success",
        occurred_at=now.isoformat(),
        correlation_id=after.change_id,
        reason=after.reason or None,
        details={"opened": after.opened, "streak": after.streak, "failures": after.failures},
    )
