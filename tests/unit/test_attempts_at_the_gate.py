"""Admitted work at the gate: who is asked instead, who waits, and what counts as a start."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.domain.attempts import (
    Billed,
    Course,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderOutcome,
    Unknown,
)
from shared.domain.fallbacks import GATE_WAIT_S_MAX, NOT_AFFORDABLE
from shared.domain.freezes import Freeze, Target
from shared.domain.provider_health import BLOCKED_FACTOR, CONSECUTIVE_MAX, LIMITED_MIN
from shared.domain.routes import alone
from shared.domain.waiting_lines import Priority
from shared.services.freezes import Freezes, FreezeWatch
from shared.services.provider_gate import GateLimit, ProviderGate, Wait
from shared.services.provider_health import ProviderHealths
from tests import builders
from tests.fakes.clock import NOON
from tests.fakes.directory import FakeDirectory
from tests.fakes.freezes import FakeFreezes
from tests.fakes.providers import Work
from tests.unit.test_fallback_attempts import Bench, then_delivers

OPEN_S = 30.0
STARTS = GateLimit(2, 60).quotas("m")[0][0].burst  # at once
GLOBAL = Freeze(Target("global"), "a leak", "somebody", NOON.isoformat(), change_id="c-1")
BLOCKED = NotDelivered(Failure.PROVIDER_BLOCKED, Billed.NOTHING, "http_403")
LIMITED = NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "http_429", retry_after_s=60.0)


class GatedBench(Bench):
    """Attempts behind a gate that watches the health of both providers."""

    def __init__(self, script: Callable[[ImageOrder], Work] | None = None) -> None:
        super().__init__(script or then_delivers())
        store = CosmosProviderHealth(self.connection.as_connection())
        open_for = timedelta(seconds=OPEN_S)
        self.health = ProviderHealths(store, self.clock, tuple(self.providers), open_for)
        limits = dict.fromkeys(self.providers, GateLimit(2, 60))
        gate = ProviderGate(limits, self.clock, health=self.health)
        self.freeze_store = FakeFreezes(self.connection)
        self.watch = FreezeWatch(self.freeze_store, self.clock)
        freezes = Freezes(self.freeze_store, self.watch, self.ledger, FakeDirectory(), self.clock)
        self.attempts = replace(self.attempts, gate=gate, freezes=freezes)

    async def freeze(self) -> None:
        event = builders.event(GLOBAL.target.document_id, "freeze.set.1")
        assert await self.freeze_store.put(builders.TENANT, GLOBAL, event)
        self.watch.forget()

    async def starts_left(self, provider: str) -> int:
        """How many calls somebody else can start now."""
        gate, starts = self.attempts.gate, 0
        while await gate.enter(provider, "m", "another", Priority.INTERACTIVE) is None:
            await gate.leave(provider, Delivered((), None))
            starts += 1
        return starts

    async def seen(self, *outcomes: ProviderOutcome) -> None:
        """What calls of others at the first choice ended in."""
        for outcome in outcomes:
            await self.health.note("azure_openai", outcome, None, None)


@pytest.mark.parametrize("outcomes", [[BLOCKED], [LIMITED] * LIMITED_MIN])
async def test_work_goes_to_another_provider_while_its_own_is_closed_for_long(
    outcomes: Sequence[ProviderOutcome],
) -> None:
    bench = GatedBench()
    await bench.admitted()
    await bench.seen(*outcomes)
    passed = await bench.attempts.run(bench.work, 1)
    assert (passed.reason, passed.retry_after_s) == ("provider_unhealthy", 0.0)
    report = await bench.attempts.run(bench.work, 1, passed.next or Course())
    assert (report.ending, report.attempt, report.candidate) == ("delivered", 1, 1)
    assert bench.invoice["azure_openai"] == {}


async def test_work_waits_for_a_provider_that_is_closed_for_a_moment() -> None:
    bench = GatedBench()
    await bench.admitted()
    await bench.seen(*[Unknown("no_answer_in_time")] * CONSECUTIVE_MAX)
    waits = await bench.attempts.run(bench.work, 1)
    assert (waits.reason, waits.next) == ("provider_unhealthy", Course())
    assert waits.retry_after_s == OPEN_S
    bench.clock.advance(OPEN_S)
    assert (await bench.attempts.run(bench.work, 1)).candidate == 0


async def test_work_that_names_its_model_waits_as_long_as_its_provider_is_closed() -> None:
    bench = GatedBench()
    await bench.admitted()
    bench.work = replace(bench.work, planned_route=alone(bench.work.route))
    await bench.seen(BLOCKED)
    waits = await bench.attempts.run(bench.work, 1)
    assert (waits.ending, waits.next) == ("again", Course())
    assert waits.retry_after_s == BLOCKED_FACTOR * OPEN_S


async def test_work_waits_if_no_other_candidate_stays_within_its_price() -> None:
    bench = GatedBench()
    await bench.admitted()
    route = bench.work.route
    dear = replace(route, candidates=route.candidates[:2], uplift_percent=0)
    await bench.seen(BLOCKED)
    waits = await bench.attempts.run(replace(bench.work, planned_route=dear), 1)
    assert (waits.ending, waits.next) == ("again", Course())


@pytest.mark.parametrize("came_s", range(5, 1_000, 25))
async def test_work_never_waits_for_the_end_of_a_block_whenever_it_comes(came_s: int) -> None:
    bench = GatedBench()
    await bench.admitted()
    for _ in range(came_s // 5):
        await refused_to_somebody_else(bench)
        bench.clock.advance(5)
    waited_s, report = 0.0, await bench.attempts.run(bench.work, 1)
    while report.ending == "again" and waited_s <= GATE_WAIT_S_MAX:
        waited_s += report.retry_after_s or 0.0
        bench.clock.advance(report.retry_after_s or 0.0)
        await refused_to_somebody_else(bench)
        report = await bench.attempts.run(bench.work, 1, report.next or Course())
    assert (report.ending, report.candidate) == ("delivered", 1)


async def refused_to_somebody_else(bench: GatedBench) -> None:
    """A call at the first choice, if one may go: the block stands."""
    admission = await bench.health.admit("azure_openai")
    if admission.wait_s is None:
        await bench.health.note("azure_openai", BLOCKED, None, admission.probe_id)


async def test_frozen_work_takes_no_start() -> None:
    bench = GatedBench()
    await bench.admitted()
    await bench.freeze()
    for _ in range(3):
        assert (await bench.attempts.run(bench.work, 1)).reason == "frozen"
    assert await bench.starts_left("azure_openai") == STARTS


async def test_work_that_is_frozen_while_it_waits_at_the_gate_gives_its_start_back() -> None:
    bench = GatedBench()
    await bench.admitted()
    gate = bench.attempts.gate
    enter = gate.enter

    async def enter_and_freeze(*args: Any) -> Wait | None:
        wait = await enter(*args)
        await bench.freeze()
        return wait

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gate, "enter", enter_and_freeze)
        assert (await bench.attempts.run(bench.work, 1)).reason == "frozen"
    assert await bench.starts_left("azure_openai") == STARTS


async def test_repeat_that_finds_its_attempt_begun_gives_its_start_back() -> None:
    bench = GatedBench()
    await bench.admitted()
    first = await bench.attempts.run(bench.work, 1)
    assert await bench.attempts.run(bench.work, 1) == first
    assert await bench.starts_left("azure_openai") == STARTS - 1


async def test_fallback_that_no_budget_covers_gives_its_start_back() -> None:
    bench = GatedBench()
    bench.limit_micros = bench.work.quote.amount_micros
    await bench.admitted()
    await bench.seen(BLOCKED)
    report = await bench.attempts.run(bench.work, 1, Course(candidate=1))
    assert report.reason == NOT_AFFORDABLE
    assert await bench.starts_left("replicate") == STARTS


async def test_call_whose_adapter_raises_stays_counted() -> None:
    def broken(order: ImageOrder) -> Work:
        raise OverflowError

    bench = GatedBench(broken)
    await bench.admitted()
    assert (await bench.attempts.run(bench.work, 1)).ending == "unknown"
    assert await bench.starts_left("azure_openai") == STARTS - 1
