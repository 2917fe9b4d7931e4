import asyncio

import pytest

from shared.services.provider_gate import SLOT_WAIT_S, GateLimit, ProviderGate
from tests.fakes.clock import FakeClock
from tests.proofs.virtual_loop import VirtualLoop


def gate(concurrent_max: int, starts_per_minute: int) -> tuple[ProviderGate, FakeClock]:
    clock = FakeClock()
    return ProviderGate({"p": GateLimit(concurrent_max, starts_per_minute)}, clock), clock


async def test_enter_admits_as_many_starts_as_a_minute_has() -> None:
    door, _ = gate(10, 3)
    assert [await door.enter("p") for _ in range(3)] == [None, None, None]
    assert await door.enter("p") == pytest.approx(20.0)


async def test_enter_admits_again_once_a_start_was_earned() -> None:
    door, clock = gate(10, 3)
    for _ in range(3):
        await door.enter("p")
    clock.advance(19.0)
    assert await door.enter("p") == pytest.approx(1.0)
    clock.advance(1.0)
    assert await door.enter("p") is None


async def test_enter_after_a_long_rest_admits_one_minute_of_starts() -> None:
    door, clock = gate(10, 2)
    await door.enter("p")
    clock.advance(3_600)
    assert [await door.enter("p") for _ in range(2)] == [None, None]
    assert await door.enter("p") is not None


def test_enter_with_all_slots_taken_says_when_to_come_back() -> None:
    async def scenario() -> float | None:
        door, _ = gate(1, 100)
        await door.enter("p")
        return await door.enter("p")

    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, the gate does not use
    assert loop.run(scenario()) == SLOT_WAIT_S
    assert loop.time() == pytest.approx(SLOT_WAIT_S)


async def test_leave_lets_the_next_one_in() -> None:
    door, _ = gate(1, 100)
    await door.enter("p")
    waiting = asyncio.create_task(door.enter("p"))
    await asyncio.sleep(0)
    door.leave("p")
    assert await waiting is None


async def test_a_refused_start_takes_no_slot() -> None:
    door, clock = gate(1, 1)
    await door.enter("p")
    door.leave("p")
    assert await door.enter("p") is not None
    clock.advance(60)
    assert await door.enter("p") is None


async def test_providers_do_not_wait_for_each_other() -> None:
    door = ProviderGate({"a": GateLimit(1, 1), "b": GateLimit(1, 1)}, FakeClock())
    assert await door.enter("a") is None
    assert await door.enter("b") is None


async def test_enter_by_many_at_once_admits_no_more_than_a_minute_has() -> None:
    door, _ = gate(20, 5)
    answers = await asyncio.gather(*(door.enter("p") for _ in range(20)))
    assert answers.count(None) == 5
