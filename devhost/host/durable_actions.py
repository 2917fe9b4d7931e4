"""Replays an orchestrator's actions against its history, to find what has to be scheduled now.

The SDK answers each turn with the whole list of actions so far. The durable extension awaits that
list strictly in order and hands out task ids depth-first as work starts; both sides count ids
independently, so this file must count exactly as DurableTask does.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from devhost.host.durable_history import Event, EventType, parse_timestamp

Action = dict[str, Any]


class ActionType(IntEnum):
    """Numbers from the SDK's ActionType."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    SCHEDULED_SIGNAL_ENTITY = 10
    WHEN_ANY = 11
    WHEN_ALL = 12


class OperationKind(StrEnum):
    """What an allocated task id stands for; the value names it in error texts."""

    ACTIVITY = "activity"
    CHILD = "sub-orchestration"
    TIMER = "timer"
    ENTITY_CALL = "entity call"
    ENTITY_SIGNAL = "entity signal"


class UnsupportedActionError(Exception):
    """The orchestrator asked for something that this host does not emulate."""


class NonDeterminismError(Exception):
    """The actions do not fit the history: the orchestrator behaved differently on replay."""


class Node:
    """A task in the tree that one action stands for."""

    def __init__(self, parent: Node | None = None) -> None:
        self.parent = parent
        self.done = False
        self.failed = False

    def finish(self, failed: bool = False) -> None:
        """Completes the task once; a second completion is ignored, as DurableTask does."""
        if self.done:
            return
        self.done, self.failed = True, failed
        if self.parent is not None:
            self.parent.child_finished(self)

    def child_finished(self, child: Node) -> None:
        raise NotImplementedError


@dataclass
class Operation:
    """Work with a task id; `scheduled` once the history says that it was started."""

    id: int
    kind: OperationKind
    name: str
    node: Node
    input: str | None = None
    instance_id: str | None = None
    version: str | None = None
    fire_at_s: float = 0.0
    cancelled: bool = False
    scheduled: bool = False
    request_id: str | None = None


class Leaf(Node):
    """The task of one operation, or of an external event."""


class All(Node):
    """Complete when every child is; failed when one did."""

    def __init__(self, parent: Node | None) -> None:
        super().__init__(parent)
        self.children: list[Node] = []
        self.any_failed = False
        self._finished = 0
        self._sealed = False

    def seal(self) -> None:
        """Called when every child has been started."""
        self._sealed = True
        self._check()

    def child_finished(self, child: Node) -> None:
        self.any_failed = self.any_failed or child.failed
        self._finished += 1
        self._check()

    def _check(self) -> None:
        if self._sealed and self._finished == len(self.children):
            self.finish(self.any_failed)


class First(Node):
    """Complete when the first child is."""

    def child_finished(self, child: Node) -> None:
        self.finish(child.failed)


class Retry(Node):
    """An activity or sub-orchestration with attempts, and a timer after each failed one.

    DurableTask also starts a timer after the last failure, and the SDK waits for it; here that
    extra timer is due at once.
    """

    def __init__(self, parent: Node | None, replay: ActionReplay, action: Action) -> None:
        super().__init__(parent)
        options = action["retryOptions"]
        self._replay = replay
        self._action = action
        self._attempts_max = int(options["maxNumberOfAttempts"])
        self._delay_s = float(options["firstRetryIntervalInMilliseconds"]) / 1000
        self._coefficient = float(options.get("backoffCoefficient") or 1)
        self._delay_max_s = float(options.get("maxRetryIntervalInMilliseconds") or 0) / 1000
        self._attempt = 1
        self._on_timer = False

    def start_attempt(self) -> None:
        self._replay.start_call(self._action, Leaf(self))

    def child_finished(self, child: Node) -> None:
        if self._on_timer:
            self._on_timer = False
            if self._attempt >= self._attempts_max:
                self.finish(failed=True)
                return
            self._attempt += 1
            self.start_attempt()
        elif child.failed:
            self._on_timer = True
            self._replay.start_timer(self._replay.now_s + self._next_delay_s(), Leaf(self))
        else:
            self.finish()

    def _next_delay_s(self) -> float:
        if self._attempt >= self._attempts_max:
            return 0.0
        delay_s = self._delay_s * self._coefficient ** (self._attempt - 1)
        return min(delay_s, self._delay_max_s) if self._delay_max_s else delay_s


_CALLS = {
    ActionType.CALL_ACTIVITY: OperationKind.ACTIVITY,
    ActionType.CALL_ACTIVITY_WITH_RETRY: OperationKind.ACTIVITY,
    ActionType.CALL_SUB_ORCHESTRATOR: OperationKind.CHILD,
    ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY: OperationKind.CHILD,
}
_RETRIES = (ActionType.CALL_ACTIVITY_WITH_RETRY, ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY)
_SCHEDULED_BY = {
    EventType.TASK_SCHEDULED: (OperationKind.ACTIVITY,),
    EventType.SUB_ORCHESTRATION_CREATED: (OperationKind.CHILD,),
    EventType.TIMER_CREATED: (OperationKind.TIMER,),
    EventType.EVENT_SENT: (OperationKind.ENTITY_CALL, OperationKind.ENTITY_SIGNAL),
}
_COMPLETED_BY = {
    EventType.TASK_COMPLETED: ("TaskScheduledId", False),
    EventType.TASK_FAILED: ("TaskScheduledId", True),
    EventType.SUB_ORCHESTRATION_COMPLETED: ("TaskScheduledId", False),
    EventType.SUB_ORCHESTRATION_FAILED: ("TaskScheduledId", True),
    EventType.TIMER_FIRED: ("TimerId", False),
}


class ActionReplay:
    """One replay: feed it the history in order, then read what is left to do."""

    def __init__(self, actions: list[Action]) -> None:
        self.operations: dict[int, Operation] = {}
        self.continue_as_new_input: str | None = None
        self.continues_as_new = False
        self.now_s = 0.0
        self._actions = actions
        self._next_action = 0
        self._current: Node | None = None
        self._waiters: dict[str, list[Leaf]] = defaultdict(list)
        self._buffered: dict[str, deque[Event]] = defaultdict(deque)
        self._entity_requests: dict[str, Operation] = {}

    def feed(self, item: Event) -> None:
        """Applies one history event; raises when it contradicts the actions."""
        kind = EventType(item["EventType"])
        if kind is EventType.ORCHESTRATOR_STARTED:
            self.now_s = max(self.now_s, parse_timestamp(item["Timestamp"]))
        elif kind is EventType.EXECUTION_STARTED:
            self._advance()
        elif kind in _SCHEDULED_BY:
            self._confirm(kind, item)
        elif kind in _COMPLETED_BY:
            key, failed = _COMPLETED_BY[kind]
            operation = self.operations.get(item[key])
            if operation is not None:
                operation.node.finish(failed)
                self._advance()
        elif kind is EventType.EVENT_RAISED:
            self._raise(item)
            self._advance()

    @property
    def all_awaited(self) -> bool:
        """Whether the extension would have awaited every action by now."""
        return self._next_action >= len(self._actions) and (
            self._current is None or self._current.done
        )

    @property
    def has_open_operations(self) -> bool:
        """Whether started work is unfinished: DurableTask completes no instance before that."""
        return any(
            not operation.node.done and operation.kind is not OperationKind.ENTITY_SIGNAL
            for operation in self.operations.values()
        )

    def unscheduled(self) -> list[Operation]:
        """Operations to start now, in id order."""
        return [
            operation
            for operation in self.operations.values()
            if not operation.scheduled and not operation.cancelled
        ]

    def quiet_ids(self) -> set[int]:
        """Task ids of which every one must succeed before the orchestrator can do anything.

        Empty when that cannot be told. It holds while the last action is a plain `task_all`
        without a failure: user code is suspended in exactly that task.
        """
        current = self._current
        if self._next_action < len(self._actions) or not isinstance(current, All):
            return set()
        if current.any_failed or not all(type(child) is Leaf for child in current.children):
            return set()
        by_node = {id(o.node): o.id for o in self.operations.values()}
        if not all(id(child) in by_node for child in current.children):
            return set()  # one of them is an external event
        return {by_node[id(child)] for child in current.children if not child.done}

    def start_call(self, action: Action, node: Node) -> None:
        """Allocates the id of an activity or a sub-orchestration."""
        operation = self._allocate(_CALLS[ActionType(action["actionType"])], node)
        operation.name = str(action["functionName"])
        operation.input = action.get("input")
        operation.instance_id = action.get("instanceId") or None
        operation.version = action.get("version")

    def start_timer(self, fire_at_s: float, node: Node) -> Operation:
        """Allocates the id of a timer."""
        operation = self._allocate(OperationKind.TIMER, node)
        operation.fire_at_s = fire_at_s
        return operation

    def _allocate(self, kind: OperationKind, node: Node) -> Operation:
        operation = Operation(id=len(self.operations), kind=kind, name="", node=node)
        self.operations[operation.id] = operation
        return operation

    def _advance(self) -> None:
        while self._current is None or self._current.done:
            if self._next_action >= len(self._actions):
                return
            action = self._actions[self._next_action]
            self._next_action += 1
            self._current = self._start(action, None)

    def _start(self, action: Action, parent: Node | None) -> Node:
        kind = ActionType(action["actionType"])
        if kind is ActionType.WHEN_ALL:
            group = All(parent)
            for child in action["compoundActions"]:
                group.children.append(self._start(child, group))
            group.seal()
            return group
        if kind is ActionType.WHEN_ANY:
            first = First(parent)
            for child in action["compoundActions"]:
                self._start(child, first)
            return first
        if kind in _RETRIES:
            retry = Retry(parent, self, action)
            retry.start_attempt()
            return retry
        leaf = Leaf(parent)
        self._start_leaf(kind, action, leaf)
        return leaf

    def _start_leaf(self, kind: ActionType, action: Action, leaf: Leaf) -> None:
        if kind in _CALLS:
            self.start_call(action, leaf)
        elif kind is ActionType.CREATE_TIMER:
            operation = self.start_timer(parse_timestamp(action["fireAt"]), leaf)
            if action.get("isCanceled"):
                operation.cancelled = True
                leaf.finish()
        elif kind is ActionType.WAIT_FOR_EXTERNAL_EVENT:
            self._wait(str(action["externalEventName"]), leaf)
        elif kind is ActionType.CONTINUE_AS_NEW:
            self.continues_as_new = True
            self.continue_as_new_input = action.get("input")
            leaf.finish()
        elif kind in (ActionType.CALL_ENTITY, ActionType.SIGNAL_ENTITY):
            self._start_entity(kind, action, leaf)
        else:
            raise UnsupportedActionError(
                f"{kind.name} is not emulated by the local host (501); "
                "make the call in an activity instead."
            )

    def _start_entity(self, kind: ActionType, action: Action, leaf: Leaf) -> None:
        is_call = kind is ActionType.CALL_ENTITY
        operation = self._allocate(
            OperationKind.ENTITY_CALL if is_call else OperationKind.ENTITY_SIGNAL, leaf
        )
        operation.name = str(action["operation"])
        operation.instance_id = str(action["instanceId"])
        operation.input = action.get("input")
        if not is_call:
            leaf.finish()

    def _wait(self, name: str, leaf: Leaf) -> None:
        if self._buffered[name]:
            self._buffered[name].popleft()
            leaf.finish()
        else:
            self._waiters[name].append(leaf)

    def _raise(self, item: Event) -> None:
        name = str(item["Name"])
        entity_call = self._entity_requests.pop(name, None)
        if entity_call is not None:
            entity_call.node.finish()
        elif self._waiters[name]:
            self._waiters[name].pop().finish()
        else:
            self._buffered[name].append(item)

    def _confirm(self, kind: EventType, item: Event) -> None:
        task_id = item["EventId"]
        operation = self.operations.get(task_id)
        name = item.get("Name") or ""
        if (
            operation is None
            or operation.kind not in _SCHEDULED_BY[kind]
            or operation.name.casefold() != name.casefold()
        ):
            raise NonDeterminismError(
                "Non-Deterministic workflow detected: a previous execution scheduled "
                f"{_SCHEDULED_BY[kind][0]} '{name}' with sequence id {task_id}, but this replay "
                + (
                    f"scheduled {operation.kind} '{operation.name}' there."
                    if operation
                    else "has not scheduled it."
                )
            )
        operation.scheduled = True
        if operation.kind is OperationKind.ENTITY_CALL:
            self._entity_requests[str(json.loads(item["Input"])["id"])] = operation
