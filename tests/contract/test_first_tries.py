"""First tries of clients without keys over their port: a fake container, and Cosmos DB."""

import uuid

import pytest

from shared.adapters.cosmos_first_tries import REPEATED_WITHIN, CosmosFirstTries
from tests.contract.cosmos_stores import Stores, stores
from tests.fakes.clock import FakeClock

__all__ = ["stores"]

MIA, AVA = "tenant.mia", "tenant.ava"
WITHIN_S = REPEATED_WITHIN.total_seconds()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tries(stores: Stores, clock: FakeClock) -> CosmosFirstTries:
    return CosmosFirstTries(stores.connection, clock)


@pytest.fixture
def words() -> str:
    return uuid.uuid4().hex


async def test_key_is_found_by_the_same_person_and_words_alone(
    tries: CosmosFirstTries, words: str
) -> None:
    await tries.note(MIA, words, "k1")
    assert await tries.find(MIA, words) == "k1"
    assert await tries.find(AVA, words) is None
    assert await tries.find(MIA, uuid.uuid4().hex) is None


async def test_newer_first_try_takes_the_place_of_the_older(
    tries: CosmosFirstTries, clock: FakeClock, words: str
) -> None:
    await tries.note(MIA, words, "k1")
    clock.advance(WITHIN_S)
    await tries.note(MIA, words, "k2")
    clock.advance(WITHIN_S)
    assert await tries.find(MIA, words) == "k2"


async def test_first_try_is_forgotten_when_no_client_repeats_any_more(
    tries: CosmosFirstTries, clock: FakeClock, words: str
) -> None:
    await tries.note(MIA, words, "k1")
    clock.advance(WITHIN_S + 1)
    assert await tries.find(MIA, words) is None


async def test_stored_first_try_says_when_it_is_dropped(
    tries: CosmosFirstTries, stores: Stores, words: str
) -> None:
    await tries.note(MIA, words, "k1")
    container = await stores.connection.container("limits")
    stored = await container.read_item("first_try", f"first_try|{MIA}|{words}")
    assert stored["ttl"] == 900
