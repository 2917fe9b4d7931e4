"""Repeats of clients that send no key: they ask under the key of their first try."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.domain.budgets import Charge
from shared.domain.generations import GenerationRequest
from shared.domain.identity import Caller
from shared.domain.openai_images import OpenAIImageRequest
from shared.errors import RateLimited
from shared.services.openai_images import Asked, OpenAIImages
from tests import builders
from tests.fakes.clock import FakeClock

BODY = OpenAIImageRequest(prompt="a lighthouse")


@dataclass
class Asking:
    """Admission that notes under which keys it is asked, and is busy or refuses."""

    busy: bool = False
    keys: list[str | None] = field(default_factory=list)

    def asked_hash(self, request: GenerationRequest, charge: Charge) -> str:
        return f"{request.prompt}|{charge}"

    async def submit(self, *_: Any, key: str | None, **__: Any) -> None:
        self.keys.append(key)
        if self.busy:
            await asyncio.Event().wait()
        raise RateLimited("later", retry_after_s=1)


@dataclass
class Tries:
    keys: dict[tuple[str, str], str] = field(default_factory=dict)

    async def of_first(self, user_key: str, request_hash: str, key: str) -> str:
        self.keys[user_key, request_hash] = key
        return key

    async def of_repeat(self, user_key: str, request_hash: str, key: str) -> str:
        return self.keys.setdefault((user_key, request_hash), key)


@dataclass
class World:
    admission: Asking = field(default_factory=Asking)
    tries: Tries = field(default_factory=Tries)
    clock: FakeClock = field(default_factory=FakeClock)

    async def ask(
        self,
        repeat: bool | None,
        key: str | None = None,
        caller: Caller | None = None,
        body: OpenAIImageRequest = BODY,
    ) -> None:
        unused: Any = None
        endpoint = OpenAIImages(
            self.admission,  # type: ignore[arg-type]
            unused,
            unused,
            self.tries,
            self.clock,
        )
        with pytest.raises(RateLimited):
            await endpoint.generate(
                caller or builders.caller(), body, Asked(key, repeat, "c"), unused
            )


async def test_repeat_while_the_first_try_is_being_admitted_has_its_key() -> None:
    world = World(Asking(busy=True))
    first = asyncio.create_task(world.ask(repeat=False))
    while not world.admission.keys:
        await asyncio.sleep(0)
    world.admission.busy = False
    await world.ask(repeat=True)
    first.cancel()
    one, again = world.admission.keys
    assert one is not None and one == again


async def test_request_that_is_no_repeat_is_another_one() -> None:
    world = World()
    for repeat in (False, False, True):
        await world.ask(repeat)
    one, other, again = world.admission.keys
    assert one != other == again


async def test_repeat_whose_first_try_never_came_is_the_first_of_the_next() -> None:
    world = World()
    await world.ask(repeat=True)
    await world.ask(repeat=True)
    assert len(set(world.admission.keys)) == 1


async def test_words_and_people_keep_their_first_tries_apart() -> None:
    world = World()
    await world.ask(repeat=False)
    await world.ask(repeat=True, caller=builders.caller(7))
    await world.ask(repeat=True, body=OpenAIImageRequest(prompt="another lighthouse"))
    assert len(set(world.admission.keys)) == 3


@pytest.mark.parametrize(("repeat", "key"), [(None, None), (False, "mine"), (True, "mine")])
async def test_own_key_or_silent_client_is_left_as_it_is(
    repeat: bool | None, key: str | None
) -> None:
    world = World()
    await world.ask(repeat, key)
    assert world.admission.keys == [key]
    assert world.tries.keys == {}
