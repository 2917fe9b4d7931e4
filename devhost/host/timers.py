"""Timer triggers: NCRONTAB schedules in UTC, with the state that tells when a run was missed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from azure.functions.meta import Datum
from croniter import CroniterBadCronError, croniter

from devhost.host.converters import decode
from devhost.host.durable_history import timestamp_text
from devhost.host.errors import FunctionLoadError
from devhost.host.invocation import FunctionRunner
from devhost.host.loading import LoadedFunction
from devhost.host.state_file import StateFile

_log = logging.getLogger(__name__)

SLEEP_S_MAX = 60.0  # look at the wall clock again at least so often: it may be adjusted


class TimerTrigger:
    """One timer function: a loop that waits for the next occurrence, and a lock against overlap."""

    def __init__(self, function: LoadedFunction, state: StateFile, runner: FunctionRunner) -> None:
        self.function = function
        self._schedule = _schedule(function)
        self._monitored = bool(function.trigger.get("useMonitor", True))
        self._state = state
        self._runner = runner
        self._lock = asyncio.Lock()

    async def loop(self) -> None:
        """Runs until cancelled; a missed occurrence runs once at start, marked as past due."""
        now_s = time.time()
        row = self._row()
        if self._monitored and row is not None and row[1] <= now_s:
            await self.fire(past_due=True)
        elif self.function.trigger.get("runOnStartup"):
            await self.fire(past_due=False)
        next_s = self._next_after(time.time())
        self._save(row[0] if row else None, next_s)
        while True:
            await _sleep_until(next_s)
            await self.fire(past_due=False)
            next_s = self._next_after(max(time.time(), next_s))

    async def fire(self, past_due: bool) -> None:
        """Runs the function once; waits when a run is under way."""
        async with self._lock:
            started_s = time.time()
            name = self.function.name
            value = decode("timerTrigger", Datum(type="json", value=self._payload(past_due)))
            try:
                await self._runner.run(self.function, {str(self.function.trigger["name"]): value})
                _log.info("function=%s past_due=%s ran", name, past_due)
            except Exception:  # the boundary to user code
                _log.exception("function=%s failed", name)
            self._save(started_s, self._next_after(time.time()))

    def _payload(self, past_due: bool) -> str:
        row = self._row()
        status = None
        if row is not None:
            last_s, next_s, updated_s = row
            status = {
                "Last": timestamp_text(last_s or 0.0),
                "Next": timestamp_text(next_s),
                "LastUpdated": timestamp_text(updated_s),
            }
        return json.dumps(
            {
                "IsPastDue": past_due,
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": status,
            }
        )

    def _next_after(self, epoch_s: float) -> float:
        moment = datetime.fromtimestamp(epoch_s, UTC)
        following = croniter(self._schedule, moment, second_at_beginning=True).get_next(datetime)
        return float(following.timestamp())

    def _row(self) -> tuple[float | None, float, float] | None:
        row: tuple[float | None, float, float] | None = self._state.execute(
            "SELECT last, next, updated_at FROM timer_state WHERE function = ?",
            (self.function.name,),
        ).fetchone()
        return row

    def _save(self, last_s: float | None, next_s: float) -> None:
        self._state.execute(
            "INSERT OR REPLACE INTO timer_state (function, last, next, updated_at) "
            "VALUES (?,?,?,?)",
            (self.function.name, last_s, next_s, time.time()),
        )


class Timers:
    """All timer triggers of the app."""

    def __init__(
        self, functions: list[LoadedFunction], state: StateFile, runner: FunctionRunner
    ) -> None:
        self._triggers = {f.name: TimerTrigger(f, state, runner) for f in functions}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        for trigger in self._triggers.values():
            self._track(trigger.loop())

    def fire_now(self, function_name: str) -> None:
        """Starts one extra run, as a POST to the admin endpoint does."""
        self._track(self._triggers[function_name].fire(past_due=False))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _track(self, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a timer was lost to an error of the host", exc_info=task.exception())


def _schedule(function: LoadedFunction) -> str:
    """The six-field schedule; five fields mean second 0."""
    text = str(function.trigger["schedule"]).strip()
    fields = text.split()
    schedule = f"0 {text}" if len(fields) == 5 else text
    try:
        if len(fields) not in (5, 6):
            raise CroniterBadCronError("it must have six fields, seconds first")
        croniter(schedule, second_at_beginning=True)
    except (CroniterBadCronError, ValueError, KeyError) as error:
        raise FunctionLoadError(
            function.name, f"the schedule '{text}' is not valid: {error}"
        ) from error
    return schedule


async def _sleep_until(epoch_s: float) -> None:
    while (remaining_s := epoch_s - time.time()) > 0:  # noqa: ASYNC110 - waits for a moment
        await asyncio.sleep(min(remaining_s, SLEEP_S_MAX))
