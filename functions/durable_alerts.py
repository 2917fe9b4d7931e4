"""The orchestrator of one alert: to all of its channels, with waits of seconds up to a day.

It decides nothing: each activity says whether its channel is done, or when to try it again.
"""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import azure.durable_functions as df

from functions import names
from functions.payloads import AlertInput, DeliverInput
from shared.domain.deliveries import ATTEMPTS_MAX

FAULTS_MAX = 60  # of ours, in a row on one channel: an hour; then the sweep starts the rest again
FAULT_PAUSE_S = 60
PAUSE_S_MIN = 1

bp = df.Blueprint()
Steps = Generator[Any, Any, Any]


class _Waiting(NamedTuple):
    """A channel that is to be tried for the `attempt`-th time, not before `due`."""

    channel: str
    attempt: int
    faults: int
    due: datetime


@bp.function_name(names.ALERT_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def alert_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Try every channel that is due, wait for the next one, until none is left."""
    alert = AlertInput.read(context.get_input())
    waiting = [_Waiting(each, 1, 0, context.current_utc_datetime) for each in alert.channels]
    while waiting:
        now = context.current_utc_datetime
        due = [each for each in waiting if each.due <= now]
        if not due:
            yield context.create_timer(min(each.due for each in waiting))
            continue
        results = yield context.task_all(
            [
                context.call_activity(
                    names.DELIVER_ALERT_ACTIVITY,
                    DeliverInput(alert.alert_id, each.channel, each.attempt).to_json(),
                )
                for each in due
            ]
        )
        now = context.current_utc_datetime
        waiting = [each for each in waiting if each not in due]
        for each, result in zip(due, results, strict=True):
            following = _following(each, result, now)
            if following is not None:
                waiting.append(following)
    return {"channels": len(alert.channels)}


def _following(tried: _Waiting, result: dict[str, Any], now: datetime) -> _Waiting | None:
    """When to try a channel again; None if it is done, or if we keep failing ourselves."""
    if not result["ok"]:
        pause = timedelta(seconds=FAULT_PAUSE_S)
        if tried.faults >= FAULTS_MAX:
            return None
        return tried._replace(faults=tried.faults + 1, due=now + pause)
    if result["status"] != "pending" or tried.attempt >= ATTEMPTS_MAX:
        return None
    pause = timedelta(seconds=max(PAUSE_S_MIN, result["retry_after_s"] or 0))
    return _Waiting(tried.channel, tried.attempt + 1, 0, now + pause)
