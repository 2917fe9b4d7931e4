"""The slots of one worker: who waits for them, and who gets them."""

import asyncio

from shared.services.worker_slots import WorkerSlots

LONG_S = 60.0


async def waiting(slots: WorkerSlots, rank: int, department_id: str) -> "asyncio.Task[bool]":
    task = asyncio.create_task(slots.acquire(rank, department_id, LONG_S))
    await asyncio.sleep(0)
    return task


async def test_slots_are_as_many_as_said() -> None:
    slots = WorkerSlots(2)
    assert await slots.acquire(0, "a", LONG_S)
    assert await slots.acquire(0, "a", LONG_S)
    assert not await slots.acquire(0, "a", 0.001)
    slots.release("a")
    assert await slots.acquire(0, "b", LONG_S)


async def test_one_of_the_slots_is_kept_from_batches() -> None:
    slots = WorkerSlots(2)
    assert await slots.acquire(1, "a", LONG_S)
    assert not await slots.acquire(1, "a", 0.001)
    assert await slots.acquire(0, "b", LONG_S)


async def test_only_slot_is_for_batches_too() -> None:
    assert await WorkerSlots(1).acquire(2, "a", LONG_S)


async def test_free_slot_goes_to_the_lower_rank_then_to_who_has_fewest() -> None:
    slots = WorkerSlots(2)
    assert await slots.acquire(0, "busy", LONG_S)
    assert await slots.acquire(0, "busy", LONG_S)
    row = await waiting(slots, 1, "idle")
    again = await waiting(slots, 0, "busy")
    other = await waiting(slots, 0, "idle")
    slots.release("busy")
    assert await other
    slots.release("busy")
    assert await again
    assert not row.done()
    slots.release("idle")
    assert not row.done()  # one slot is kept free
    slots.release("busy")
    assert await row


async def test_who_stops_waiting_takes_no_slot() -> None:
    slots = WorkerSlots(1)
    assert await slots.acquire(0, "a", LONG_S)
    gone = await waiting(slots, 0, "b")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert slots.waiting == 0
    slots.release("a")
    assert slots.free == 1


async def test_who_stops_waiting_as_the_slot_comes_gives_it_back() -> None:
    slots = WorkerSlots(1)
    assert await slots.acquire(0, "a", LONG_S)
    gone = await waiting(slots, 0, "b")
    slots.release("a")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert slots.free == 1
