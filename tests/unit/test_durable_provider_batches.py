"""The orchestrator of a provider batch over virtual time: looks, stops, and what goes on after."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions import durable_generation, durable_provider_batches, names
from functions.durable_provider_batches import (
    CANCEL_TIME_MAX,
    PAUSE_FACTOR_MAX,
    SUBMIT_TRIES_MAX,
)
from functions.payloads import BatchInput, ChunkInput, ThumbnailsInput
from shared.domain.ids import row_of

START = datetime(2026, 11, 22, tzinfo=UTC)
BATCH_ID = "202611-marketing-" + "a" * 32
PAUSE_S = 60.0
WINDOW_S = 23 * 3600.0
Looks = Callable[[dict[str, Any], datetime], dict[str, Any]]


def result(stage: str, **values: Any) -> dict[str, Any]:
    answer = {"ok": True, "stage": stage, "cancel_requested": False, "pause_s": PAUSE_S}
    return answer | {"window_s": WINDOW_S} | values


@dataclass
class FakeContext:
    """Runs activities at once; timers move the clock."""

    submits: Iterator[dict[str, Any]]
    looks: Looks
    left: list[list[int]] = field(default_factory=list)
    canceled: bool = False
    now: datetime = START
    looked_at: list[tuple[datetime, bool]] = field(default_factory=list)
    attempts: list[tuple[int, int, bool]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    collects: int = 0
    brought: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def get_input(self) -> dict[str, Any]:
        return ChunkInput(batch_id=BATCH_ID, number=2).to_json()

    def call_activity(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        if name == names.SUBMIT_PROVIDER_BATCH_ACTIVITY:
            assert payload["number"] == 2
            return next(self.submits)
        if name == names.LOOK_AT_PROVIDER_BATCH_ACTIVITY:
            self.looked_at.append((self.now, payload["stop"]))
            return self.looks(payload, self.now)
        if name == names.COLLECT_PROVIDER_BATCH_ACTIVITY:
            self.collects += 1
            named = {"image_ids": self.brought} if self.brought else {}  # earlier answers: no word
            return {"ok": True, "rows": self.left, "cancel_requested": self.canceled, **named}
        if name == names.DRAW_THUMBNAILS_ACTIVITY:
            self.drawn += ThumbnailsInput.read(payload).image_ids
            return {"ok": True}
        if name == names.SETTLE_ACTIVITY:
            self.settled += [row_of(each["generation_id"]) or 0 for each in payload["reports"]]
            return {"ok": True, "cancel_requested": False}
        row = row_of(payload["generation_id"]) or 0
        self.attempts.append((row, payload["attempt"], payload["stop"]))
        ending = "canceled" if payload["stop"] else "delivered"
        return {**payload, "ending": ending, "retry_after_s": None}

    def task_all(self, tasks: list[Any]) -> list[Any]:
        return tasks

    def create_timer(self, fire_at: datetime) -> None:
        assert fire_at > self.now
        self.now = fire_at


def run(context: Any, builder: Any = None) -> Any:
    builder = builder or durable_provider_batches.provider_batch_orchestrator
    steps = builder._function.get_user_function().orchestrator_function(context)
    try:
        asked = next(steps)
        while True:
            asked = steps.send(asked)
    except StopIteration as stopped:
        return stopped.value


def once(first: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return iter([first])


def ends_at(moment: datetime) -> Looks:
    return lambda _, now: result("over" if now >= moment else "running")


def test_batch_that_completes_is_collected_and_leaves_nothing() -> None:
    context = FakeContext(once(result("running")), ends_at(START + timedelta(hours=3)))
    assert run(context) == {"left": 0}
    assert context.collects == 1
    assert context.attempts == []
    assert not any(stop for _, stop in context.looked_at)


def test_looks_become_rarer_up_to_a_limit() -> None:
    context = FakeContext(once(result("running")), ends_at(START + timedelta(hours=6)))
    run(context)
    moments = [START, *(moment for moment, _ in context.looked_at)]
    pauses = [(b - a).total_seconds() for a, b in itertools.pairwise(moments)]
    assert pauses[:4] == [60, 120, 240, 480]
    assert max(pauses) == PAUSE_S * PAUSE_FACTOR_MAX
    assert len(pauses) < 40


def test_rows_that_are_left_go_on_as_their_next_attempt() -> None:
    context = FakeContext(
        once(result("running")), ends_at(START + timedelta(hours=1)), left=[[3, 2], [7, 1]]
    )
    assert run(context) == {"left": 2}
    assert context.attempts == [(3, 2, False), (7, 1, False)]
    assert context.settled == [3, 7]


@pytest.mark.parametrize("left", [[], [[3, 2]]])
def test_what_the_batch_brought_is_drawn_whether_rows_are_left_or_not(
    left: list[list[int]],
) -> None:
    brought = [f"{BATCH_ID}.{row:05}_0" for row in range(1, 51)]
    context = FakeContext(once(result("running")), ends_at(START), left=left, brought=brought)
    assert run(context) == {"left": len(left)}
    assert context.drawn == brought


def test_window_that_ends_asks_the_provider_to_stop_and_hurries() -> None:
    end = START + timedelta(seconds=WINDOW_S)
    context = FakeContext(once(result("running")), ends_at(end + timedelta(minutes=5)))
    run(context)
    stops = [moment for moment, stop in context.looked_at if stop]
    assert stops[0] == end
    assert all(moment < end for moment, stop in context.looked_at if not stop)
    assert [(b - a).total_seconds() for a, b in itertools.pairwise(stops)] == [60] * 5


def test_batch_that_never_ends_is_left_to_the_sweep() -> None:
    context = FakeContext(once(result("running")), lambda *_: result("running"))
    run(context)
    waited = context.now - START - timedelta(seconds=WINDOW_S)
    assert CANCEL_TIME_MAX <= waited < CANCEL_TIME_MAX + timedelta(minutes=2)
    assert context.collects == 1


def test_cancel_looks_more_often_and_stops_what_is_left() -> None:
    def looks(_: dict[str, Any], now: datetime) -> dict[str, Any]:
        waited = now - START
        stage = "over" if waited > timedelta(hours=2, minutes=20) else "running"
        return result(stage, cancel_requested=waited > timedelta(hours=2))

    context = FakeContext(once(result("running")), looks, left=[[1, 2]], canceled=True)
    run(context)
    moments = [moment for moment, _ in context.looked_at]
    assert (moments[-1] - moments[-2]).total_seconds() == PAUSE_S
    assert context.attempts == [(1, 2, True)]


def test_look_that_is_not_answered_is_made_again_at_the_next_time() -> None:
    def looks(_: dict[str, Any], now: datetime) -> dict[str, Any]:
        if now < START + timedelta(hours=5):
            return {**result("searching"), "ok": False}
        return result("over")

    context = FakeContext(once(result("running")), looks)
    run(context)
    assert context.collects == 1
    assert len(context.looked_at) < 40


def test_frozen_spending_is_waited_out_before_anything_is_sent() -> None:
    frozen = result("frozen", pause_s=300.0)
    submits = iter([frozen, frozen, result("running")])
    context = FakeContext(submits, ends_at(START))
    run(context)
    assert context.looked_at[0][0] == START + timedelta(seconds=2 * 300 + PAUSE_S)


def test_freeze_of_more_than_the_window_goes_on_to_the_attempts() -> None:
    def forever() -> Iterator[dict[str, Any]]:
        while True:
            yield result("frozen", pause_s=3_600.0)

    context = FakeContext(forever(), ends_at(START), left=[[1, 1]])
    run(context)
    assert context.now - START == timedelta(seconds=WINDOW_S)
    assert context.attempts == [(1, 1, False)]


def test_submit_that_never_works_leaves_the_rows_to_the_attempts() -> None:
    broken = {"ok": False, "stage": "searching", "pause_s": 0.0, "window_s": 0.0}
    submits = iter([broken] * SUBMIT_TRIES_MAX)
    context = FakeContext(submits, ends_at(START), left=[[4, 1]])
    run(context)
    assert context.looked_at == []
    assert context.attempts == [(4, 1, False)]


class BatchContext:
    """What the batch orchestrator asks for."""

    def __init__(self, batch: BatchInput) -> None:
        self.batch = batch
        self.started: list[tuple[str, str]] = []
        self.current_utc_datetime = START

    def get_input(self) -> dict[str, Any]:
        return self.batch.to_json()

    def call_sub_orchestrator(
        self, name: str, payload: dict[str, Any], instance_id: str
    ) -> dict[str, Any]:
        assert len(instance_id) <= 100
        self.started.append((name, instance_id.removeprefix(BATCH_ID)))
        return payload

    def call_activity(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert name == names.FINISH_BATCH_ACTIVITY
        return {"ok": True, "status": "completed"}

    def task_all(self, tasks: list[Any]) -> list[Any]:
        return tasks


@pytest.mark.parametrize("deadline_rows", [0, 3])
def test_batch_starts_a_provider_batch_for_each_chunk_beside_the_chunks(
    deadline_rows: int,
) -> None:
    context = BatchContext(BatchInput(batch_id=BATCH_ID, rows=250, deadline_rows=deadline_rows))
    assert run(context, durable_generation.batch_orchestrator) == "completed"
    if not deadline_rows:
        assert context.started == [(names.CHUNK_ORCHESTRATOR, f":{n}") for n in range(3)]
        return
    waiting = [(names.PROVIDER_BATCH_ORCHESTRATOR, f":{n}:waiting") for n in range(3)]
    assert context.started == [(names.CHUNKS_ORCHESTRATOR, ":chunks"), *waiting]
    chunks = BatchContext(context.batch)
    run(chunks, durable_generation.chunks_orchestrator)
    assert chunks.started == [(names.CHUNK_ORCHESTRATOR, f":{n}") for n in range(3)]
