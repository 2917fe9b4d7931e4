"""Fires durable timers: one alarm for the earliest row, no polling."""

from __future__ import annotations

import asyncio
import time

from devhost.host.durable_activities import Inboxes
from devhost.host.durable_history import Event, EventType, event, timestamp_text
from devhost.host.durable_store import DurableStore

FIRED_AT_ONCE_MAX = 500  # rows per transaction, so that a crowd of timers does not block the loop
ALARM_S_MAX = 60.0  # look at the wall clock again at least so often: it may be adjusted


class DurableTimers:
    """The alarm clock over the `durable_timers` table."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store
        self._inboxes: Inboxes | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._armed_for_s: float | None = None

    def start(self, inboxes: Inboxes) -> None:
        self._inboxes = inboxes
        self._arm()

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def added(self, fire_at_s: float) -> None:
        """Called after the commit of a new timer."""
        if self._armed_for_s is None or fire_at_s < self._armed_for_s:
            self._arm()

    def _arm(self) -> None:
        self.stop()
        self._armed_for_s = self._store.next_timer_at()
        if self._armed_for_s is not None:
            delay_s = min(max(self._armed_for_s - time.time(), 0.0), ALARM_S_MAX)
            self._alarm = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _fire(self) -> None:
        if self._inboxes is None:
            return
        now_s = time.time()
        fired: list[tuple[str, Event]] = []
        with self._store.transaction():
            for instance_id, execution_id, task_id, fire_at_s in self._store.due_timers(
                now_s, FIRED_AT_ONCE_MAX
            ):
                self._store.remove_timer(instance_id, execution_id, task_id)
                if self._inboxes.accepts(instance_id, execution_id):
                    item = event(
                        EventType.TIMER_FIRED,
                        now_s,
                        TimerId=task_id,
                        FireAt=timestamp_text(fire_at_s),
                    )
                    self._store.post(instance_id, item)
                    fired.append((instance_id, item))
        for instance_id, item in fired:
            self._inboxes.deliver(instance_id, item)
        self._arm()
