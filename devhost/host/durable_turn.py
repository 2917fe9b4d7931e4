"""One turn of an orchestrator: run the code on its history, and work out what follows from it."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from dataclasses import dataclass, field
from typing import Any

from azure.functions import OrchestrationContext

from devhost.host.durable_actions import (
    Action,
    ActionReplay,
    NonDeterminismError,
    Operation,
    OperationKind,
    UnsupportedActionError,
)
from devhost.host.durable_history import Event, EventType, event, timestamp_text, trigger_text
from devhost.host.durable_store import Instance, Status
from devhost.host.loading import AppFunctions, LoadedFunction

_log = logging.getLogger(__name__)

STATE_LABEL = "\n\n$OutOfProcData$:"  # the SDK puts a failed turn's state behind it
CUSTOM_STATUS_BYTES_MAX = 16 * 1024  # in UTF-16, as the durable extension counts
ACTION_DIGEST_BYTES = 6  # enough to tell one instance's actions apart


@dataclass
class Finish:
    """The end of an execution; `output` is a JSON text, `failure` the reason for a parent."""

    status: Status
    output: str | None
    failure: str | None = None


@dataclass
class TurnOutcome:
    """What one turn leads to; nothing has been stored yet."""

    new_events: list[Event]
    to_start: list[Operation] = field(default_factory=list)
    cancelled_timer_ids: list[int] = field(default_factory=list)
    finish: Finish | None = None
    continues_as_new: bool = False
    continue_as_new_input: str | None = None
    custom_status: str | None = None
    actions_seen: list[str] = field(default_factory=list)
    quiet_ids: set[int] = field(default_factory=set)


@dataclass
class LiveInstance:
    """A running instance in memory: its row and its parsed history, kept between turns."""

    row: Instance
    played: list[str]
    history: list[Event]
    quiet_ids: set[int] = field(default_factory=set)


class _TurnFailedError(Exception):
    """Ends the instance as Failed with this text."""


class TurnRunner:
    """Runs turns; each call is synchronous and touches nothing but its arguments."""

    def __init__(self, functions: AppFunctions, verify_replay: bool) -> None:
        self._functions = functions
        self._verify_replay = verify_replay

    def run(self, live: LiveInstance, batch: list[Event], now_s: float) -> TurnOutcome:
        """Runs the orchestrator with `batch` as the new events."""
        if not live.history:  # an execution begins with its ExecutionStarted, always history[1]
            batch = sorted(batch, key=lambda e: e["EventType"] != EventType.EXECUTION_STARTED)
        outcome = TurnOutcome([event(EventType.ORCHESTRATOR_STARTED, now_s), *batch])
        terminated = [e for e in batch if e["EventType"] == EventType.EXECUTION_TERMINATED]
        if terminated:
            reason = str(terminated[0].get("Input") or "")
            outcome.finish = Finish(Status.TERMINATED, json.dumps(reason), reason)
        else:
            try:
                self._run_code(live, outcome)
            except (_TurnFailedError, NonDeterminismError, UnsupportedActionError) as error:
                outcome.to_start.clear()
                outcome.finish = _failure(live.row, str(error))
            except Exception as error:
                _log.exception("instance=%s the host failed in a turn", live.row.instance_id)
                outcome.to_start.clear()
                text = f"the local host failed in this turn: {type(error).__name__}: {error}"
                outcome.finish = _failure(live.row, text)
        for operation in outcome.to_start:
            outcome.new_events.append(_scheduled(live.row, operation, now_s))
        _close_episode(outcome, now_s)
        return outcome

    def _run_code(self, live: LiveInstance, outcome: TurnOutcome) -> None:
        function = self._functions.orchestrator(live.row.name)
        if function is None:
            raise _TurnFailedError(unknown_orchestrator(self._functions, live.row.name))
        payload = trigger_text(
            instance_id=live.row.instance_id,
            parent_id=live.row.parent.instance_id if live.row.parent else None,
            input_json=live.row.input,
            played=live.played,
            new_events=outcome.new_events,
        )
        state = _call(function, payload)
        if self._verify_replay and _call(function, payload) != state:
            raise NonDeterminismError(
                "Non-Deterministic workflow detected: the same turn, run twice on the same "
                "history, gave two different answers."
            )
        self._apply(live, state, outcome)

    def _apply(self, live: LiveInstance, state: dict[str, Any], outcome: TurnOutcome) -> None:
        actions: list[Action] = [action for group in state["actions"] for action in group]
        outcome.actions_seen = [_digest(action) for action in actions]
        _check_prefix(live.row.actions_seen, outcome.actions_seen, actions)
        outcome.custom_status = _custom_status(state)
        replay = ActionReplay(actions)
        for item in (*live.history, *outcome.new_events):
            replay.feed(item)
        outcome.to_start = replay.unscheduled()
        self._check_names(outcome.to_start)
        outcome.cancelled_timer_ids = [
            o.id for o in replay.operations.values() if o.cancelled and o.scheduled
        ]
        outcome.quiet_ids = set() if self._verify_replay else replay.quiet_ids()
        if not replay.all_awaited or replay.has_open_operations:
            return
        if "error" in state:
            outcome.finish = _failure(live.row, str(state["error"]))
        elif replay.continues_as_new:
            outcome.continues_as_new = True
            outcome.continue_as_new_input = replay.continue_as_new_input
        elif state["isDone"]:
            outcome.finish = Finish(Status.COMPLETED, json.dumps(state.get("output")))

    def _check_names(self, operations: list[Operation]) -> None:
        for operation in operations:
            name = operation.name
            if operation.kind is OperationKind.ACTIVITY and not self._functions.activity(name):
                raise _TurnFailedError(
                    f"The function '{name}' doesn't exist, is disabled, or is not an activity "
                    "function. The known activity functions are: "
                    f"{self._functions.known_names('activityTrigger')}."
                )
            if operation.kind is OperationKind.CHILD and not self._functions.orchestrator(name):
                raise _TurnFailedError(unknown_orchestrator(self._functions, name))
            if operation.kind in (OperationKind.ENTITY_CALL, OperationKind.ENTITY_SIGNAL):
                self._check_entity(str(operation.instance_id))

    def _check_entity(self, entity_id: str) -> None:
        name = entity_id.split("@")[1] if entity_id.count("@") > 1 else entity_id
        if self._functions.entity(name) is None:
            raise _TurnFailedError(
                f"The function '{name}' doesn't exist, is disabled, or is not an entity function. "
                f"The known entity functions are: {self._functions.known_names('entityTrigger')}."
            )


def unknown_orchestrator(functions: AppFunctions, name: str) -> str:
    """The text for an orchestrator name that the app does not have."""
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function. "
        f"The known orchestrator functions are: {functions.known_names('orchestrationTrigger')}."
    )


def _call(function: LoadedFunction, payload: str) -> dict[str, Any]:
    """Runs the SDK's orchestrator wrapper and returns the state it answers, failed or not."""
    try:
        text = function.code(**{str(function.trigger["name"]): OrchestrationContext(payload)})
    except Exception as error:  # the boundary to user code
        _, label, text = str(error).partition(STATE_LABEL)
        if not label:
            raise _TurnFailedError(f"{type(error).__name__}: {error}") from error
    state: dict[str, Any] = json.loads(text)
    return state


def _failure(row: Instance, error: str) -> Finish:
    text = f"Orchestrator function '{row.name}' failed: {error}"
    return Finish(Status.FAILED, json.dumps(text), text)


def _custom_status(state: dict[str, Any]) -> str | None:
    if "customStatus" not in state:
        return None
    text = json.dumps(state["customStatus"], separators=(",", ":"), ensure_ascii=False)
    size_bytes = len(text.encode("utf-16-le"))
    if size_bytes > CUSTOM_STATUS_BYTES_MAX:
        raise _TurnFailedError(
            "The UTF-16 size of the JSON-serialized custom status must not exceed 16 KB; "
            f"it is {size_bytes / 1024:.1f} KB."
        )
    return text


def _digest(action: Action) -> str:
    text = json.dumps(_without_cancel(action), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=ACTION_DIGEST_BYTES).hexdigest()


def _without_cancel(action: Action) -> Action:
    """The action without the one field that may rightly change later: a timer's cancel flag."""
    kept = {key: value for key, value in action.items() if key != "isCanceled"}
    if "compoundActions" in kept:
        kept["compoundActions"] = [_without_cancel(child) for child in kept["compoundActions"]]
    return kept


def _check_prefix(before: list[str], now: list[str], actions: list[Action]) -> None:
    for index, digest in enumerate(before):
        if index >= len(now):
            raise NonDeterminismError(
                f"Non-Deterministic workflow detected: the previous turn had {len(before)} "
                f"actions, this one only {len(now)}."
            )
        if now[index] != digest:
            raise NonDeterminismError(
                f"Non-Deterministic workflow detected: action {index} differs from the previous "
                f"turn; it is now {json.dumps(actions[index])[:500]}."
            )


def _scheduled(row: Instance, operation: Operation, now_s: float) -> Event:
    """The history event that says that the operation was started."""
    if operation.kind is OperationKind.ACTIVITY:
        return event(EventType.TASK_SCHEDULED, now_s, operation.id, Name=operation.name)
    if operation.kind is OperationKind.CHILD:
        operation.instance_id = operation.instance_id or f"{row.execution_id}:{operation.id}"
        return event(
            EventType.SUB_ORCHESTRATION_CREATED,
            now_s,
            operation.id,
            Name=operation.name,
            InstanceId=operation.instance_id,
        )
    if operation.kind is OperationKind.TIMER:
        fire_at = timestamp_text(operation.fire_at_s)
        return event(EventType.TIMER_CREATED, now_s, operation.id, FireAt=fire_at)
    operation.request_id = str(uuid.uuid4())
    request = {
        "op": operation.name,
        "signal": operation.kind is OperationKind.ENTITY_SIGNAL,
        "input": operation.input,
        "id": operation.request_id,
        "parent": row.instance_id,
    }
    return event(
        EventType.EVENT_SENT,
        now_s,
        operation.id,
        Name=operation.name,
        InstanceId=operation.instance_id,
        Input=json.dumps(request),
    )


def _close_episode(outcome: TurnOutcome, now_s: float) -> None:
    """Appends the end of the execution, if it is one, and of the episode."""
    if outcome.finish is not None:
        outcome.new_events.append(
            event(
                EventType.EXECUTION_COMPLETED,
                now_s,
                OrchestrationStatus=outcome.finish.status.value,
                Result=outcome.finish.output,
            )
        )
    outcome.new_events.append(event(EventType.ORCHESTRATOR_COMPLETED, now_s))
