"""The attempt activity: which ends are counted as attempts at a provider."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from functions import durable_activities
from functions.payloads import AttemptInput
from shared import wiring
from shared.domain.attempts import Billed, Course, Failure
from shared.domain.fallbacks import NOT_AFFORDABLE
from shared.domain.vitals import PROVIDER_ATTEMPTS
from shared.domain.work import WorkItem
from tests.unit.fallback_work import QUOTE
from tests.unit.test_attempts_at_the_gate import BLOCKED, GatedBench
from tests.unit.test_fallback_attempts import failure, then_delivers


@dataclass
class Running:
    """A worker whose services are a bench's, and what it counted by provider and ending."""

    bench: GatedBench
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def find(self, generation_id: str) -> WorkItem:
        assert generation_id == self.bench.work.generation_id
        return self.bench.work

    def count(self, name: str, *, provider: str, ending: str) -> None:
        assert name == PROVIDER_ATTEMPTS
        self.counted[provider, ending] += 1

    async def attempt(self, number: int = 1, course: Course | None = None) -> dict[str, Any]:
        stand_in: Any = SimpleNamespace(work=self, attempts=self.bench.attempts, metrics=self)
        wiring.install(stand_in)
        payload = AttemptInput(
            generation_id=self.bench.work.generation_id,
            attempt=number,
            course=course.model_dump(mode="json") if course else None,
        )
        activity = durable_activities.attempt_activity._function.get_user_function()
        report: dict[str, Any] = await activity(payload.to_json())
        return report


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    yield
    wiring.install(None)


async def test_attempts_that_asked_a_provider_are_counted_by_their_ends() -> None:
    bench = GatedBench(then_delivers(failure(Failure.TIMEOUT)))
    await bench.admitted()
    worker = Running(bench)
    first = await worker.attempt()
    await worker.attempt(2, Course.model_validate(first["next"]))
    assert worker.counted == {("azure_openai", "timeout"): 1, ("replicate", "delivered"): 1}


async def test_waits_at_the_gate_are_no_attempts() -> None:
    bench = GatedBench()
    await bench.admitted()
    await bench.seen(BLOCKED)
    worker = Running(bench)
    assert [(await worker.attempt())["ending"] for _ in range(3)] == ["again"] * 3
    assert not worker.counted


async def test_work_that_was_stopped_before_its_call_is_no_attempt() -> None:
    bench = GatedBench()
    await bench.admitted()
    await bench.attempts.stop(bench.work, "canceller")
    worker = Running(bench)
    assert (await worker.attempt())["ending"] == "canceled"
    assert not worker.counted


async def test_failure_that_ends_a_generation_without_a_fallback_is_counted_once() -> None:
    bench = GatedBench(then_delivers(failure(Failure.MALFORMED, Billed.MAXIMUM)))
    bench.limit_micros = QUOTE.amount_micros  # nothing is left for another candidate
    await bench.admitted()
    worker = Running(bench)
    first = await worker.attempt()
    last = await worker.attempt(2, Course.model_validate(first["next"]))
    assert (last["ending"], last["reason"]) == ("ended", NOT_AFFORDABLE)
    assert worker.counted == {("azure_openai", "malformed"): 1}
