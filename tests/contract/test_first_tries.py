"""First tries of clients without keys over their port: in memory, and in Cosmos DB."""

import asyncio
import uuid

import pytest

from shared.adapters.cosmos_first_tries import NEWEST_MAX, REPEATED_WITHIN, CosmosFirstTries
from shared.ports.first_tries import FirstTries, FirstTry
from tests.contract.cosmos_stores import Stores, stores
from tests.fakes.clock import FakeClock
from tests.fakes.first_tries import FakeFirstTries
from tests.fakes.records import FakeRecords

__all__ = ["stores"]

MIA, AVA = "tenant.mia", "tenant.ava"
WITHIN_S = REPEATED_WITHIN.total_seconds()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tries(stores: Stores, clock: FakeClock) -> FirstTries:
    if isinstance(stores.records, FakeRecords):
        return FakeFirstTries(clock)
    return CosmosFirstTries(stores.connection, clock)


@pytest.fixture
def words() -> str:
    return uuid.uuid4().hex


async def test_first_tries_of_a_person_and_their_words_come_newest_first(
    tries: FirstTries, clock: FakeClock, words: str
) -> None:
    for key in ("k1", "k2", "k3"):
        await tries.note(MIA, words, FirstTry(key))
        clock.advance(1)
    await tries.note(AVA, words, FirstTry("hers"))
    await tries.note(MIA, uuid.uuid4().hex, FirstTry("other"))
    assert await tries.newest(MIA, words) == [FirstTry("k3"), FirstTry("k2"), FirstTry("k1")]


async def test_first_try_is_forgotten_when_no_client_repeats_any_more(
    tries: FirstTries, clock: FakeClock, words: str
) -> None:
    await tries.note(MIA, words, FirstTry("k1"))
    clock.advance(WITHIN_S)
    assert await tries.newest(MIA, words) == [FirstTry("k1")]
    clock.advance(1)
    assert await tries.newest(MIA, words) == []


async def test_one_of_a_crowd_of_repeats_has_a_first_try(tries: FirstTries, words: str) -> None:
    seen = FirstTry("k1")
    await tries.note(MIA, words, seen)
    claimed = await asyncio.gather(*(tries.claim(MIA, words, seen, 1) for _ in range(8)))
    assert claimed.count(True) == 1
    assert await tries.newest(MIA, words) == [FirstTry("k1", 1)]
    assert not await tries.claim(MIA, words, seen, 2)
    assert await tries.claim(MIA, words, FirstTry("k1", 1), 2)


async def test_first_try_that_is_gone_is_nobodys(tries: FirstTries, words: str) -> None:
    assert not await tries.claim(MIA, words, FirstTry("gone"), 1)


async def test_no_more_than_the_newest_are_looked_at(
    tries: FirstTries, clock: FakeClock, words: str
) -> None:
    for number in range(NEWEST_MAX + 1):
        await tries.note(MIA, words, FirstTry(f"k{number}"))
        clock.advance(1)
    newest = await tries.newest(MIA, words)
    assert (len(newest), newest[0].key) == (NEWEST_MAX, f"k{NEWEST_MAX}")


async def test_stored_first_try_says_when_it_is_dropped(
    stores: Stores, clock: FakeClock, words: str
) -> None:
    await CosmosFirstTries(stores.connection, clock).note(MIA, words, FirstTry("k1"))
    container = await stores.connection.container("limits")
    stored = await container.read_item("k1", f"first_try|{MIA}|{words}")
    assert stored["ttl"] == WITHIN_S
