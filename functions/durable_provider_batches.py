"""The orchestrator of one provider batch: the rows of one chunk that may wait a day.

Activities answer with results and never raise. What the provider batch leaves undone goes on like
the rows of any other chunk, as the next attempt, inside the same reservation.
"""

from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from functions import names
from functions.durable_generation import Steps, Waiting, carry_out, undrawn_of, until_ok
from functions.payloads import ChunkInput, ProviderBatchLook

SUBMIT_TRIES_MAX = 20  # of an activity that answers "not now"; its rows go on synchronously then
SUBMIT_PAUSE = timedelta(seconds=5)
PAUSE_GROWTH = 2  # of the pause between looks, up to PAUSE_FACTOR_MAX times the first one
PAUSE_FACTOR_MAX = 15
CANCEL_TIME_MAX = timedelta(hours=1)  # a provider may take 10 minutes; after this the sweep asks
UNDER_WAY = ("searching", "running")

bp = df.Blueprint()


@bp.function_name(names.PROVIDER_BATCH_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def provider_batch_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Submit, look until it has ended, book what it brought, carry out the rest."""
    chunk = ChunkInput.read(context.get_input())
    submitted = yield from _submit(context, chunk)
    yield from _await_end(context, chunk, submitted)
    collect = names.COLLECT_PROVIDER_BATCH_ACTIVITY
    collected = yield from until_ok(context, collect, chunk.to_json())
    now = context.current_utc_datetime
    left = [Waiting(row, attempt, now) for row, attempt in collected["rows"]]
    stop = collected["cancel_requested"]
    undrawn = undrawn_of(collected)
    yield from carry_out(context, chunk.batch_id, left, stop=stop, undrawn=undrawn)
    return {"left": len(left)}


def _submit(context: df.DurableOrchestrationContext, chunk: ChunkInput) -> Steps:
    """The first word about the provider batch; while spending is frozen, nothing is sent."""
    result: dict[str, Any] = {"stage": "over", "pause_s": 0.0, "window_s": 0.0}
    first, tries = context.current_utc_datetime, 0
    while tries < SUBMIT_TRIES_MAX:
        submit = names.SUBMIT_PROVIDER_BATCH_ACTIVITY
        result = yield context.call_activity(submit, chunk.to_json())
        waited = context.current_utc_datetime - first
        frozen = result["ok"] and result["stage"] == "frozen"
        if result["ok"] and not (frozen and waited < _seconds(result["window_s"])):
            return result
        tries += not frozen
        pause = _seconds(result["pause_s"]) if frozen else SUBMIT_PAUSE
        yield context.create_timer(context.current_utc_datetime + pause)
    return {**result, "stage": "over"}


def _await_end(
    context: df.DurableOrchestrationContext, chunk: ChunkInput, result: dict[str, Any]
) -> Steps:
    """Look again and again, more and more seldom; when the time is over, ask it to stop."""
    ends_at = context.current_utc_datetime + _seconds(result["window_s"])
    first = pause = _seconds(result["pause_s"])
    while result["stage"] in UNDER_WAY:
        now: datetime = context.current_utc_datetime
        if now >= ends_at + CANCEL_TIME_MAX:
            return
        until_end = ends_at - now
        yield context.create_timer(now + (min(pause, until_end) if until_end > first else first))
        stop = context.current_utc_datetime >= ends_at
        look = ProviderBatchLook(batch_id=chunk.batch_id, number=chunk.number, stop=stop).to_json()
        looked = yield context.call_activity(names.LOOK_AT_PROVIDER_BATCH_ACTIVITY, look)
        if looked["ok"]:  # a provider that does not answer is asked again at the next look
            result = looked
        hurry = stop or result["cancel_requested"]
        pause = first if hurry else min(pause * PAUSE_GROWTH, first * PAUSE_FACTOR_MAX)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
