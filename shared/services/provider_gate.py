"""The gate in front of each provider: its health, its limits for all workers, slots of this one.

Starts are tokens in buckets that all workers share; calls under way are slots of this worker, for a
worker that dies cannot give back what it holds elsewhere. Whoever is not admitted is told when to
ask again and waits in a durable timer. When the shared buckets do not answer, the worker's own
apply: every worker then has the whole limit, and the provider's own 429 is the last word.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from shared.domain.attempts import CANCELLED_IN_FLIGHT, ProviderOutcome, Unknown
from shared.domain.token_buckets import Lane, Limit, Receipt, Want
from shared.domain.waiting_lines import Priority
from shared.ports import Clock
from shared.services.bucket_fallback import BucketFallback
from shared.services.provider_health import ProviderHealths
from shared.services.token_buckets import TokenBuckets
from shared.services.worker_buckets import WorkerBuckets
from shared.services.worker_slots import WorkerSlots

SLOT_WAIT_S = 2.0  # longer waits belong in the orchestrator's durable timer, not in an activity
NEVER_WAIT_S = 3_600.0  # a limit that can never be met was configured so: look again in an hour
MINUTE_S, DAY_S = 60, 86_400
# A quarter of a minute's starts at once. The rows of a batch come in waves, as long as their calls:
# with less at once they get a quarter of the limit, with more singles wait longer (bench fairness).
BURST_SHARE = 4
BUCKETS = "starts"  # the document of a provider, alone in its partition
SENT: Final = Unknown(CANCELLED_IN_FLIGHT)  # the outcome of a call until there is another


@dataclass(frozen=True)
class GateLimit:
    """What may be asked of a provider: calls at a time by one worker, starts by all together."""

    concurrent_max: int
    starts_per_minute: int
    starts_per_day: int | None = None
    model_starts_per_minute: Mapping[str, int] = field(default_factory=dict)  # of a deployment

    def quotas(self, model: str) -> tuple[tuple[Limit, int], ...]:
        """The buckets that one start takes a token of, each with what a provider allows."""
        found = [_per_minute("minute", self.starts_per_minute)]
        if self.starts_per_day is not None:
            found.append((Limit.strict("day", self.starts_per_day, DAY_S), self.starts_per_day))
        if model in self.model_starts_per_minute:
            found.append(_per_minute(f"minute:{model}", self.model_starts_per_minute[model]))
        return tuple(found)


def _per_minute(name: str, quota: int) -> tuple[Limit, int]:
    return Limit.strict(name, quota, MINUTE_S, BURST_SHARE), quota


@dataclass(frozen=True)
class Wait:
    """Not now: ask again after so many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class _Entered:
    """What a call that goes on in this task holds."""

    department_id: str
    probe_id: str | None
    receipts: tuple[Receipt, ...]  # of its start


_entered: ContextVar[tuple[_Entered, ...]] = ContextVar("entered", default=())


def partition_of_provider(provider: str) -> str:
    """Where the buckets of a provider are kept."""
    return f"provider|{provider}"


class ProviderGate:
    """Admits starts; `enter` and `leave` are called by one and the same task."""

    def __init__(
        self,
        limits: Mapping[str, GateLimit],
        clock: Clock,
        buckets: TokenBuckets | None = None,
        health: ProviderHealths | None = None,
    ) -> None:
        """Without buckets or health (in proofs and tests) this worker is the only one."""
        self._limits = dict(limits)
        shared = buckets or TokenBuckets(WorkerBuckets(), clock)
        self._buckets = BucketFallback(shared, clock)
        self._health = health
        self._slots = {name: WorkerSlots(limit.concurrent_max) for name, limit in limits.items()}

    @property
    def limits(self) -> Mapping[str, GateLimit]:
        return self._limits

    def slots(self, provider: str) -> WorkerSlots:
        """The slots of this worker."""
        return self._slots[provider]

    async def enter(
        self, provider: str, model: str, department_id: str, priority: Priority
    ) -> Wait | None:
        """None when admitted (call `leave` after); otherwise when to ask again, and why."""
        if self._health is not None:
            closed_s = await self._health.closed_for_s(provider)
            if closed_s is not None:
                return Wait(closed_s, "provider_unhealthy")
        slots = self._slots[provider]
        if not await slots.acquire(priority, department_id, SLOT_WAIT_S):
            return Wait(SLOT_WAIT_S, "provider_slots")
        admitted = False
        try:
            wait = await self._start(provider, model, department_id, priority)
            admitted = wait is None
            return wait
        finally:
            if not admitted:
                slots.release(department_id)

    async def leave(
        self, provider: str, outcome: ProviderOutcome | None, latency_s: float | None = None
    ) -> None:
        """Give the slot back, and without an outcome the start, too: then nothing was sent."""
        *others, entered = _entered.get()
        _entered.set(tuple(others))
        self._slots[provider].release(entered.department_id)
        if self._health is not None:
            await self._health.note(provider, outcome, latency_s, entered.probe_id)
        if outcome is None:
            await self._buckets.give_back(partition_of_provider(provider), entered.receipts)

    async def _start(
        self, provider: str, model: str, department_id: str, priority: Priority
    ) -> Wait | None:
        wants = [Want(BUCKETS, limit, 1) for limit, _ in self._limits[provider].quotas(model)]
        partition = partition_of_provider(provider)
        answer = await self._buckets.take(partition, wants, Lane(priority, department_id))
        if not answer.taken:
            wait_s = NEVER_WAIT_S if answer.wait_s is None else answer.wait_s
            return Wait(wait_s, "provider_limit")
        probe_id = None
        if self._health is not None:
            probe = await self._health.admit(provider)
            if probe.wait_s is not None:
                await self._buckets.give_back(partition, answer.receipts)
                return Wait(probe.wait_s, "provider_unhealthy")
            probe_id = probe.probe_id
        _entered.set((*_entered.get(), _Entered(department_id, probe_id, answer.receipts)))
        return None
