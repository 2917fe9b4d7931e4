"""The orchestrators: one generation, one batch, one chunk of a batch. Deterministic by imports.

Activities answer with reports and never raise, so that a wave of them is a plain `task_all`.
"""

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from functions import names
from functions.payloads import (
    AttemptInput,
    BatchInput,
    ChunkInput,
    FinishInput,
    GenerationInput,
    SettleInput,
)
from shared.domain.ids import chunks_of, row_generation_id

WAVE_ROWS_FIRST = 5  # small at first, then doubling: people see pictures early
WAVE_ROWS = 20  # rows in flight in a chunk; also what one settle transaction takes
CHUNKS_IN_FLIGHT = 4  # chunks of a batch at a time, so that one batch cannot fill the task hub
TURNS_MAX = 500  # waves of one chunk, or tries of one generation, before what is left is stopped
TRIES_MAX = 20  # of an activity that answers "not now"; the sweep restarts what fails after that
TRY_PAUSE_S = 5
PAUSE_S_MIN = 1.0

bp = df.Blueprint()
Steps = Generator[Any, Any, Any]


@bp.function_name(names.GENERATION_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def generation_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Attempt until the outcome is definite, then settle."""
    generation_id = GenerationInput.read(context.get_input()).generation_id
    attempt, report = 1, None
    for turn in range(TURNS_MAX):
        report = yield _attempt(context, generation_id, attempt, stop=turn == TURNS_MAX - 1)
        if report["ending"] not in ("retry", "again"):
            break
        attempt += report["ending"] == "retry"
        yield _pause(context, report["retry_after_s"])
    yield from _settle(context, generation_id, [report])
    return report["ending"] if report else None


@bp.function_name(names.BATCH_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def batch_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Run the chunks of a batch, a few at a time, then write its results and receipt."""
    batch = BatchInput.read(context.get_input())
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
    finish = FinishInput(batch_id=batch.batch_id).to_json()
    result = yield from _until_ok(context, names.FINISH_BATCH_ACTIVITY, finish)
    return result["status"]


@bp.function_name(names.CHUNK_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def chunk_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Carry out the rows of one chunk in waves; each wave is settled in one transaction."""
    chunk = ChunkInput.read(context.get_input())
    opened = yield from _until_ok(context, names.OPEN_CHUNK_ACTIVITY, chunk.to_json())
    waiting = [(row, 1) for row in opened["rows"]]
    stop, width = opened["cancel_requested"], WAVE_ROWS_FIRST
    turn = 0
    while waiting:
        turn += 1
        wave, waiting = waiting[:width], waiting[width:]
        reports = yield context.task_all(
            [
                _attempt(context, row_generation_id(chunk.batch_id, row), attempt, stop=stop)
                for row, attempt in wave
            ]
        )
        ended = [report for report in reports if report["ending"] not in ("retry", "again")]
        if ended:
            settled = yield from _settle(context, chunk.batch_id, ended)
            stop = stop or settled["cancel_requested"]
        postponed = _postponed(wave, reports)
        if postponed:
            # A gate or a provider said "later": ask for about as much as it let through.
            width = max(1, len(ended))
            yield _pause(context, max(r["retry_after_s"] or PAUSE_S_MIN for r in reports))
            waiting = postponed + waiting
        else:
            width = min(WAVE_ROWS, width * 2)
        stop = stop or turn >= TURNS_MAX
    return {"turns": turn}


def _postponed(
    wave: Sequence[tuple[int, int]], reports: Sequence[dict[str, Any]]
) -> list[tuple[int, int]]:
    """The rows to ask again, with their next attempt number."""
    return [
        (row, attempt + (report["ending"] == "retry"))
        for (row, attempt), report in zip(wave, reports, strict=True)
        if report["ending"] in ("retry", "again")
    ]


def _attempt(
    context: df.DurableOrchestrationContext, generation_id: str, attempt: int, *, stop: bool
) -> Any:
    payload = AttemptInput(generation_id=generation_id, attempt=attempt, stop=stop)
    return context.call_activity(names.ATTEMPT_ACTIVITY, payload.to_json())


def _pause(context: df.DurableOrchestrationContext, seconds: float | None) -> Any:
    wait = timedelta(seconds=max(PAUSE_S_MIN, seconds or 0))
    return context.create_timer(context.current_utc_datetime + wait)


def _settle(
    context: df.DurableOrchestrationContext,
    operation_id: str,
    reports: Sequence[dict[str, Any] | None],
) -> Steps:
    known = tuple(report for report in reports if report is not None)
    payload = SettleInput(operation_id=operation_id, reports=known).to_json()
    return (yield from _until_ok(context, names.SETTLE_ACTIVITY, payload))


def _until_ok(
    context: df.DurableOrchestrationContext, activity: str, payload: dict[str, Any]
) -> Steps:
    """Call an activity until it answers ok; fail the orchestration after TRIES_MAX."""
    for _ in range(TRIES_MAX):
        result = yield context.call_activity(activity, payload)
        if result["ok"]:
            return result
        yield _pause(context, TRY_PAUSE_S)
    raise TimeoutError(f"{activity} did not succeed in {TRIES_MAX} tries")
