"""The health of providers over its port, and several workers that watch one provider."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown
from shared.domain.provider_health import HEALTH_PARTITION, US_PER_S, Breaker
from shared.domain.provider_notices import BreakerChange, change_between
from shared.ports.provider_health import ProviderHealthStore
from shared.services.provider_health import TELL_EVERY, ProviderHealths
from tests.contract.cosmos_stores import Outage, Stores, event_of, stores
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.faults import Fault, Faults, ScriptedFaults
from tests.fakes.provider_health import FakeProviderHealth

__all__ = ["stores"]
WORKED = Delivered((), None)
BLOCKED = NotDelivered(Failure.PROVIDER_BLOCKED, Billed.NOTHING, "blocked")
OPEN_FOR = timedelta(seconds=30)
CHANGES_MAX = 100  # more than the tests of this module leave


@pytest.fixture
def store(stores: Stores) -> ProviderHealthStore:
    if isinstance(stores.audit, FakeAuditLog):
        return FakeProviderHealth(FakeConnection())
    return CosmosProviderHealth(stores.connection)


def breaker(revision: int = 1, **values: object) -> Breaker:
    made = Breaker(f"p{uuid.uuid4().hex}", revision, change_id=uuid.uuid4().hex)
    return replace(made, **values)  # type: ignore[arg-type]


async def test_provider_that_nobody_told_of_is_closed(store: ProviderHealthStore) -> None:
    assert await store.breaker("nobody") == Breaker("nobody")


async def test_breaker_is_read_back_as_it_was_put(store: ProviderHealthStore) -> None:
    first = breaker(latencies_ms=(3, 4))
    assert await store.put(first, None)
    second = replace(first, revision=2, is_open=True, until_us=7, change_id="next")
    assert await store.put(second, event_of(first.provider, "provider.opened.2"))
    assert await store.breaker(first.provider) == second


async def test_put_of_a_revision_that_was_taken_changes_nothing(
    store: ProviderHealthStore,
) -> None:
    first = breaker()
    assert await store.put(first, None)
    assert not await store.put(replace(first, change_id="rival"), None)
    assert not await store.put(replace(first, revision=3, change_id="rival"), None)
    assert await store.breaker(first.provider) == first


def opened(closed: Breaker, since_us: int) -> tuple[Breaker, BreakerChange]:
    """The revision after one that is closed, and what is to be announced of it."""
    after = replace(closed, revision=closed.revision + 1, is_open=True, reason="provider_blocked")
    after = replace(after, since_us=since_us, until_us=since_us + US_PER_S, change_id="opened")
    change = change_between(closed, after)
    assert change is not None
    return after, change


async def test_changes_are_left_until_they_have_been_announced_oldest_first(
    store: ProviderHealthStore,
) -> None:
    first, second = breaker(), breaker()
    later, early = opened(first, 7 * US_PER_S), opened(second, 5 * US_PER_S)
    for before, (after, change) in ((first, later), (second, early)):
        assert await store.put(before, None)
        assert await store.put(after, event_of(after.provider, "provider.opened.2"), change)
    assert await unannounced(store, first, second) == [early[1], later[1]]
    assert len(await store.changes(1)) == 1
    for _ in range(2):
        await store.announced(early[1])
    assert await unannounced(store, first, second) == [later[1]]


async def test_change_is_left_once_with_the_revision_that_made_it(
    store: ProviderHealthStore,
) -> None:
    first = breaker()
    after, change = opened(first, 7 * US_PER_S)
    await store.put(first, None)
    for _ in range(2):  # an answer was lost
        assert await store.put(after, None, change)
    rival, other = opened(first, 8 * US_PER_S)
    assert not await store.put(replace(rival, change_id="rival"), None, other)
    assert await unannounced(store, first) == [change]


async def unannounced(store: ProviderHealthStore, *breakers: Breaker) -> list[BreakerChange]:
    """What is left of these breakers' changes."""
    names = {each.provider for each in breakers}
    return [each for each in await store.changes(CHANGES_MAX) if each.provider in names]


class Bench:
    """Workers over one container in memory."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.clock = FakeClock()
        self.connection = FakeConnection(faults)
        self.container = self.connection.container("ledger")

    def worker(self) -> ProviderHealths:
        store = CosmosProviderHealth(self.connection.as_connection())
        return ProviderHealths(store, self.clock, ("p",), OPEN_FOR)

    def events(self) -> list[str]:
        documents = self.container.partitions.get(HEALTH_PARTITION.key, {}).values()
        return [each["event"]["action"] for each in documents if each["type"] == "outbox"]


async def test_healthy_provider_costs_a_write_a_minute() -> None:
    bench = Bench()
    worker = bench.worker()
    for _ in range(200):
        await worker.note("p", WORKED, 1.0, None)
        bench.clock.advance(TELL_EVERY.total_seconds() / 100)
    assert bench.container.commits <= 2
    assert bench.events() == []
    assert (await worker.snapshot())["p"].latency_s == 1.0


async def test_block_is_seen_by_every_worker_within_a_second_and_has_one_event() -> None:
    bench = Bench()
    first, second = bench.worker(), bench.worker()
    assert await second.closed_for_s("p") is None
    await asyncio.gather(*(first.note("p", BLOCKED, None, None) for _ in range(5)))
    bench.clock.advance(1.1)
    assert await second.closed_for_s("p") is not None
    health = (await second.snapshot())["p"]
    assert (health.state, health.reason) == ("open", "provider_blocked")
    assert health.until == "2026-11-15T12:02:00+00:00"
    assert bench.events() == ["provider.opened.1"]


async def test_one_probe_goes_whatever_the_number_of_workers() -> None:
    bench = Bench()
    workers = [bench.worker() for _ in range(4)]
    await workers[0].note("p", BLOCKED, None, None)
    bench.clock.advance(121)
    crowd = await asyncio.gather(*(each.admit("p") for each in workers * 8))
    (probe,) = [each for each in crowd if each.wait_s is None]
    assert probe.probe_id is not None
    await workers[1].note("p", WORKED, 2.0, probe.probe_id)
    bench.clock.advance(1.1)
    assert [each.wait_s for each in [await w.admit("p") for w in workers]] == [None] * 4
    assert bench.events() == ["provider.opened.1", "provider.closed.3"]


async def test_probe_that_was_lost_is_given_up_after_a_while() -> None:
    bench = Bench()
    first, second = bench.worker(), bench.worker()
    await first.note("p", BLOCKED, None, None)
    bench.clock.advance(121)
    lost = await first.admit("p")
    assert lost.probe_id
    assert (await second.admit("p")).wait_s == 5.0
    bench.clock.advance(301)
    probe = await second.admit("p")
    assert probe.probe_id not in (None, lost.probe_id)
    await first.note("p", Unknown("late"), None, lost.probe_id)  # decides nothing any more
    await second.note("p", WORKED, None, probe.probe_id)
    assert (await second.snapshot())["p"].state == "closed"


async def test_probe_that_failed_long_ago_opens_nothing_again() -> None:
    bench = Bench()
    first, second = bench.worker(), bench.worker()
    await first.note("p", BLOCKED, None, None)
    bench.clock.advance(121)
    await first.note("p", BLOCKED, None, (await first.admit("p")).probe_id)
    bench.clock.advance(241)
    await second.note("p", WORKED, 3.0, (await second.admit("p")).probe_id)
    bench.clock.advance(3_600)
    for worker in (first, second):
        await worker.note("p", WORKED, 1.0, None)
    bench.clock.advance(1.1)
    assert (await second.snapshot())["p"].state == "closed"
    assert bench.events() == ["provider.opened.1", "provider.opened.3", "provider.closed.5"]
    latencies_ms = (
        await CosmosProviderHealth(bench.connection.as_connection()).breaker("p")
    ).latencies_ms
    assert sorted(latencies_ms) == [1_000, 1_000, 3_000]


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REFUSED])
async def test_opening_whose_answer_was_lost_has_one_event(fault: Fault) -> None:
    bench = Bench(ScriptedFaults("batch", fault))
    await bench.worker().note("p", BLOCKED, None, None)
    assert bench.events() == ["provider.opened.1"]


async def test_calls_go_on_while_nobody_can_say_how_a_provider_is() -> None:
    worker = Bench(Outage()).worker()
    await worker.note("p", BLOCKED, None, None)
    assert await worker.closed_for_s("p") is None
    assert (await worker.admit("p")).wait_s is None


async def test_workers_with_failures_at_the_same_time_count_them_all() -> None:
    bench = Bench()
    workers = [bench.worker() for _ in range(5)]
    await asyncio.gather(*(each.note("p", Unknown("gone"), None, None) for each in workers))
    assert (await bench.worker().snapshot())["p"].state == "open"
