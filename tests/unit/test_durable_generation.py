"""The chunk orchestrator over virtual time: who waits, who goes on, and when waiting ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from functions import durable_generation, names
from functions.durable_generation import RUN_TIME_MAX, THUMBNAILS_AT_ONCE, WAVE_ROWS
from functions.payloads import ChunkInput, GenerationInput, ThumbnailsInput, ThumbnailsResult
from shared.domain.ids import image_id, row_generation_id, row_of

START = datetime(2026, 11, 22, tzinfo=UTC)
BATCH_ID = "202611-marketing-" + "a" * 32
Answer = Callable[[int, dict[str, Any]], dict[str, Any]]


@dataclass
class FakeContext:
    """Runs activities at once; timers move the clock."""

    answer: Answer
    rows: tuple[int, ...]
    now: datetime = START
    waves: list[list[int]] = field(default_factory=list)
    ended_at: dict[int, datetime] = field(default_factory=dict)
    timers: int = 0
    drawn: list[tuple[datetime, list[str]]] = field(default_factory=list)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def get_input(self) -> dict[str, Any]:
        return ChunkInput(batch_id=BATCH_ID, number=0).to_json()

    def call_activity(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        if name == names.OPEN_CHUNK_ACTIVITY:
            return {"ok": True, "rows": list(self.rows), "cancel_requested": False}
        if name == names.SETTLE_ACTIVITY:
            for report in payload["reports"]:
                self.ended_at[row_of(report["generation_id"]) or 0] = self.now
            settled = [each for each in payload["reports"] if each.get("pictures")]
            image_ids = [image_id(e["generation_id"], n) for e in settled for n in e["pictures"]]
            named = {"image_ids": image_ids} if image_ids else {}
            return {"ok": True, "cancel_requested": False, **named}
        if name == names.DRAW_THUMBNAILS_ACTIVITY:
            task = ThumbnailsInput.read(payload)
            assert task.operation_id == BATCH_ID
            self.drawn.append((self.now, list(task.image_ids)))
            return ThumbnailsResult(ok=False).to_json()
        return self.answer(row_of(payload["generation_id"]) or 0, payload)

    def task_all(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [row_of(each["generation_id"]) or 0 for each in answers if "generation_id" in each]
        if rows:
            self.waves.append(rows)
        return answers

    def create_timer(self, fire_at: datetime) -> None:
        assert fire_at > self.now
        self.now, self.timers = fire_at, self.timers + 1


def report(payload: dict[str, Any], ending: str, wait_s: float | None = None) -> dict[str, Any]:
    return {
        "generation_id": payload["generation_id"],
        "attempt": payload["attempt"],
        "ending": ending,
        "retry_after_s": wait_s,
    }


def run(context: FakeContext, builder: Any = durable_generation.chunk_orchestrator) -> Any:
    steps = builder._function.get_user_function().orchestrator_function(context)
    asked = next(steps)
    while True:
        try:
            asked = steps.send(asked)
        except StopIteration as stopped:
            return stopped.value


def test_rows_that_are_throttled_do_not_hold_up_the_others() -> None:
    def throttled_first_half(row: int, payload: dict[str, Any]) -> dict[str, Any]:
        if row <= 10 and payload["attempt"] == 1:
            return report(payload, "retry", 300)
        return report(payload, "delivered")

    context = FakeContext(throttled_first_half, tuple(range(1, 31)))
    run(context)
    assert set(context.ended_at) == set(range(1, 31))
    assert all(context.ended_at[row] == START for row in range(11, 31))
    assert all(context.ended_at[row] == START + timedelta(seconds=300) for row in range(1, 11))


def test_waves_grow_while_everything_goes_through() -> None:
    context = FakeContext(lambda _, payload: report(payload, "delivered"), tuple(range(1, 101)))
    run(context)
    assert [len(wave) for wave in context.waves] == [5, 10, 20, 20, 20, 20, 5]
    assert max(map(len, context.waves)) == WAVE_ROWS
    assert context.timers == 0


def test_rows_that_may_never_start_are_stopped_after_a_day() -> None:
    def never(_: int, payload: dict[str, Any]) -> dict[str, Any]:
        return report(payload, "canceled") if payload["stop"] else report(payload, "again", 600)

    context = FakeContext(never, (1, 2, 3))
    run(context)
    assert set(context.ended_at) == {1, 2, 3}
    assert min(context.ended_at.values()) - START > RUN_TIME_MAX
    assert max(context.ended_at.values()) - START < RUN_TIME_MAX + timedelta(hours=1)


def test_fault_of_ours_while_stopping_is_waited_out() -> None:
    faults = iter(["again"] * 5)

    def faulty_at_the_end(_: int, payload: dict[str, Any]) -> dict[str, Any]:
        if not payload["stop"]:
            return report(payload, "again", 86_500)
        return report(payload, next(faults, "canceled"), 5)

    context = FakeContext(faulty_at_the_end, (1,))
    run(context)
    assert context.timers == 6
    assert set(context.ended_at) == {1}


def test_a_fallback_is_the_next_attempt_with_what_went_before() -> None:
    course = {"candidate": 1, "lines": [{"attempt": 1}], "held_micros": 7}
    seen: list[tuple[int, Any]] = []

    def falls_through(row: int, payload: dict[str, Any]) -> dict[str, Any]:
        seen.append((payload["attempt"], payload["course"]))
        if payload["attempt"] == 1:
            return report(payload, "fallback") | {"next": course}
        return report(payload, "delivered")

    context = FakeContext(falls_through, (1,))
    run(context)
    assert seen == [(1, None), (2, course)]
    assert set(context.ended_at) == {1}


def test_a_model_that_is_passed_over_keeps_the_number_of_the_attempt() -> None:
    course = {"candidate": 2, "lines": [], "held_micros": None}
    seen: list[tuple[int, Any]] = []

    def passed_over(row: int, payload: dict[str, Any]) -> dict[str, Any]:
        seen.append((payload["attempt"], payload["course"]))
        if payload["course"] is None:
            return report(payload, "again", 0) | {"next": course}
        return report(payload, "delivered")

    run(FakeContext(passed_over, (1,)))
    assert seen == [(1, None), (1, course)]


def painted(payload: dict[str, Any], pictures: int) -> dict[str, Any]:
    return report(payload, "delivered") | {"pictures": list(range(pictures))}


def test_all_that_was_paid_for_is_drawn_beside_the_next_wave_and_at_the_end() -> None:
    context = FakeContext(lambda _, payload: painted(payload, 2), tuple(range(1, 31)))
    run(context)
    drawn = [each for _, share in context.drawn for each in share]
    assert drawn == [
        image_id(row_generation_id(BATCH_ID, row), n) for row in range(1, 31) for n in range(2)
    ]
    assert [len(wave) for wave in context.waves] == [5, 10, 15]
    assert [len(share) for _, share in context.drawn] == [10, 20, 20, 10]
    assert max(len(share) for _, share in context.drawn) == THUMBNAILS_AT_ONCE


def test_thumbnails_do_not_wait_for_rows_that_wait() -> None:
    def throttled(row: int, payload: dict[str, Any]) -> dict[str, Any]:
        if row == 2 and payload["attempt"] == 1:
            return report(payload, "retry", 600)
        return painted(payload, 1)

    context = FakeContext(throttled, (1, 2))
    run(context)
    ids = [image_id(row_generation_id(BATCH_ID, row), 0) for row in (1, 2)]
    assert context.drawn == [(START, ids[:1]), (START + timedelta(seconds=600), ids[1:])]


def test_what_delivers_nothing_asks_for_no_drawing() -> None:
    context = FakeContext(lambda _, payload: report(payload, "ended"), (1, 2))
    run(context)
    assert set(context.ended_at) == {1, 2}
    assert context.drawn == []


class OneGeneration(FakeContext):
    """The context of a generation by itself."""

    def get_input(self) -> dict[str, Any]:
        return GenerationInput(generation_id=BATCH_ID).to_json()


def test_generation_is_drawn_after_it_is_settled_and_ends_as_it_ended() -> None:
    context = OneGeneration(lambda _, payload: painted(payload, 3), ())
    assert run(context, durable_generation.generation_orchestrator) == "delivered"
    assert context.drawn == [(START, [image_id(BATCH_ID, n) for n in range(3)])]
    assert list(context.ended_at) == [0]
