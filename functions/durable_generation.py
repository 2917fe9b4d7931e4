"""The orchestrators: one generation, one batch, one chunk of a batch. Deterministic by imports.

Activities answer with reports and never raise, so that a wave of them is a plain `task_all`.
"""

from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import azure.durable_functions as df

from functions import names
from functions.payloads import (
    AttemptInput,
    BatchInput,
    ChunkInput,
    FinishInput,
    GenerationInput,
    SettleInput,
    ThumbnailsInput,
)
from shared.domain.ids import chunks_of, row_generation_id

WAVE_ROWS_FIRST = 5  # small at first, then doubling: people see pictures early
WAVE_ROWS = 20  # rows in flight in a chunk; also what one settle transaction takes
CHUNKS_IN_FLIGHT = 4  # chunks of a batch at a time, so that one batch cannot fill the task hub
RUN_TIME_MAX = timedelta(hours=24)  # what still waits then is stopped and released
TRIES_MAX = 20  # of an activity that answers "not now"; the sweep restarts what fails after that
TRY_PAUSE = timedelta(seconds=5)
PAUSE_S_MIN = 1.0
THUMBNAILS_AT_ONCE = 20  # of one activity: some seconds of a thread that others wait for
ANOTHER = ("retry", "fallback")  # endings after which the next attempt runs
LATER = (*ANOTHER, "again")  # endings after which a generation is asked again

bp = df.Blueprint()
Steps = Generator[Any, Any, Any]


@bp.function_name(names.GENERATION_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def generation_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Attempt until the outcome is definite, then settle, then draw what was paid for."""
    generation_id = GenerationInput.read(context.get_input()).generation_id
    started, attempt, course = context.current_utc_datetime, 1, None
    while True:
        stop = context.current_utc_datetime - started > RUN_TIME_MAX
        report = yield _attempt(context, generation_id, attempt, course, stop=stop)
        if report["ending"] not in LATER:
            break
        attempt += report["ending"] in ANOTHER
        course = report.get("next")
        yield context.create_timer(context.current_utc_datetime + _wait_of(report))
    settled = yield from _settle(context, generation_id, [report])
    yield from _draw(context, generation_id, undrawn_of(settled))
    return report["ending"]


@bp.function_name(names.BATCH_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def batch_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Run the rows of a batch, then write its results and receipt.

    Rows that may wait go their own way beside the chunks, a provider batch for each chunk.
    """
    batch = BatchInput.read(context.get_input())
    if batch.deadline_rows:
        yield context.task_all(
            [
                context.call_sub_orchestrator(
                    names.CHUNKS_ORCHESTRATOR, batch.to_json(), f"{batch.batch_id}:chunks"
                ),
                *(
                    context.call_sub_orchestrator(
                        names.PROVIDER_BATCH_ORCHESTRATOR,
                        ChunkInput(batch_id=batch.batch_id, number=number).to_json(),
                        instance_id=f"{batch.batch_id}:{number}:waiting",
                    )
                    for number in range(chunks_of(batch.rows))
                ),
            ]
        )
    else:
        yield from _run_chunks(context, batch)
    finish = FinishInput(batch_id=batch.batch_id).to_json()
    result = yield from until_ok(context, names.FINISH_BATCH_ACTIVITY, finish)
    return result["status"]


@bp.function_name(names.CHUNKS_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def chunks_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Run the chunks of a batch that also has rows that wait."""
    batch = BatchInput.read(context.get_input())
    yield from _run_chunks(context, batch)
    return {"rows": batch.rows}


def _run_chunks(context: df.DurableOrchestrationContext, batch: BatchInput) -> Steps:
    """Run the chunks of a batch, a few at a time."""
    numbers = range(chunks_of(batch.rows))
    for start in numbers[::CHUNKS_IN_FLIGHT]:
        yield context.task_all(
            [
                context.call_sub_orchestrator(
                    names.CHUNK_ORCHESTRATOR,
                    ChunkInput(batch_id=batch.batch_id, number=number).to_json(),
                    instance_id=f"{batch.batch_id}:{number}",
                )
                for number in numbers[start : start + CHUNKS_IN_FLIGHT]
            ]
        )


@bp.function_name(names.CHUNK_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def chunk_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Carry out the rows of one chunk in waves; each wave is settled in one transaction."""
    chunk = ChunkInput.read(context.get_input())
    opened = yield from until_ok(context, names.OPEN_CHUNK_ACTIVITY, chunk.to_json())
    now = context.current_utc_datetime
    waiting = [Waiting(row, 1, now) for row in opened["rows"]]
    yield from carry_out(context, chunk.batch_id, waiting, stop=opened["cancel_requested"])
    return {"rows": len(opened["rows"])}


class Waiting(NamedTuple):
    """A row to be carried out, with the number of its next attempt, not before `due`."""

    row: int
    attempt: int
    due: datetime
    course: dict[str, Any] | None = None  # what its earlier attempts have come to


def carry_out(
    context: df.DurableOrchestrationContext,
    batch_id: str,
    waiting: Sequence[Waiting],
    *,
    stop: bool,
    undrawn: Sequence[str] = (),
) -> Steps:
    """Carry out rows in waves, each settled in one transaction; with `stop`, only end them.

    Beside each wave, the thumbnails of what was settled before it are drawn.
    """
    started = context.current_utc_datetime
    stopping, width = False, WAVE_ROWS_FIRST
    while waiting:
        now = context.current_utc_datetime
        stop = stop or now - started > RUN_TIME_MAX
        if stop and not stopping:  # nothing is waited for any more, but for our own faults
            waiting, stopping = [each._replace(due=now) for each in waiting], True
        wave = [each for each in waiting if each.due <= now][:width]
        drawing, undrawn = _drawings(context, batch_id, undrawn), ()
        if not wave:
            due = min(each.due for each in waiting)
            yield context.task_all(drawing) if drawing else context.create_timer(due)
            continue
        attempts = [
            _attempt(
                context,
                row_generation_id(batch_id, each.row),
                each.attempt,
                each.course,
                stop=stop,
            )
            for each in wave
        ]
        reports = (yield context.task_all([*attempts, *drawing]))[: len(attempts)]
        ended = [report for report in reports if report["ending"] not in LATER]
        if ended:
            settled = yield from _settle(context, batch_id, ended)
            stop, undrawn = stop or settled["cancel_requested"], undrawn_of(settled)
        postponed = _postponed(wave, reports, context.current_utc_datetime)
        waiting = [each for each in waiting if each not in wave] + postponed
        # A gate or a provider that says "later" is asked for about as much as it let through.
        width = max(1, len(ended)) if postponed else min(WAVE_ROWS, width * 2)
    yield from _draw(context, batch_id, undrawn)


def _postponed(
    wave: Sequence[Waiting], reports: Sequence[dict[str, Any]], now: datetime
) -> list[Waiting]:
    """The rows to ask again: each waits for its own time, nobody waits for another's."""
    return [
        Waiting(
            row=each.row,
            attempt=each.attempt + (report["ending"] in ANOTHER),
            due=now + _wait_of(report),
            course=report.get("next"),
        )
        for each, report in zip(wave, reports, strict=True)
        if report["ending"] in LATER
    ]


def _wait_of(report: dict[str, Any]) -> timedelta:
    return timedelta(seconds=max(PAUSE_S_MIN, report["retry_after_s"] or 0))


def _attempt(
    context: df.DurableOrchestrationContext,
    generation_id: str,
    attempt: int,
    course: dict[str, Any] | None,
    *,
    stop: bool,
) -> Any:
    payload = AttemptInput(generation_id=generation_id, attempt=attempt, stop=stop, course=course)
    return context.call_activity(names.ATTEMPT_ACTIVITY, payload.to_json())


def _settle(
    context: df.DurableOrchestrationContext,
    operation_id: str,
    reports: Sequence[dict[str, Any]],
) -> Steps:
    payload = SettleInput(operation_id=operation_id, reports=tuple(reports)).to_json()
    return (yield from until_ok(context, names.SETTLE_ACTIVITY, payload))


def undrawn_of(booked: dict[str, Any]) -> Sequence[str]:
    """The pictures that an activity booked; answers of earlier versions do not name them."""
    image_ids: Sequence[str] = booked.get("image_ids", ())
    return image_ids


def _drawings(
    context: df.DurableOrchestrationContext, operation_id: str, image_ids: Sequence[str]
) -> list[Any]:
    """Tasks that draw thumbnails, some pictures each."""
    shares = [
        tuple(image_ids[start : start + THUMBNAILS_AT_ONCE])
        for start in range(0, len(image_ids), THUMBNAILS_AT_ONCE)
    ]
    payloads = [ThumbnailsInput(operation_id=operation_id, image_ids=share) for share in shares]
    draw = names.DRAW_THUMBNAILS_ACTIVITY
    return [context.call_activity(draw, payload.to_json()) for payload in payloads]


def _draw(
    context: df.DurableOrchestrationContext, operation_id: str, image_ids: Sequence[str]
) -> Steps:
    drawing = _drawings(context, operation_id, image_ids)
    if drawing:
        yield context.task_all(drawing)


def until_ok(
    context: df.DurableOrchestrationContext, activity: str, payload: dict[str, Any]
) -> Steps:
    """Call an activity until it answers ok; fail the orchestration after TRIES_MAX."""
    for _ in range(TRIES_MAX):
        result = yield context.call_activity(activity, payload)
        if result["ok"]:
            return result
        yield context.create_timer(context.current_utc_datetime + TRY_PAUSE)
    raise TimeoutError(f"{activity} did not succeed in {TRIES_MAX} tries")
