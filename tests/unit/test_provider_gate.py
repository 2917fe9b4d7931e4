"""Who is let through to a provider, in this worker and beside others."""

import asyncio
from datetime import timedelta

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown
from shared.domain.waiting_lines import Priority
from shared.services.provider_gate import SLOT_WAIT_S, GateLimit, ProviderGate, Wait
from shared.services.provider_health import ProviderHealths
from shared.services.token_buckets import TokenBuckets
from tests.contract.cosmos_stores import Outage
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.proofs.virtual_loop import VirtualLoop

WORKED = Delivered((), None)
BLOCKED = NotDelivered(Failure.PROVIDER_BLOCKED, Billed.NOTHING, "blocked")
SINGLE, BATCH = Priority.INTERACTIVE, Priority.BATCH


class Gates:
    """Workers with one store between them."""

    def __init__(self, limit: GateLimit, silent: bool = False) -> None:
        self.clock, self.limit = FakeClock(), limit
        self.connection = FakeConnection(Outage() if silent else None)

    def worker(self) -> ProviderGate:
        connection = self.connection.as_connection()
        buckets = TokenBuckets(CosmosTokenBuckets(connection), self.clock)
        health = ProviderHealths(
            CosmosProviderHealth(connection), self.clock, ("p",), timedelta(seconds=30)
        )
        return ProviderGate({"p": self.limit}, self.clock, buckets, health)


def alone(concurrent_max: int, starts_per_minute: int) -> tuple[ProviderGate, FakeClock]:
    clock = FakeClock()
    return ProviderGate({"p": GateLimit(concurrent_max, starts_per_minute)}, clock), clock


async def enter(
    gate: ProviderGate, priority: Priority = SINGLE, department_id: str = "d", model: str = "m"
) -> Wait | None:
    return await gate.enter("p", model, department_id, priority)


async def test_enter_admits_what_a_strict_minute_allows_and_tells_the_wait() -> None:
    gate, clock = alone(100, 60)
    assert [await enter(gate) for _ in range(16)] == [None] * 16
    wait = await enter(gate)
    assert wait is not None
    assert wait.seconds == pytest.approx(60 / 45, abs=1e-5)
    assert wait.reason == "provider_limit"
    clock.advance(wait.seconds)
    assert await enter(gate) is None


@pytest.mark.parametrize("starts", [4, 60])
async def test_enter_in_any_minute_is_never_more_than_the_limit(starts: int) -> None:
    gate, clock = alone(1_000, starts)
    admitted: list[float] = []
    elapsed_s = 0.0
    while elapsed_s < 180:
        wait = await enter(gate)
        step_s = wait.seconds if wait else 0.0
        if wait is None:
            admitted.append(elapsed_s)
        clock.advance(step_s)
        elapsed_s += step_s
    for first in admitted:
        assert sum(first <= each < first + 60 for each in admitted) <= starts
    assert len(admitted) >= 0.75 * 3 * starts


async def test_start_that_is_given_back_late_has_been_earned_again_and_is_gone() -> None:
    gate, clock = alone(100, 60)
    assert [await enter(gate) for _ in range(16)] == [None] * 16
    clock.advance(30)
    assert [await enter(gate) for _ in range(16)] == [None] * 16
    for _ in range(16):
        await gate.leave("p", WORKED)
    for _ in range(16):
        await gate.leave("p", None)
    assert await enter(gate) is not None


async def test_start_whose_call_was_never_made_is_free_for_another() -> None:
    gates = Gates(GateLimit(100, 3))
    first, second = gates.worker(), gates.worker()
    assert await enter(first) is None
    assert await enter(second) is not None
    await first.leave("p", None)
    assert await enter(second) is None


async def test_workers_share_one_limit() -> None:
    gates = Gates(GateLimit(100, 60))
    workers = [gates.worker() for _ in range(3)]
    answers = await asyncio.gather(*(enter(each) for each in workers * 10))
    assert answers.count(None) == 16


async def test_day_and_deployment_have_limits_of_their_own() -> None:
    limit = GateLimit(100, 6_000, starts_per_day=40, model_starts_per_minute={"slow": 3})
    gate = Gates(limit).worker()
    assert await enter(gate, model="slow") is None
    slow = await enter(gate, model="slow")
    assert slow is not None
    assert slow.seconds == pytest.approx(20.0)
    assert await enter(gate, model="fast") is None
    assert await enter(gate, model="fast") is None
    day = await enter(gate, model="fast")
    assert day is not None
    assert day.seconds > 1_000


async def test_single_request_goes_before_the_rows_of_another_department() -> None:
    gates = Gates(GateLimit(100, 3))
    rows, single = gates.worker(), gates.worker()
    assert await enter(rows, BATCH, "marketing") is None
    for _ in range(5):
        assert await enter(rows, BATCH, "marketing") is not None
    wait = await enter(single, SINGLE, "legal")
    assert wait is not None
    gates.clock.advance(wait.seconds)
    assert await enter(rows, BATCH, "marketing") is not None
    assert await enter(single, SINGLE, "legal") is None


def test_limits_hold_in_each_worker_while_the_store_is_silent() -> None:
    async def scenario() -> int:
        gate = Gates(GateLimit(100, 60), silent=True).worker()
        return [await enter(gate) for _ in range(20)].count(None)

    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, the gate does not use
    assert loop.run(scenario()) == 16


def test_enter_with_all_slots_taken_says_when_to_come_back() -> None:
    async def scenario() -> Wait | None:
        gate, _ = alone(1, 600)
        await enter(gate)
        return await enter(gate)

    loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, the gate does not use
    assert loop.run(scenario()) == Wait(SLOT_WAIT_S, "provider_slots")
    assert loop.time() == pytest.approx(SLOT_WAIT_S)


async def test_leave_lets_the_next_one_in() -> None:
    gate, _ = alone(1, 600)
    await enter(gate)
    waiting = asyncio.create_task(enter(gate))
    await asyncio.sleep(0)
    await gate.leave("p", WORKED)
    assert await waiting is None


async def test_start_that_is_refused_keeps_no_slot() -> None:
    gate, clock = alone(1, 3)
    await enter(gate)
    await gate.leave("p", WORKED)
    assert await enter(gate) is not None
    assert gate.slots("p").free == 1
    clock.advance(60)
    assert await enter(gate) is None


async def test_providers_do_not_wait_for_each_other() -> None:
    gate = ProviderGate({"a": GateLimit(1, 1), "b": GateLimit(1, 1)}, FakeClock())
    assert await gate.enter("a", "m", "d", SINGLE) is None
    assert await gate.enter("b", "m", "d", SINGLE) is None


async def test_blocked_provider_is_closed_for_every_worker_and_opened_by_one_probe() -> None:
    gates = Gates(GateLimit(100, 600))
    first, second = gates.worker(), gates.worker()
    assert await enter(first) is None
    await first.leave("p", BLOCKED)
    for worker in (first, second):
        wait = await enter(worker)
        assert wait is not None
        assert wait.reason == "provider_unhealthy"
    gates.clock.advance(121)
    crowd = [asyncio.create_task(enter(worker)) for worker in (first, second) * 5]
    assert [await each for each in crowd].count(None) == 1


async def test_probe_that_works_opens_the_way_for_everybody() -> None:
    gates = Gates(GateLimit(100, 600))
    first, second = gates.worker(), gates.worker()
    await enter(first)
    await first.leave("p", BLOCKED)
    gates.clock.advance(121)
    assert await enter(second) is None
    await second.leave("p", WORKED, 1.5)
    gates.clock.advance(2)
    assert await enter(first) is None


async def test_probe_whose_call_was_never_made_leaves_its_place_to_another() -> None:
    gates = Gates(GateLimit(100, 600))
    first, second = gates.worker(), gates.worker()
    await enter(first)
    await first.leave("p", BLOCKED)
    gates.clock.advance(121)
    assert await enter(second) is None
    await second.leave("p", None)
    gates.clock.advance(2)
    assert await enter(first) is None


async def test_failures_in_a_row_over_all_workers_close_the_way() -> None:
    gates = Gates(GateLimit(100, 600))
    workers = [gates.worker() for _ in range(5)]
    for worker in workers:
        assert await enter(worker) is None
        await worker.leave("p", Unknown("timeout"))
    gates.clock.advance(2)
    assert await enter(workers[0]) == Wait(28.0, "provider_unhealthy")
