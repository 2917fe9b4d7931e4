"""Runs pending activities, a bounded number at once, and commits their results in groups."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
import traceback
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from azure.functions.meta import Datum

from devhost.host.activity_faults import ActivityFaults
from devhost.host.converters import decode, encode
from devhost.host.durable_history import Event, task_failure, task_result
from devhost.host.durable_store import DurableStore, PendingActivity
from devhost.host.invocation import FunctionRunner
from devhost.host.loading import AppFunctions

_log = logging.getLogger(__name__)

_HOST_PATHS = (str(Path(__file__).parent), str(Path(concurrent.futures.__file__).parent))


class Inboxes(Protocol):
    """Where results go: the engine."""

    def accepts(self, instance_id: str, execution_id: str) -> bool:
        """Whether this execution is still running."""

    def deliver(self, instance_id: str, item: Event) -> None:
        """Says that `item` has been committed to the inbox of the instance."""


class ActivityWorker:
    """At least once: a row leaves `activities` only in the commit that holds its result.

    Only ids wait in memory; the payload is read when the activity starts.
    """

    def __init__(
        self,
        store: DurableStore,
        functions: AppFunctions,
        runner: FunctionRunner,
        limit: int,
        faults: ActivityFaults,
    ) -> None:
        self._store = store
        self._functions = functions
        self._runner = runner
        self._limit = limit
        self._faults = faults
        self._inboxes: Inboxes | None = None
        self._queue: deque[int] = deque()
        self._second_deliveries: deque[PendingActivity] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._finished: list[tuple[PendingActivity, Event]] = []
        self._stopped = False
        self.redelivered = 0
        self.ignored_results = 0

    def start(self, inboxes: Inboxes) -> None:
        """Takes up what the last run of the host left pending."""
        self._inboxes = inboxes
        self.enqueue(self._store.activity_ids())

    def enqueue(self, ids: Iterable[int]) -> None:
        self._queue.extend(ids)
        self._pump()

    async def stop(self) -> None:
        """Abandons what runs; the rows stay and are delivered again at the next start."""
        self._stopped = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._flush()

    @property
    def running_count(self) -> int:
        return len(self._running)

    @property
    def queued_count(self) -> int:
        return len(self._queue) + len(self._second_deliveries)

    def _pump(self) -> None:
        while not self._stopped and len(self._running) < self._limit:
            activity = self._next()
            if activity is None:
                return
            task = asyncio.create_task(self._run(activity))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _next(self) -> PendingActivity | None:
        while self._queue:
            activity = self._store.activity(self._queue.popleft())
            if activity is not None:  # else its instance has been purged
                return activity
        return self._second_deliveries.popleft() if self._second_deliveries else None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("an activity was lost to an error of the host", exc_info=task.exception())
        self._pump()

    async def _run(self, activity: PendingActivity) -> None:
        self._faults.passing("before_activity", activity.name)
        result = await self._invoke(activity)
        self._faults.passing("after_activity", activity.name)
        self._finished.append((activity, result))
        if len(self._finished) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    async def _invoke(self, activity: PendingActivity) -> Event:
        function = self._functions.activity(activity.name)
        if function is None:
            reason = f"The function '{activity.name}' doesn't exist or is not an activity function."
            return task_failure(time.time(), activity.task_id, reason, "")
        try:
            value = decode("activityTrigger", Datum(type="string", value=activity.input or "null"))
            result = await self._runner.run(function, {str(function.trigger["name"]): value})
            text = encode("activityTrigger", result).value
        except asyncio.CancelledError as error:
            if self._stopped:
                raise
            return self._failure(activity, error)
        except Exception as error:  # the boundary to user code
            return self._failure(activity, error)
        return task_result(time.time(), activity.task_id, None if text == "null" else text)

    def _failure(self, activity: PendingActivity, error: BaseException) -> Event:
        reason = f"Activity function '{activity.name}' failed:  {type(error).__name__}: {error}"
        _log.warning("instance=%s %s", activity.instance_id, reason)
        details = "".join(traceback.format_exception(error.with_traceback(_app_frames(error))))
        return task_failure(time.time(), activity.task_id, reason, details)

    def _flush(self) -> None:
        """Commits every finished activity in one transaction, then wakes their instances."""
        finished, self._finished = self._finished, []
        if self._inboxes is None or not finished:
            return
        accepted: list[tuple[PendingActivity, Event]] = []
        first_deliveries: list[PendingActivity] = []
        with self._store.transaction():
            for activity, result in finished:
                if not self._store.remove_activity(activity.id):
                    self.ignored_results += 1
                    continue
                first_deliveries.append(activity)
                if self._inboxes.accepts(activity.instance_id, activity.execution_id):
                    self._store.post(activity.instance_id, result)
                    accepted.append((activity, result))
        for activity, result in accepted:
            self._inboxes.deliver(activity.instance_id, result)
        for activity in first_deliveries:
            self._faults.committed()
            if self._faults.wants_second_delivery(activity.name):
                self.redelivered += 1
                self._second_deliveries.append(activity)
        self._pump()


def _app_frames(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame of the app on; the frames before it are the host's."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_HOST_PATHS):
        frame = frame.tb_next
    return frame
