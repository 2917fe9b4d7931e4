"""The durable orchestrator as the ledger sees it: activities that are delivered at least once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from shared.domain.attempts import AttemptReport, Course
from shared.domain.ids import row_generation_id
from shared.errors import Unavailable
from tests.fakes.faults import NOT_DONE, Crashed, Fault
from tests.proofs.chaos import PROCESS, Process

if TYPE_CHECKING:
    from tests.proofs.world import World

T = TypeVar("T")
Orchestration = Callable[[], Coroutine[Any, Any, None]]
DELIVERIES_MAX = 8  # then the orchestration is given up, as if its instance had been purged
REDELIVERY_S = 5.0
TWICE_SHARE = 0.04  # deliveries that the queue makes a second time while the first one still runs
LOSS_SHARE = 0.01  # activities after which the whole orchestration is lost
AGAIN_MAX = 3  # "not now" answers of one attempt before the generation is stopped
WAVE_ROWS = 3


class Abandoned(Exception):
    """An orchestration that came to nothing; the sweep has to find what it left."""


class SimulatedOrchestrations:
    """Implements the Orchestrations port: runs each id at most once at a time."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._running: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def start_generation(self, generation_id: str) -> None:
        await self._start(generation_id, partial(self._generation, generation_id))

    async def start_batch(self, batch_id: str, rows: int, deadline_rows: int = 0) -> None:
        await self._start(batch_id, partial(self._batch, batch_id))

    async def start_approval(self, operation_id: str, escalates_at: str, expires_at: str) -> None:
        raise AssertionError("no budget of this world asks for approvals: see waiting.py")

    async def approval_decided(self, operation_id: str) -> None:
        raise AssertionError("no budget of this world asks for approvals: see waiting.py")

    async def start_deferred(self, operation_id: str, due: str) -> None:
        raise AssertionError("no budget of this world defers: see waiting.py")

    async def is_running(self, operation_id: str) -> bool:
        fault = await self._world.chaos.next("status")
        if fault is Fault.CRASH_AFTER:
            raise self._world.chaos.crash("status")
        if fault is not Fault.NONE:
            raise Unavailable("The orchestrations did not answer.")
        return operation_id in self._running

    def are_running(self) -> bool:
        """Whether any orchestration is under way."""
        return bool(self._running)

    async def idle(self) -> None:
        """Wait until nothing runs any more, deliveries in the background included."""
        while self._running or self._background:
            await asyncio.wait([*self._running.values(), *self._background])

    def launch(self, operation_id: str, *, batch: bool) -> None:
        """Run it without a call that may go wrong, unless it runs already."""
        self._launch(
            operation_id, partial(self._batch if batch else self._generation, operation_id)
        )

    def _launch(self, instance_id: str, make: Orchestration) -> None:
        if instance_id not in self._running:
            task = asyncio.get_running_loop().create_task(make())
            self._running[instance_id] = task
            task.add_done_callback(lambda _: self._running.pop(instance_id))

    async def _start(self, instance_id: str, make: Orchestration) -> None:
        def launch() -> None:
            self._launch(instance_id, make)

        fault = await self._world.chaos.next("start")
        if fault in NOT_DONE:
            raise Unavailable("The orchestration was not started.")
        if fault is Fault.LATE:
            self._world.chaos.later(launch)
            raise Unavailable("The orchestration may have been started.")
        launch()
        if fault is Fault.LOST:
            raise Unavailable("The orchestration may have been started.")
        if fault is Fault.CRASH_AFTER:
            raise self._world.chaos.crash("start")

    async def _generation(self, generation_id: str) -> None:
        try:
            report = await self._row(generation_id, stopping=False)
            await self._settle(generation_id, [report])
        except Abandoned:
            return

    async def _batch(self, batch_id: str) -> None:
        world = self._world
        try:
            rows = list(await self._activity("open", lambda: world.work.valid_rows(batch_id, 0)))
            for start in range(0, len(rows), WAVE_ROWS):
                stopping = await self._activity(
                    "is_cancelled", lambda: world.batches.is_cancel_requested(batch_id)
                )
                wave = [row_generation_id(batch_id, r) for r in rows[start : start + WAVE_ROWS]]
                reports = await asyncio.gather(
                    *(self._row(each, stopping=stopping) for each in wave), return_exceptions=True
                )
                await self._settle(batch_id, [_kept(report) for report in reports])
            await self._activity("finish", lambda: world.results.finish(batch_id))
        except Abandoned:
            return

    async def _row(self, generation_id: str, *, stopping: bool) -> AttemptReport:
        """Attempt after attempt until one has ended, as the orchestrator does."""
        world = self._world
        item = await self._activity("find", lambda: world.work.find(generation_id))
        attempt, again, course = 1, 0, Course()
        while not stopping and again <= AGAIN_MAX:
            run = partial(world.attempts.run, item, attempt, course)
            report = await self._activity(f"attempt {attempt}", run)
            if report.ending not in ("retry", "fallback", "again"):
                return report
            attempt += report.ending != "again"
            again += report.ending == "again"
            course = report.next or course
            await asyncio.sleep(report.retry_after_s or 0)
        return await self._activity("stop", lambda: world.attempts.stop(item, "canceller"))

    async def _settle(self, operation_id: str, reports: Sequence[AttemptReport]) -> None:
        await self._activity(
            "settle", lambda: self._world.settlements.settle(operation_id, reports)
        )

    async def _activity(self, name: str, run: Callable[[], Awaitable[T]]) -> T:
        """Deliver until an answer comes back; sometimes two deliveries run side by side."""
        for _ in range(DELIVERIES_MAX):
            if self._happens(TWICE_SHARE):
                self._world.chaos.note("duplicate: activity delivered twice at once")
                self._in_background(name, run)
            PROCESS.set(Process(name))
            try:
                answer = await run()
            except Crashed:
                await asyncio.sleep(REDELIVERY_S)
            except Exception as error:
                if not self._world.chaos.excuses(error):
                    self._world.checker.broken("unforeseen", f"{name} raised {error!r}")
                    raise Abandoned(name) from error
                await asyncio.sleep(REDELIVERY_S)
            else:
                if self._happens(LOSS_SHARE):
                    self._world.chaos.note("orchestration lost")
                    break
                return answer
        raise Abandoned(name)

    def _happens(self, share: float) -> bool:
        chaos = self._world.chaos
        return chaos.active and chaos.rate > 0 and chaos.random.random() < share

    def _in_background(self, name: str, run: Callable[[], Awaitable[T]]) -> None:
        async def deliver() -> None:
            PROCESS.set(Process(f"{name} again"))
            try:
                await run()
            except Crashed:
                return
            except Exception as error:
                if not self._world.chaos.excuses(error):
                    self._world.checker.broken("unforeseen", f"{name} raised {error!r}")

        task = asyncio.get_running_loop().create_task(deliver())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _kept(report: AttemptReport | BaseException) -> AttemptReport:
    if isinstance(report, BaseException):
        raise report
    return report
