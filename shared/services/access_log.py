"""The access log: every authorisation decision becomes an audit event, and none costs too much.

A denial, and a read of what is other people's, stands in the log before it is answered. Everything
else that was allowed is counted and written some seconds later, one event per caller: a change has
its own event in the transaction that makes it. Why: docs/adr/0029-access-log.md.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from shared.domain.access_decisions import Decisions
from shared.domain.access_events import (
    NOBODY,
    USES_PER_EVENT_MAX,
    Actor,
    Moment,
    Target,
    Use,
    decision_event,
    partition_for,
    summary_event,
)
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.errors import Unavailable
from shared.ports import AuditLog, Clock

logger = logging.getLogger("eig.access_log")

SUMMARY_AFTER_S: Final = 5.0  # how much of what was allowed a worker may lose when it dies
STORE_TIME_S: Final = 10.0  # as long as the adapter sends a write again
GROUP_MAX: Final = 40  # events of one transaction; of 48 KB each they would fill its 2 MB
DENIALS_TOLD_MAX: Final = 20  # of one caller by themselves in DENIALS_WINDOW; then counted
DENIALS_WINDOW: Final = timedelta(minutes=1)
CALLERS_MAX: Final = 10_000  # whose denials are remembered, about 200 bytes each
USES_HELD_MAX: Final = 20_000  # in memory while the store is away, about 6 MB
RETRY_AFTER_S: Final = 5
ANY_OBJECT: Final = "any"  # of a denial that is counted only


@dataclass
class _Queue:
    """What waits to be written into one partition."""

    waiting: list[tuple[dict[str, Any], "asyncio.Future[None]"]] = field(default_factory=list)
    group: list[tuple[dict[str, Any], "asyncio.Future[None]"]] = field(default_factory=list)
    worker: "asyncio.Task[None] | None" = None


class AccessLog:
    """The decisions made in this worker, on their way into the log."""

    def __init__(
        self,
        log: AuditLog,
        clock: Clock,
        typed_key: bytes,
        summary_after_s: float = SUMMARY_AFTER_S,
    ) -> None:
        """`typed_key` hashes what may have been typed by somebody."""
        self._log = log
        self._clock = clock
        self._typed_key = typed_key
        self._summary_after_s = summary_after_s
        self._queues: dict[Partition, _Queue] = {}
        self._counted: dict[tuple[Actor, str], Counter[Use]] = {}
        self._counted_since: datetime | None = None
        self._kinds = 0
        self._lost = 0
        self._summing: asyncio.Task[None] | None = None
        self._denials: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    async def allowed(
        self,
        actor: Actor,
        target: Target,
        decisions: Decisions,
        correlation_id: str,
        *,
        reads: bool,
    ) -> None:
        """Log what was allowed; raises Unavailable for a sensitive read that cannot be logged."""
        if not decisions.uses:
            return  # nothing was asked for that rights decide on
        use = Use(
            "success",
            target.operation,
            "+".join(name for name, _ in decisions.uses),
            "+".join(rule for _, rule in decisions.uses),
            target.object_id(),
        )
        if reads and decisions.is_sensitive:
            await self._tell(actor, use, target.wanted(), correlation_id)
        else:
            self._count(actor, use)

    async def denied(
        self, actor: Actor, target: Target, decisions: Decisions, reason: str, correlation_id: str
    ) -> None:
        """Log a denial; raises Unavailable if that cannot be done.

        What one caller is denied beyond some times a minute is counted, without its object.
        """
        permission, rule = decisions.decisive
        key = None if rule == "not_reached" else self._typed_key
        use = Use("denied", target.operation, permission, rule, target.object_id(key), reason)
        if actor != NOBODY and self._is_told(actor.key):
            await self._tell(actor, use, target.wanted(key), correlation_id)
        else:
            self._count(actor, Use("denied", use.operation, permission, rule, ANY_OBJECT, reason))

    # --- what is told by itself ------------------------------------------------------------

    def _is_told(self, key: str) -> bool:
        """Whether a caller's denial gets an event of its own."""
        now = self._clock.now()
        since, told = self._denials.pop(key, (now, 0))
        if not timedelta() <= now - since < DENIALS_WINDOW:
            since, told = now, 0
        self._denials[key] = (since, told + 1)
        if len(self._denials) > CALLERS_MAX:
            self._denials.popitem(last=False)
        return told < DENIALS_TOLD_MAX

    async def _tell(
        self, actor: Actor, use: Use, asked_for: str | None, correlation_id: str
    ) -> None:
        now = self._clock.now()
        moment = Moment(self._clock.new_id(), now.isoformat(), correlation_id)
        event = decision_event(actor, use, moment, asked_for)
        await self._written(partition_for(actor, f"{now:%Y%m%d}"), event)

    async def _written(self, partition: Partition, event: AuditEvent) -> None:
        """Return when the log has the event; those who wait together are written together."""
        body = event.as_json()  # what the log could not take fails here, by itself
        queue = self._queues.setdefault(partition, _Queue())
        done = asyncio.get_running_loop().create_future()
        queue.waiting.append((body, done))
        if queue.worker is None:
            queue.worker = asyncio.create_task(self._write(partition, queue))
            queue.worker.add_done_callback(lambda _: self._stopped(partition, queue))
        await done

    async def _write(self, partition: Partition, queue: _Queue) -> None:
        """Write group after group until nobody waits any more."""
        while queue.waiting:
            queue.group, queue.waiting = queue.waiting[:GROUP_MAX], queue.waiting[GROUP_MAX:]
            failure = await self._failure_of(partition, [body for body, _ in queue.group])
            for _, done in queue.group:
                _end(done, failure)
        del self._queues[partition]

    def _stopped(self, partition: Partition, queue: _Queue) -> None:
        """Nobody may wait for ever for a worker that is stopped, even before it began."""
        if self._queues.get(partition) is queue:
            del self._queues[partition]
            for _, done in (*queue.group, *queue.waiting):
                _end(done, Unavailable("The worker is stopping.", retry_after_s=RETRY_AFTER_S))

    async def _failure_of(
        self, partition: Partition, bodies: list[dict[str, Any]]
    ) -> Unavailable | None:
        """None when the log has the events."""
        try:
            async with asyncio.timeout(STORE_TIME_S):
                await self._log.append(partition, bodies)
        except Exception:  # whatever it was: the request must not be answered as if it stood
            logger.exception("access log not written")
            return Unavailable("The access log cannot be written.", retry_after_s=RETRY_AFTER_S)
        return None

    # --- what is counted -------------------------------------------------------------------

    def _count(self, actor: Actor, use: Use, times: int = 1) -> None:
        uses = self._counted.setdefault((actor, use.outcome), Counter())
        if use not in uses:
            if self._kinds >= USES_HELD_MAX:
                self._lost += times
                return
            self._kinds += 1
        uses[use] += times
        self._counted_since = self._counted_since or self._clock.now()
        if self._summing is None:
            self._summing = asyncio.create_task(self._sum_up())

    async def _sum_up(self) -> None:
        """Write what was counted, time after time until nothing is left."""
        try:
            while self._counted:
                await asyncio.sleep(self._summary_after_s)
                await self.flush()
        finally:
            self._summing = None

    async def flush(self) -> None:
        """Write what was counted so far; what cannot be written is kept for the next time."""
        counted, self._counted, self._kinds = self._counted, {}, 0
        since, self._counted_since = self._counted_since or self._clock.now(), None
        if self._lost:
            logger.error("decisions not logged: too many while the log was away")
            self._lost = 0
        summaries = [
            (actor, dict(uses[start : start + USES_PER_EVENT_MAX]))
            for (actor, _), counter in counted.items()
            for uses in (list(counter.items()),)
            for start in range(0, len(uses), USES_PER_EVENT_MAX)
        ]
        outcomes = await asyncio.gather(
            *(self._summarise(actor, uses, since) for actor, uses in summaries),
            return_exceptions=True,
        )
        for (actor, uses), outcome in zip(summaries, outcomes, strict=True):
            if outcome is not None:
                self._counted_since = since
                for use, times in uses.items():
                    self._count(actor, use, times)

    async def _summarise(self, actor: Actor, uses: dict[Use, int], since: datetime) -> None:
        now = self._clock.now()
        event_id = self._clock.new_id()
        moment = Moment(event_id, now.isoformat(), event_id)
        event = summary_event(actor, uses, moment, since.isoformat())
        await self._written(partition_for(actor, f"{now:%Y%m%d}"), event)


def _end(done: "asyncio.Future[None]", failure: Unavailable | None) -> None:
    """Tell whoever still waits; those who went away are told nothing."""
    if done.done():
        return
    if failure:
        done.set_exception(failure)
    else:
        done.set_result(None)
