"""First tries of clients without keys over their port: a fake container, and Cosmos DB."""

import asyncio
import uuid

import pytest

from shared.adapters.cosmos_first_tries import (
    OVERTAKEN_WITHIN,
    REPEATED_WITHIN,
    CosmosFirstTries,
)
from tests.contract.cosmos_stores import Stores, stores
from tests.fakes.clock import FakeClock

__all__ = ["stores"]

MIA, AVA = "tenant.mia", "tenant.ava"
WITHIN_S = REPEATED_WITHIN.total_seconds()
OVERTAKEN_S = OVERTAKEN_WITHIN.total_seconds()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tries(stores: Stores, clock: FakeClock) -> CosmosFirstTries:
    return CosmosFirstTries(stores.connection, clock)


@pytest.fixture
def words() -> str:
    return uuid.uuid4().hex


async def test_repeat_has_the_key_of_the_same_person_and_words_alone(
    tries: CosmosFirstTries, words: str
) -> None:
    assert await tries.of_first(MIA, words, "k1") == "k1"
    assert await tries.of_repeat(MIA, words, "k2") == "k1"
    assert await tries.of_repeat(AVA, words, "k3") == "k3"
    assert await tries.of_repeat(MIA, uuid.uuid4().hex, "k4") == "k4"


async def test_newer_first_try_takes_the_place_of_the_older(
    tries: CosmosFirstTries, clock: FakeClock, words: str
) -> None:
    await tries.of_first(MIA, words, "k1")
    clock.advance(WITHIN_S)
    assert await tries.of_first(MIA, words, "k2") == "k2"
    clock.advance(WITHIN_S)
    assert await tries.of_repeat(MIA, words, "k3") == "k2"


async def test_first_try_is_forgotten_when_no_client_repeats_any_more(
    tries: CosmosFirstTries, clock: FakeClock, words: str
) -> None:
    await tries.of_first(MIA, words, "k1")
    clock.advance(WITHIN_S + 1)
    assert await tries.of_repeat(MIA, words, "k2") == "k2"
    assert await tries.of_repeat(MIA, words, "k3") == "k2"


async def test_first_try_that_its_repeat_overtook_joins_it_once(
    tries: CosmosFirstTries, clock: FakeClock, words: str
) -> None:
    assert await tries.of_repeat(MIA, words, "k1") == "k1"
    clock.advance(OVERTAKEN_S)
    assert await tries.of_first(MIA, words, "k2") == "k1"
    assert await tries.of_first(MIA, words, "k3") == "k3"


async def test_first_try_long_after_a_repeat_is_another_request(
    tries: CosmosFirstTries, clock: FakeClock, words: str
) -> None:
    await tries.of_repeat(MIA, words, "k1")
    clock.advance(OVERTAKEN_S + 1)
    assert await tries.of_first(MIA, words, "k2") == "k2"


async def test_crowd_of_repeats_and_a_late_first_try_have_one_key(
    tries: CosmosFirstTries, words: str
) -> None:
    repeats = [tries.of_repeat(MIA, words, f"k{n}") for n in range(8)]
    keys = await asyncio.gather(*repeats)
    assert len({*keys, await tries.of_first(MIA, words, "late")}) == 1


async def test_stored_first_try_says_when_it_is_dropped(
    tries: CosmosFirstTries, stores: Stores, words: str
) -> None:
    await tries.of_first(MIA, words, "k1")
    container = await stores.connection.container("limits")
    stored = await container.read_item("first_try", f"first_try|{MIA}|{words}")
    assert stored["ttl"] == 900
