"""Workers that take and give back at the same time, over a store that loses, delays and lags."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.domain.token_buckets import US_PER_S, Limit, Want
from shared.errors import Unavailable
from shared.services.token_buckets import Answer, TokenBuckets
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, NoFaults
from tests.proofs.virtual_loop import VirtualLoop, now_s, pause

LIMIT = Limit("ten", 60, 60, 5)
WORKERS = 3
START = datetime(2026, 11, 15, 12, tzinfo=UTC)
FAULTS = [Fault.NONE] * 6 + [Fault.LOST, Fault.REFUSED, Fault.STALE, Fault.THROTTLED]


class _Clock:
    """The Clock port on the time of the virtual loop."""

    def __init__(self) -> None:
        self._ids = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=now_s())

    def new_id(self) -> str:
        self._ids += 1
        return str(self._ids)


class _Mixed(NoFaults):
    """Faults in the order drawn; every call takes a moment, so that others come between."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = iter(faults)

    async def next(self, call: str) -> Fault:
        await pause(0.003)
        return next(self._faults, Fault.NONE)


steps = st.tuples(
    st.integers(0, WORKERS - 1),
    st.integers(0, 3_000),  # comes after so many milliseconds
    st.integers(1, 5),
    st.booleans(),  # gives back at once
)


@given(st.lists(st.sampled_from(FAULTS), max_size=60), st.lists(steps, min_size=1, max_size=25))
def test_interleaved_workers_never_keep_more_than_the_limit(
    faults: list[Fault], asks: list[tuple[int, int, int, bool]]
) -> None:
    kept: list[tuple[float, float, int]] = []

    async def one(worker: TokenBuckets, after_ms: int, tokens: int, returns: bool) -> None:
        await pause(after_ms / 1_000)
        began_s = now_s()
        try:
            answer: Answer = await worker.take("p", [Want("d", LIMIT, tokens)])
            if answer.taken and returns:
                await worker.give_back("p", answer.receipts)
            elif answer.taken:
                kept.append((began_s, now_s(), tokens))
        except Unavailable:
            return  # it is not known whether it was taken or given back: nothing was kept

    async def play() -> None:
        clock, connection = _Clock(), FakeConnection(_Mixed(faults)).as_connection()
        workers = [TokenBuckets(CosmosTokenBuckets(connection), clock) for _ in range(WORKERS)]
        await asyncio.gather(
            *(one(workers[which], ms, n, returns) for which, ms, n, returns in asks)
        )

    VirtualLoop().run(play())  # type: ignore[abstract]  # it needs no sockets
    for began_s, _, _ in kept:
        for _, ended_s, _ in kept:
            inside = sum(n for first, last, n in kept if began_s <= first and last <= ended_s)
            stretch_us = round((ended_s - began_s) * US_PER_S)
            most = LIMIT.burst + stretch_us * LIMIT.tokens // (LIMIT.period_s * US_PER_S)
            assert inside <= most, (faults, asks, kept)
