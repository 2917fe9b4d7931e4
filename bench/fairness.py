"""Fairness: how long a single request waits while another department runs 1,000 rows.

The gate is the app's own, in three workers over one store that takes 5 ms; calls, durable timers
and the waves of a batch are played in virtual time, so that an hour takes seconds. The baseline is
the same gate without the line: whoever asks at the right moment gets the start.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.durable_generation import (
    CHUNKS_IN_FLIGHT,
    PAUSE_S_MIN,
    WAVE_ROWS,
    WAVE_ROWS_FIRST,
)
from shared.domain.attempts import Delivered
from shared.domain.ids import CHUNK_ROWS
from shared.domain.token_buckets import BucketDocument
from shared.domain.waiting_lines import Priority
from shared.services.provider_gate import GateLimit, ProviderGate
from shared.services.token_buckets import TokenBuckets
from shared.services.worker_buckets import WorkerBuckets

SEED = 4
WORKERS = 3
ROWS = 1_000
SINGLES = 200
STORE_S = 0.005
CALL_S = (10.0, 30.0)  # gpt-image-2, see its capability row
TIMER_LATE_S = 1.0  # at most; the storage provider's timers are not exact
STARTS_PER_MINUTE = (6, 60)
CALLS_PER_WORKER = 100  # so that the limit decides, not the slots
START = datetime(2026, 11, 22, tzinfo=UTC)


async def run() -> dict[str, Any]:
    """Each rate: idle, beside the batch, and beside the batch without the line."""
    print(f"  seed {SEED}")
    figures: dict[str, Any] = {}
    for starts in STARTS_PER_MINUTE:
        for label, play in (
            ("idle", Play(starts, rows=0)),
            ("beside 1,000 rows", Play(starts)),
            ("the same without the line", Play(starts, in_line=False)),
        ):
            await asyncio.to_thread(play.run)
            figures[f"{starts}/min, {label}: wait p50 / p99 s"] = play.waits()
            if play.rows:
                figures[f"{starts}/min, {label}: share of the limit that rows get"] = play.used()
                figures[f"{starts}/min, {label}: attempts asked per row"] = play.asks_per_row()
    return figures


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: the time that a loop would have slept is over at once."""

    slept_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.slept_s += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only while everybody sleeps."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.slept_s


class _LoopClock:
    """The Clock port on the time of the loop that runs."""

    def __init__(self) -> None:
        self._ids = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def new_id(self) -> str:
        self._ids += 1
        return str(self._ids)


class _DistantStore:
    """Buckets of all workers, as far away as Cosmos DB."""

    def __init__(self) -> None:
        self._buckets = WorkerBuckets()

    async def read(self, partition: str, ids: Sequence[str]) -> list[BucketDocument]:
        await asyncio.sleep(STORE_S)
        return await self._buckets.read(partition, ids)

    async def write(self, partition: str, documents: Sequence[BucketDocument]) -> bool:
        await asyncio.sleep(STORE_S)
        return await self._buckets.write(partition, documents)


@dataclass
class Play:
    """One run: a batch of `rows` and SINGLES single requests of another department."""

    starts_per_minute: int
    rows: int = ROWS
    in_line: bool = True
    single_waits_s: list[float] = field(default_factory=list)
    row_starts_s: list[float] = field(default_factory=list)
    asks: int = 0

    def run(self) -> None:
        self._random = random.Random(SEED)
        loop = _VirtualLoop()
        try:
            loop.run_until_complete(self._play())
        finally:
            loop.close()

    def waits(self) -> str:
        cuts = statistics.quantiles(self.single_waits_s, n=100, method="inclusive")
        return f"{cuts[49]:.1f} / {cuts[98]:.1f}"

    def used(self) -> float:
        """The rows' share of what the limit allows, from their first start to their last."""
        lasted_s = max(self.row_starts_s) - min(self.row_starts_s)
        return round(len(self.row_starts_s) / (lasted_s * self.starts_per_minute / 60), 2)

    def asks_per_row(self) -> float:
        return round(self.asks / self.rows, 1)

    async def _play(self) -> None:
        clock, store = _LoopClock(), _DistantStore()
        limit = {"p": GateLimit(CALLS_PER_WORKER, self.starts_per_minute)}
        self._gates = [
            ProviderGate(limit, clock, TokenBuckets(store, clock)) for _ in range(WORKERS)
        ]
        batch = asyncio.create_task(self._batch())
        lasts_s = ROWS / self.starts_per_minute * 60
        await asyncio.gather(
            *(self._single(0.1 * lasts_s + 0.8 * lasts_s * n / SINGLES) for n in range(SINGLES))
        )
        await batch

    async def _batch(self) -> None:
        chunks = [CHUNK_ROWS] * (self.rows // CHUNK_ROWS)
        for first in range(0, len(chunks), CHUNKS_IN_FLIGHT):
            await asyncio.gather(
                *(self._chunk(rows) for rows in chunks[first : first + CHUNKS_IN_FLIGHT])
            )

    async def _chunk(self, rows: int) -> None:
        """What `carry_out` of the orchestrator does with the rows of a chunk."""
        due_s, width = [0.0] * rows, WAVE_ROWS_FIRST
        while due_s:
            due_s.sort()
            now_s = asyncio.get_running_loop().time()
            wave = [each for each in due_s if each <= now_s][:width]
            if not wave:
                await self._timer(due_s[0] - now_s)
                continue
            waits_s = await asyncio.gather(
                *(self._attempt(Priority.BATCH, "marketing") for _ in wave)
            )
            now_s = asyncio.get_running_loop().time()
            later = [now_s + max(PAUSE_S_MIN, wait_s) for wait_s in waits_s if wait_s is not None]
            due_s = due_s[len(wave) :] + later
            done = len(wave) - len(later)
            width = max(1, done) if later else min(WAVE_ROWS, width * 2)

    async def _single(self, comes_s: float) -> None:
        await asyncio.sleep(comes_s)
        while (wait_s := await self._attempt(Priority.INTERACTIVE, "legal", comes_s)) is not None:
            await self._timer(max(PAUSE_S_MIN, wait_s))

    async def _timer(self, seconds: float) -> None:
        await asyncio.sleep(seconds + self._random.uniform(0, TIMER_LATE_S))

    async def _attempt(
        self, priority: Priority, department_id: str, since_s: float | None = None
    ) -> float | None:
        """The wait; None when the call was made, or, of a single request, may begin."""
        if not self.in_line:
            priority, department_id = Priority.INTERACTIVE, "everybody"
        self.asks += since_s is None
        gate = self._random.choice(self._gates)
        wait = await gate.enter("p", "m", department_id, priority)
        if wait is not None:
            return wait.seconds
        now_s = asyncio.get_running_loop().time()
        if since_s is None:
            self.row_starts_s.append(now_s)
        else:
            self.single_waits_s.append(now_s - since_s)
        await asyncio.sleep(self._random.uniform(*CALL_S))
        await gate.leave("p", Delivered((), None))
        return None
