"""Decides, from a seed or a plan, how long every call takes and how it goes wrong."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from shared.errors import InvariantBroken, NotFound, Unavailable
from tests.fakes.faults import Crashed, Fault
from tests.proofs.virtual_loop import pause

FAULTS = tuple(fault for fault in Fault if fault not in (Fault.NONE, Fault.STALE))
LATENCY_S = 0.02
SLOW_SHARE, SLOW_S = 0.03, 20.0  # a few calls take so long that others give up on them
LATE_S = 40.0  # a request that the network delivers after its caller has gone


@dataclass
class Process:
    """One execution of an activity or of an HTTP request; a dead one makes no further call."""

    name: str
    dead: bool = False


PROCESS: ContextVar[Process] = ContextVar("process")


class Chaos:
    """The scheduler in front of every fake: the seed gives the delays and with them the order."""

    def __init__(
        self,
        seed: int,
        rate: float,
        planned: Mapping[int, Fault] | None = None,
        stale_rate: float = 0.0,
    ) -> None:
        self.random = random.Random(seed)
        self.rate = rate
        self.stale_rate = stale_rate
        self.active = True  # faults happen, and calls are counted
        self.calls = 0  # under faults
        self.called: list[str] = []  # their names, in order
        self.awaited = 0  # LATE calls that have not been carried out yet
        self.trace: list[tuple[str, str, Fault]] = []  # process, call, fault
        self.seen: Counter[str] = Counter()  # what this history is made of
        self.narrate: Callable[[str], None] | None = None
        self._planned = dict(planned or {})

    async def next(self, call: str) -> Fault:
        process = PROCESS.get()
        await pause(self._latency_s())
        if process.dead:
            raise Crashed(call)
        fault = self._choose(call)
        self.trace.append((process.name, call, fault))
        if self.narrate is not None:
            self.narrate(
                f"{process.name}: {call}" + (f" -> {fault}" if fault is not Fault.NONE else "")
            )
        if self.active:
            self.calls += 1
            self.called.append(call)
        if fault is not Fault.NONE:
            self.seen[f"fault: {fault}"] += 1
        if fault is Fault.CRASH_BEFORE:
            raise self.crash(call)
        return fault

    def crash(self, call: str) -> Crashed:
        PROCESS.get().dead = True
        return Crashed(call)

    def excuses(self, error: Exception) -> bool:
        """Whether to try again: no answer, or a read that lags behind what has been written."""
        lags = self.stale_rate > 0 and isinstance(error, InvariantBroken | NotFound)
        return lags or isinstance(error, Unavailable)

    def later(self, work: Callable[[], object]) -> None:
        def arrive() -> None:
            self.awaited -= 1
            work()

        self.awaited += 1
        asyncio.get_running_loop().call_later(self.random.random() * LATE_S, arrive)

    def note(self, kind: str) -> None:
        """Something worth counting has happened in this history."""
        self.seen[kind] += 1
        if self.narrate is not None:
            self.narrate(f"    {kind}")

    def _latency_s(self) -> float:
        slow = SLOW_S if self.random.random() < SLOW_SHARE else LATENCY_S
        return self.random.random() * slow

    def _choose(self, call: str) -> Fault:
        if not self.active:
            return Fault.NONE
        planned = self._planned.get(self.calls)
        if planned is not None:
            return planned
        if self.rate and self.random.random() < self.rate:
            return self.random.choice(FAULTS)
        if self.stale_rate and call == "read" and self.random.random() < self.stale_rate:
            return Fault.STALE
        return Fault.NONE
