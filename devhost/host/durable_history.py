"""History events of the Durable JSON protocol: building them, and the text an orchestrator gets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

Event = dict[str, Any]

COMPLETION_ID = -1  # the EventId of every event that is not itself scheduled work
SCHEMA_V2 = 1
SCHEMA_V3 = 2
REASON_CHARS_MAX = 8_000  # a stack trace is for people; it must not swell the history


class EventType(IntEnum):
    """Numbers from DurableTask.Core's EventType."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_FAILED = 2
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


# `Name` of each type in a status answer's `historyEvents`.
EVENT_TYPE_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_FAILED: "ExecutionFailed",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.ORCHESTRATOR_STARTED: "OrchestratorStarted",
    EventType.ORCHESTRATOR_COMPLETED: "OrchestratorCompleted",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}


def timestamp_text(epoch_s: float) -> str:
    """ISO 8601 in UTC with seven decimals, as .NET writes it."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def parse_timestamp(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 text; a text without an offset is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def event(kind: EventType, at_s: float, event_id: int = COMPLETION_ID, **fields: Any) -> Event:
    """A history event without IsPlayed, which depends on who reads it."""
    return {
        "EventType": int(kind),
        "EventId": event_id,
        "Timestamp": timestamp_text(at_s),
        **fields,
    }


def task_result(at_s: float, task_id: int, result: str | None) -> Event:
    return event(EventType.TASK_COMPLETED, at_s, TaskScheduledId=task_id, Result=result)


def task_failure(at_s: float, task_id: int, reason: str, details: str) -> Event:
    return event(
        EventType.TASK_FAILED,
        at_s,
        TaskScheduledId=task_id,
        Reason=reason[:REASON_CHARS_MAX],
        Details=details[:REASON_CHARS_MAX],
    )


def child_result(at_s: float, task_id: int, result: str | None) -> Event:
    return event(
        EventType.SUB_ORCHESTRATION_COMPLETED, at_s, TaskScheduledId=task_id, Result=result
    )


def child_failure(at_s: float, task_id: int, reason: str) -> Event:
    return event(
        EventType.SUB_ORCHESTRATION_FAILED,
        at_s,
        TaskScheduledId=task_id,
        Reason=reason[:REASON_CHARS_MAX],
        Details=reason[:REASON_CHARS_MAX],
    )


def events_text(events: Iterable[Event], played: bool) -> str:
    """The events as the inside of a JSON array, each marked as played or new."""
    mark = '{"IsPlayed":true,' if played else '{"IsPlayed":false,'
    return ",".join(mark + json.dumps(item, separators=(",", ":"))[1:] for item in events)


def parse_events(text: str) -> list[Event]:
    """The events of an `events_text`."""
    events: list[Event] = json.loads(f"[{text}]")
    return events


def trigger_text(
    *,
    instance_id: str,
    parent_id: str | None,
    input_json: str,
    played: list[str],
    new_events: list[Event],
) -> str:
    """The orchestration trigger's payload.

    `played` holds the text of each earlier episode and `input_json` is spliced in as it is. The
    long-timer settings are left out: without them the SDK makes one timer whatever its length.
    """
    head = {
        "instanceId": instance_id,
        "isReplaying": bool(played),
        "parentInstanceId": parent_id,
        "upperSchemaVersion": SCHEMA_V2,
        "upperSchemaVersionNew": SCHEMA_V3,
    }
    history = ",".join([*played, events_text(new_events, played=False)])
    return f'{json.dumps(head)[:-1]},"input":{input_json},"history":[{history}]}}'
