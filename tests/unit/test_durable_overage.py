"""The orchestrators of waiting work over virtual time: escalation, expiry, and what then starts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from functions import durable_overage, names
from functions.durable_overage import TIMER_MAX, TRIES_MAX
from functions.payloads import ApprovalInput, BatchInput, DeferredInput, GenerationInput

START = datetime(2026, 11, 22, tzinfo=UTC)
WORK_ID = "202611-marketing-" + "a" * 32
ESCALATES, EXPIRES = START + timedelta(hours=24), START + timedelta(hours=72)
CONCLUDE, ESCALATE, EXPIRE = (
    names.CONCLUDE_APPROVAL_ACTIVITY,
    names.ESCALATE_APPROVAL_ACTIVITY,
    names.EXPIRE_APPROVAL_ACTIVITY,
)


@dataclass
class FakeTask:
    """A timer, or a wait for an event."""

    at: datetime
    is_completed: bool = False
    cancelled: bool = False

    def cancel(self) -> None:
        assert not self.is_completed
        self.cancelled = True


@dataclass
class FakeContext:
    """Runs activities at once; timers move the clock; an event arrives at its moment, if at all."""

    given: dict[str, Any]
    answer: Callable[[str, "FakeContext"], dict[str, Any]]
    decided_at: datetime | None = None
    now: datetime = START
    steps: list[str] = field(default_factory=list)
    timers: list[FakeTask] = field(default_factory=list)
    started: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    waits: int = 0

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def get_input(self) -> dict[str, Any]:
        return self.given

    def call_activity(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert payload["operation_id"] == WORK_ID
        self.steps.append(name)
        return self.answer(name, self)

    def call_sub_orchestrator(self, name: str, payload: dict[str, Any], instance_id: str) -> None:
        self.started.append((name, payload, instance_id))

    def create_timer(self, fire_at: datetime) -> FakeTask:
        self.timers.append(FakeTask(fire_at))
        return self.timers[-1]

    def wait_for_external_event(self, name: str) -> FakeTask:
        assert name == names.APPROVAL_DECIDED
        self.waits += 1
        return FakeTask(self.decided_at or datetime.max.replace(tzinfo=UTC))

    def task_any(self, tasks: list[FakeTask]) -> FakeTask:
        return min(tasks, key=lambda task: task.at)

    def reached(self, asked: Any) -> Any:
        """What a yielded task leads to; awaiting it moves the clock to its moment."""
        if isinstance(asked, FakeTask):
            self.now = max(self.now, asked.at)
            asked.is_completed = True
        return asked


def run(orchestrator: Any, context: FakeContext) -> str:
    steps = orchestrator._function.get_user_function().orchestrator_function(context)
    asked = next(steps)
    while True:
        try:
            asked = steps.send(context.reached(asked))
        except StopIteration as end:
            return str(end.value)


def standing(status: str, kind: str = "generation", **more: Any) -> dict[str, Any]:
    return {"ok": True, "status": status, "kind": kind, "rows": 1, "deadline_rows": 0, **more}


def approval(
    answer: Callable[[str, FakeContext], dict[str, Any]], decided_at: datetime | None = None
) -> FakeContext:
    given = ApprovalInput(WORK_ID, ESCALATES.isoformat(), EXPIRES.isoformat()).to_json()
    return FakeContext(given, answer, decided_at)


def decided(after: datetime | None, then: str) -> Callable[[str, FakeContext], dict[str, Any]]:
    """How the approval stands: pending until `after`, then as it was decided."""

    def answer(_: str, context: FakeContext) -> dict[str, Any]:
        is_over = after is not None and context.now >= after
        return standing(then if is_over else "pending")

    return answer


def test_decision_before_the_escalation_is_carried_out_at_once() -> None:
    at = START + timedelta(hours=1)
    context = approval(decided(at, "concluded"), at)
    assert run(durable_overage.approval_orchestrator, context) == "concluded"
    assert context.steps == [CONCLUDE, CONCLUDE]
    assert context.now == at
    assert [timer.cancelled for timer in context.timers] == [True]
    payload = GenerationInput(generation_id=WORK_ID).to_json()
    assert context.started == [(names.GENERATION_ORCHESTRATOR, payload, WORK_ID)]


def test_decision_after_the_escalation_is_waited_for_once() -> None:
    at = ESCALATES + timedelta(hours=1)
    context = approval(decided(at, "concluded"), at)
    run(durable_overage.approval_orchestrator, context)
    assert context.steps == [CONCLUDE, ESCALATE, CONCLUDE]
    assert context.waits == 1  # a second wait would let the first one swallow the event
    assert [timer.cancelled for timer in context.timers] == [False, True]


def test_nobody_decides_so_it_escalates_then_expires_and_nothing_starts() -> None:
    context = approval(decided(EXPIRES, "expired"))
    assert run(durable_overage.approval_orchestrator, context) == "expired"
    assert context.steps == [CONCLUDE, ESCALATE, EXPIRE, CONCLUDE]
    assert context.now == EXPIRES
    assert context.started == []


def test_watch_that_starts_after_the_decision_waits_for_nothing() -> None:
    context = approval(decided(START, "concluded"))
    run(durable_overage.approval_orchestrator, context)
    assert context.steps == [CONCLUDE]
    assert (context.waits, context.timers) == (0, [])
    assert len(context.started) == 1


@pytest.mark.parametrize("status", ["rejected", "canceled", "failed"])
def test_ends_without_a_hold_start_nothing(status: str) -> None:
    context = approval(decided(START, status))
    assert run(durable_overage.approval_orchestrator, context) == status
    assert context.started == []


def test_batch_starts_with_its_rows() -> None:
    context = approval(lambda *_: standing("concluded", "batch", rows=7, deadline_rows=2))
    run(durable_overage.approval_orchestrator, context)
    payload = BatchInput(batch_id=WORK_ID, rows=7, deadline_rows=2).to_json()
    assert context.started == [(names.BATCH_ORCHESTRATOR, payload, WORK_ID)]


def test_fault_of_ours_is_waited_out_and_in_the_end_left_to_the_sweep() -> None:
    faults = iter([True] * 3)

    def faulty(*_: object) -> dict[str, Any]:
        return {"ok": False} if next(faults, False) else standing("concluded")

    context = approval(faulty)
    run(durable_overage.approval_orchestrator, context)
    assert context.steps == [CONCLUDE] * 4
    broken = approval(lambda *_: {"ok": False})
    with pytest.raises(TimeoutError):
        run(durable_overage.approval_orchestrator, broken)
    assert len(broken.steps) == TRIES_MAX


def test_deferred_work_waits_in_short_timers_until_it_is_due() -> None:
    due = START + timedelta(days=33)
    given = DeferredInput(WORK_ID, due.isoformat()).to_json()
    context = FakeContext(given, lambda *_: standing("admitted"))
    assert run(durable_overage.deferred_orchestrator, context) == "admitted"
    assert context.now == due
    steps = [START, *(timer.at for timer in context.timers)]
    assert all(b - a <= TIMER_MAX for a, b in pairwise(steps))
    assert context.steps == [names.RELEASE_DEFERRED_ACTIVITY]
    assert [each[2] for each in context.started] == [WORK_ID]


def test_deferred_work_that_is_refused_again_starts_nothing() -> None:
    given = DeferredInput(WORK_ID, START.isoformat()).to_json()
    context = FakeContext(given, lambda *_: standing("failed"))
    assert run(durable_overage.deferred_orchestrator, context) == "failed"
    assert (context.timers, context.started) == ([], [])
