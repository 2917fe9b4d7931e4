"""Schedules the turns of orchestrators and commits what each of them leads to."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from devhost.host.durable_actions import Operation, OperationKind
from devhost.host.durable_activities import ActivityWorker
from devhost.host.durable_entities import EntityWorker
from devhost.host.durable_history import (
    Event,
    EventType,
    child_failure,
    child_result,
    event,
    events_text,
    parse_events,
)
from devhost.host.durable_store import DurableStore, Instance, Parent, Status
from devhost.host.durable_timers import DurableTimers
from devhost.host.durable_turn import LiveInstance, TurnOutcome, TurnRunner

_log = logging.getLogger(__name__)

LOGGED_CHARS_MAX = 500  # of the output of a failed instance
LIVE_INSTANCES_MAX = 1_000  # histories kept parsed; an idle instance beyond that is read again
# Turns are pure Python: more threads than this only fight for the interpreter lock.
TURN_THREADS_MAX = 2

_SUCCESSES = (EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED)


@dataclass
class _AfterCommit:
    """What to do once a turn is committed."""

    activities: list[int] = field(default_factory=list)
    timers: list[float] = field(default_factory=list)
    events: list[tuple[str, Event]] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)


class DurableEngine:
    """All orchestrations of the host; every method runs on the event loop's thread.

    Invariant: memory only mirrors what is committed, so a crash at any instant loses nothing.
    """

    def __init__(
        self,
        store: DurableStore,
        turns: TurnRunner,
        activities: ActivityWorker,
        entities: EntityWorker,
        concurrent_turns_max: int,
    ) -> None:
        self.store = store
        self.turns_run = 0
        self._turns = turns
        self._activities = activities
        self._entities = entities
        self._timers = DurableTimers(store)
        self._concurrent_turns_max = concurrent_turns_max
        self._threads = ThreadPoolExecutor(TURN_THREADS_MAX, thread_name_prefix="turn")
        self._live: OrderedDict[str, LiveInstance] = OrderedDict()
        self._ready: deque[str] = deque()
        self._wanted: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._finish_waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._stopped = False

    def start(self) -> None:
        """Takes up what the last run of the host left unfinished."""
        self._entities.start(self)
        self._activities.start(self)
        self._timers.start(self)
        for instance_id in self.store.instances_with_inbox():
            self.wake(instance_id)

    async def stop(self) -> None:
        """Lets running turns end, abandons the rest; the next start takes it up again."""
        self._stopped = True
        self._timers.stop()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._activities.stop()
        await self._entities.stop()
        self._threads.shutdown(wait=True)

    # instances

    def instance(self, instance_id: str) -> Instance | None:
        live = self._live.get(instance_id)
        return live.row if live else self.store.instance(instance_id)

    def create(
        self,
        instance_id: str,
        name: str,
        input_json: str,
        version: str | None,
        parent: Parent | None,
    ) -> None:
        """Stores a new instance with its first event; a finished one with this id is replaced."""
        now_s = time.time()
        row = Instance(
            instance_id=instance_id,
            execution_id=uuid.uuid4().hex,
            name=name,
            version=version,
            status=Status.PENDING,
            input=input_json,
            output=None,
            custom_status=None,
            created_at=now_s,
            updated_at=now_s,
            parent=parent,
        )
        self.forget(instance_id)
        with self.store.transaction():
            self.store.delete_work(instance_id)
            self.store.delete_episodes(instance_id)
            self.store.save_instance(row)
            self.store.post(instance_id, _started(row, now_s))
        _log.info("instance=%s orchestrator=%s started", instance_id, name)

    def set_status(self, row: Instance, status: Status, item: Event) -> None:
        """Suspends or resumes: the new status and its event in one commit."""
        row.status = status
        row.updated_at = time.time()
        with self.store.transaction():
            self.store.set_status(row.instance_id, status, row.updated_at)
            self.store.post(row.instance_id, item)
        self.wake(row.instance_id)

    def forget(self, instance_id: str) -> None:
        """Drops an instance from memory: a turn that runs for it is not committed."""
        self._live.pop(instance_id, None)

    async def wait_finished(self, instance_id: str, timeout_s: float) -> None:
        """Returns when the instance has finished, or after the timeout."""
        row = self.instance(instance_id)
        if row is None or row.status.is_finished:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._finish_waiters.setdefault(instance_id, [])
        waiters.append(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout_s)
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._finish_waiters.pop(instance_id, None)

    def stats(self) -> dict[str, int]:
        return {
            "live_instances": len(self._live),
            "ready_instances": len(self._ready),
            "running_turns": len(self._running),
            "turns_run": self.turns_run,
        }

    # the inboxes of running instances

    def accepts(self, instance_id: str, execution_id: str) -> bool:
        row = self.instance(instance_id)
        return row is not None and row.execution_id == execution_id and not row.status.is_finished

    def deliver(self, instance_id: str, item: Event) -> None:
        """Wakes the instance, unless it would only learn that it has to wait for more.

        A turn that runs now was given its events before this one: it says nothing about it.
        """
        live = None if instance_id in self._running else self._live.get(instance_id)
        if live is not None and live.quiet_ids and item["EventType"] in _SUCCESSES:
            live.quiet_ids.discard(item["TaskScheduledId"])
            if live.quiet_ids:
                return
        self.wake(instance_id)

    def wake(self, instance_id: str) -> None:
        """Queues a turn; one more is remembered when a turn of this instance runs already."""
        if instance_id in self._wanted:
            return
        self._wanted.add(instance_id)
        if instance_id not in self._running:
            self._ready.append(instance_id)
            self._pump()

    def _pump(self) -> None:
        while not self._stopped and self._ready and len(self._running) < self._concurrent_turns_max:
            instance_id = self._ready.popleft()
            self._wanted.discard(instance_id)
            self._running[instance_id] = asyncio.create_task(self._turn(instance_id))

    async def _turn(self, instance_id: str) -> None:
        try:
            await self._run_turn(instance_id)
        except Exception:
            _log.exception("instance=%s the host failed in a turn", instance_id)
        finally:
            del self._running[instance_id]
            if instance_id in self._wanted:
                self._ready.append(instance_id)
            self._evict_idle()
            self._pump()

    async def _run_turn(self, instance_id: str) -> None:
        live = self._load(instance_id)
        if live is None:
            return
        inbox = self.store.inbox(instance_id)
        batch = [item for _, item in inbox]
        if not batch or (live.row.status is Status.SUSPENDED and not _has_termination(batch)):
            return
        self.turns_run += 1
        outcome = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._turns.run, live, batch, time.time()
        )
        if self._live.get(instance_id) is live:  # else purged or replaced meanwhile
            self._commit(live, [row_id for row_id, _ in inbox], outcome)

    def _load(self, instance_id: str) -> LiveInstance | None:
        live = self._live.get(instance_id)
        if live is not None:
            self._live.move_to_end(instance_id)
            return live
        row = self.store.instance(instance_id)
        if row is None or row.status.is_finished:
            self.store.delete_work(instance_id)
            return None
        played = self.store.episodes(instance_id)
        history = [item for text in played for item in parse_events(text)]
        live = LiveInstance(row, played, history)
        self._live[instance_id] = live
        return live

    def _evict_idle(self) -> None:
        excess = len(self._live) - LIVE_INSTANCES_MAX
        if excess <= 0:
            return
        for instance_id in list(self._live)[: 2 * excess]:
            if instance_id not in self._running and instance_id not in self._wanted:
                del self._live[instance_id]

    # commits

    def _commit(self, live: LiveInstance, inbox_ids: list[int], outcome: TurnOutcome) -> None:
        row = live.row
        after = _AfterCommit()
        text = events_text(outcome.new_events, played=True)
        with self.store.transaction():
            self.store.delete_inbox(inbox_ids)
            self.store.append_episode(row.instance_id, len(live.played), text)
            for task_id in outcome.cancelled_timer_ids:
                self.store.remove_timer(row.instance_id, row.execution_id, task_id)
            for operation in outcome.to_start:
                self._start_operation(row, operation, after)
            self._update_row(row, outcome)
            if outcome.finish is not None:
                self.store.delete_work(row.instance_id)
                self._tell_parent(row, outcome, after)
            elif outcome.continues_as_new:
                self._continue_as_new(row, outcome)
            self.store.save_instance(row)
        if outcome.finish is not None:
            self._finished(row)
        elif outcome.continues_as_new:
            self.forget(row.instance_id)
            self.wake(row.instance_id)
        else:
            live.played.append(text)
            live.history.extend(outcome.new_events)
            live.quiet_ids = outcome.quiet_ids
        self._announce(after)

    def _announce(self, after: _AfterCommit) -> None:
        if after.activities:
            self._activities.enqueue(after.activities)
        for fire_at_s in after.timers:
            self._timers.added(fire_at_s)
        for instance_id, item in after.events:
            self.deliver(instance_id, item)
        for entity_id in after.entities:
            self._entities.wake(entity_id)

    def _start_operation(self, row: Instance, operation: Operation, after: _AfterCommit) -> None:
        if operation.kind is OperationKind.ACTIVITY:
            after.activities.append(self.store.add_activity(row, operation))
        elif operation.kind is OperationKind.TIMER:
            self.store.add_timer(row, operation)
            after.timers.append(operation.fire_at_s)
        elif operation.kind is OperationKind.CHILD:
            self._start_child(row, operation, after)
        else:
            self._entities.send(row, operation)
            after.entities.append(str(operation.instance_id))

    def _start_child(self, row: Instance, operation: Operation, after: _AfterCommit) -> None:
        child_id = str(operation.instance_id)
        existing = self.instance(child_id)
        if existing is not None and not existing.status.is_finished:
            reason = f"An Orchestration instance with the status {existing.status} already exists."
            item = child_failure(time.time(), operation.id, reason)
            self.store.post(row.instance_id, item)
            after.events.append((row.instance_id, item))
            return
        parent = Parent(row.instance_id, row.execution_id, operation.id)
        version = operation.version or row.version
        self.create(child_id, operation.name, json.dumps(operation.input), version, parent)
        after.events.append((child_id, event(EventType.EXECUTION_STARTED, time.time())))

    def _update_row(self, row: Instance, outcome: TurnOutcome) -> None:
        row.updated_at = time.time()
        row.actions_seen = outcome.actions_seen
        if outcome.custom_status is not None:
            row.custom_status = outcome.custom_status
        if outcome.finish is not None:
            row.status = outcome.finish.status
            row.output = outcome.finish.output
        elif row.status is not Status.SUSPENDED:
            row.status = Status.RUNNING

    def _tell_parent(self, row: Instance, outcome: TurnOutcome, after: _AfterCommit) -> None:
        parent, finish = row.parent, outcome.finish
        if parent is None or finish is None:
            return
        if not self.accepts(parent.instance_id, parent.execution_id):
            return
        if finish.status is Status.COMPLETED:
            item = child_result(row.updated_at, parent.task_id, finish.output)
        else:
            item = child_failure(row.updated_at, parent.task_id, finish.failure or "")
        self.store.post(parent.instance_id, item)
        after.events.append((parent.instance_id, item))

    def _continue_as_new(self, row: Instance, outcome: TurnOutcome) -> None:
        """A new execution under the same id; only events that no turn has seen survive."""
        unseen = [
            item
            for _, item in self.store.inbox(row.instance_id)
            if item["EventType"] == EventType.EVENT_RAISED
        ]
        self.store.delete_work(row.instance_id)
        self.store.delete_episodes(row.instance_id)
        row.execution_id = uuid.uuid4().hex
        row.input = json.dumps(outcome.continue_as_new_input)
        row.actions_seen = []
        for item in (_started(row, row.updated_at), *unseen):
            self.store.post(row.instance_id, item)

    def _finished(self, row: Instance) -> None:
        self.forget(row.instance_id)
        detail = "" if row.status is Status.COMPLETED else f": {row.output}"[:LOGGED_CHARS_MAX]
        _log.info(
            "instance=%s orchestrator=%s %s%s", row.instance_id, row.name, row.status.value, detail
        )
        for waiter in self._finish_waiters.get(row.instance_id, []):
            if not waiter.done():
                waiter.set_result(None)


def _started(row: Instance, now_s: float) -> Event:
    return event(
        EventType.EXECUTION_STARTED,
        now_s,
        Name=row.name,
        Version=row.version,
        Input=None,
    )


def _has_termination(batch: list[Event]) -> bool:
    return any(item["EventType"] == EventType.EXECUTION_TERMINATED for item in batch)
