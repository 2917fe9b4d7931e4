"""Buckets that go on deciding while the shared ones are silent."""

from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.domain.token_buckets import Limit, Want
from shared.services.bucket_fallback import SILENT_FOR, BucketFallback
from shared.services.token_buckets import TokenBuckets
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, NoFaults

LIMIT = Limit("ten", 10, 3_600, 10)
PARTITION = "p"


class Switch(NoFaults):
    """A store that can be silenced; it counts what it is asked."""

    def __init__(self) -> None:
        self.silent = False
        self.asked = 0

    async def next(self, call: str) -> Fault:
        self.asked += 1
        return Fault.UNREACHABLE if self.silent else Fault.NONE


class Bench:
    def __init__(self) -> None:
        self.switch, self.clock = Switch(), FakeClock()
        store = CosmosTokenBuckets(FakeConnection(self.switch).as_connection())
        self.shared = TokenBuckets(store, self.clock)
        self.buckets = BucketFallback(self.shared, self.clock)

    async def take(self, tokens: int) -> bool:
        wants = [Want("d", LIMIT, tokens)]
        self.last = await self.buckets.take(PARTITION, wants)
        return self.last.taken

    async def left(self) -> int:
        (standing,) = await self.shared.standings(PARTITION, [Want("d", LIMIT, 1)])
        return standing.left


async def test_own_buckets_decide_while_the_shared_ones_are_silent() -> None:
    bench = Bench()
    assert await bench.take(6)
    bench.switch.silent = True
    assert await bench.take(10)
    assert not await bench.take(1)


async def test_silent_store_is_left_alone_for_a_while() -> None:
    bench = Bench()
    bench.switch.silent = True
    await bench.take(1)
    asked = bench.switch.asked
    await bench.take(1)
    assert bench.switch.asked == asked
    bench.clock.advance(SILENT_FOR.total_seconds())
    await bench.take(1)
    assert bench.switch.asked > asked


async def test_shared_buckets_get_nothing_back_that_the_own_ones_gave() -> None:
    bench = Bench()
    assert await bench.take(6)
    bench.switch.silent = True
    assert await bench.take(4)
    bench.switch.silent = False
    bench.clock.advance(SILENT_FOR.total_seconds())
    await bench.buckets.give_back(PARTITION, bench.last.receipts)
    assert await bench.left() == 4


async def test_what_was_taken_of_the_shared_buckets_is_given_back() -> None:
    bench = Bench()
    assert await bench.take(6)
    await bench.buckets.give_back(PARTITION, bench.last.receipts)
    assert await bench.left() == 10
