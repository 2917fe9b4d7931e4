"""Repeats of clients that send no key: each joins a first try whose answer may not have come."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Caller
from shared.ports.first_tries import FirstTry
from shared.services.client_repeats import ANSWERED_WITHIN, ClientRepeats
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.first_tries import FakeFirstTries

ANSWERED_S = ANSWERED_WITHIN.total_seconds()
LIGHTHOUSE, HARBOUR = builders.request(), builders.request(prompt="a harbour")


@dataclass
class Generations:
    """Which keys have ended, and when; all others are awaited."""

    ended: dict[str, datetime] = field(default_factory=dict)

    def asked_hash(self, caller: Caller, request: GenerationRequest, charge: Charge) -> str:
        return f"{request.prompt}|{charge}"

    async def is_awaited(self, caller: Caller, key: str, answered_since: str) -> bool:
        ended_at = self.ended.get(key)
        return ended_at is None or ended_at.isoformat() >= answered_since


class Outrun(FakeFirstTries):
    """First tries that another repeat claims just before."""

    async def claim(self, user_key: str, request_hash: str, seen: FirstTry, number: int) -> bool:
        return False


@dataclass
class World:
    generations: Generations = field(default_factory=Generations)
    clock: FakeClock = field(default_factory=FakeClock)
    tries: FakeFirstTries = field(init=False)

    def __post_init__(self) -> None:
        self.tries = FakeFirstTries(self.clock)

    async def key(
        self, number: int, request: GenerationRequest = LIGHTHOUSE, caller: Caller | None = None
    ) -> str:
        caller = caller or builders.caller()
        found: Any = await self.repeats.key(caller, request, caller.charge(None, None), number)
        assert isinstance(found, str)
        return found

    @property
    def repeats(self) -> ClientRepeats:
        return ClientRepeats(self.tries, self.generations, self.clock)  # type: ignore[arg-type]

    def end(self, key: str) -> None:
        self.generations.ended[key] = self.clock.now()


@pytest.fixture
def world() -> World:
    return World()


async def test_repeat_joins_its_first_try_also_while_that_is_admitted(world: World) -> None:
    first = await world.key(0)
    assert [await world.key(number) for number in (1, 2)] == [first, first]


async def test_parallel_requests_in_the_same_words_and_their_repeats_stay_as_many(
    world: World,
) -> None:
    firsts = {await world.key(0) for _ in range(5)}
    assert len(firsts) == 5
    for number in (1, 2):
        assert {await world.key(number) for _ in range(5)} == firsts


async def test_answer_that_was_lost_on_its_way_is_given_again_for_a_while(world: World) -> None:
    first = await world.key(0)
    world.end(first)
    world.clock.advance(ANSWERED_S)
    assert await world.key(1) == first


async def test_old_picture_or_refusal_answers_no_new_request(world: World) -> None:
    first = await world.key(0)
    world.end(first)
    world.clock.advance(ANSWERED_S + 1)
    second = await world.key(1)  # its own first try never came
    assert second != first
    assert await world.key(2) == second
    world.end(second)
    assert await world.key(0) not in (first, second)


async def test_words_and_people_keep_their_first_tries_apart(world: World) -> None:
    keys = {
        await world.key(0),
        await world.key(1, caller=builders.caller(7)),
        await world.key(1, HARBOUR),
    }
    assert len(keys) == 3


async def test_repeat_that_another_was_faster_than_is_a_request_of_its_own(world: World) -> None:
    first = await world.key(0)
    rival = Outrun(world.clock)
    rival.noted = world.tries.noted
    world.tries = rival
    assert await world.key(1) != first


async def test_nobody_is_refused_because_first_tries_cannot_be_noted(world: World) -> None:
    world.tries.down = True
    caller = builders.caller()
    assert await world.repeats.key(caller, LIGHTHOUSE, caller.charge(None, None), 0) is None


def test_time_of_an_answer_is_longer_than_clients_wait_to_repeat() -> None:
    assert timedelta(seconds=8) < ANSWERED_WITHIN
