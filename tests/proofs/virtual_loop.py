"""An event loop with its own time: no sockets, no threads, the same order in every run."""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TURNS_MAX = 200_000  # callbacks of one history; a live-lock would need more


class Stuck(AssertionError):
    """Nothing is left to run, or everything runs for ever, and the main task has not ended."""


# The loop that runs. Python asks the kernel for the process id each time it is asked for its own
# record of that, which is most of the time that a history takes.
_running: "VirtualLoop | None" = None


def now_s() -> float:
    """The time of the loop that runs, in seconds since its start; 0 while a world is made."""
    return _running.time() if _running else 0.0


async def pause(delay_s: float) -> None:
    """What asyncio.sleep does, for the loop that runs."""
    if _running is None:
        await asyncio.sleep(delay_s)
        return
    woken = _running.create_future()
    _running.call_later(delay_s, _wake, woken)
    await woken


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():  # it may have been cancelled
        sleeper.set_result(None)


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks first come, first served; when none is ready, time jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self.problems: list[dict[str, Any]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until `main` has ended; raises Stuck if it never can. What it left is cancelled."""
        global _running  # noqa: PLW0603  # as asyncio has one for each thread
        outer, _running = _running, self
        events._set_running_loop(self)
        try:
            task = self.create_task(main)
            try:
                self._turn_until(task)
                return task.result()
            finally:
                self._cancel_the_rest()
        finally:
            events._set_running_loop(None)
            _running = outer

    def _turn_until(self, ending: asyncio.Future[Any]) -> None:
        ready, next_timer = self._ready, self._next_timer
        for _ in range(TURNS_MAX):
            if ending.done():
                return
            handle = ready.popleft() if ready else next_timer()
            if not handle._cancelled:
                handle._run()
        raise Stuck(f"more than {TURNS_MAX} turns")

    def _cancel_the_rest(self) -> None:
        """A coroutine that were dropped half-way could not await anything as it cleans up."""
        left = [task for task in self._tasks if not task.done()]
        self._tasks.clear()
        for task in left:
            task.cancel()
        if left:
            self._turn_until(asyncio.gather(*left, return_exceptions=True))

    def _next_timer(self) -> asyncio.Handle:
        while self._timers:
            when, _, timer = heapq.heappop(self._timers)
            if not timer._cancelled:
                self._now = max(self._now, when)
                return timer
        raise Stuck("nothing is left to run")

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """No thread: the work is done at once, its result arrives in a later turn."""
        future = self.create_future()
        future.set_result(func(*args))
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is skipped when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)
