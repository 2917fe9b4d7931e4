"""Instances as the status API shows them."""

from __future__ import annotations

import json
from typing import Any

from devhost.host.durable_history import EVENT_TYPE_NAMES, Event, EventType, timestamp_text
from devhost.host.durable_store import Instance

# Bookkeeping that the durable extension leaves out of `historyEvents`.
_HIDDEN = (
    EventType.ORCHESTRATOR_STARTED,
    EventType.ORCHESTRATOR_COMPLETED,
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
)


def status_json(row: Instance, show_input: bool) -> dict[str, Any]:
    """One instance as JSON; times in UTC."""
    return {
        "name": row.name,
        "instanceId": row.instance_id,
        "runtimeStatus": row.status.value,
        "input": json.loads(row.input) if show_input else None,
        "customStatus": json.loads(row.custom_status) if row.custom_status else None,
        "output": json.loads(row.output) if row.output else None,
        "createdTime": timestamp_text(row.created_at),
        "lastUpdatedTime": timestamp_text(row.updated_at),
    }


def history_json(events: list[Event], show_output: bool) -> list[dict[str, Any]]:
    """The history for people: completions carry the name and time of what they complete."""
    scheduled = {item["EventId"]: item for item in events if item["EventId"] >= 0}
    shown = []
    for item in events:
        kind = EventType(item["EventType"])
        if kind in _HIDDEN:
            continue
        entry = {"EventType": EVENT_TYPE_NAMES[kind], "Timestamp": item["Timestamp"]}
        source = scheduled.get(item.get("TaskScheduledId", item.get("TimerId", -1)))
        if source is not None:
            entry["ScheduledTime"] = source["Timestamp"]
            if source.get("Name"):
                entry["FunctionName"] = source["Name"]
        if kind is EventType.EXECUTION_STARTED:
            entry["FunctionName"] = item["Name"]
        for key in ("Name", "InstanceId", "Reason", "FireAt", "OrchestrationStatus"):
            if item.get(key) is not None and kind is not EventType.EXECUTION_STARTED:
                entry[key] = item[key]
        if show_output and item.get("Result") is not None:
            entry["Result"] = json.loads(item["Result"])
        shown.append(entry)
    return shown
