"""Child processes that log to files, are waited for, and never outlive their parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
STOP_GRACE_S = 8.0  # Azurite writes its metadata to disk in this time
POLL_S = 0.05
DEATH_NOTICE_S = 0.5  # a process's end is noticed within milliseconds
LOG_TAIL_LINES = 15  # a Python traceback's end and its message
LOG_TAIL_BYTES = 8192


class PartFailed(Exception):
    """A part of the stack did not start or ended by itself; the text is for a person."""


@dataclass(frozen=True)
class Part:
    """What to run, where it logs, and how often `ready_text` appears in the log once it serves."""

    name: str
    command: Sequence[str]
    log: Path
    ready_text: str
    ready_count: int = 1
    start_timeout_s: float = 30.0  # a cold first import on a busy laptop takes ten


@dataclass
class Running:
    """A started part."""

    part: Part
    process: asyncio.subprocess.Process
    is_stopping: bool = False


@dataclass
class Supervisor:
    """Starts parts, notices when one dies, and stops all of them in reverse order."""

    working_dir: Path
    environment: Mapping[str, str]
    running: dict[str, Running] = field(default_factory=dict)
    _watchdog: asyncio.subprocess.Process | None = None
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)
    _failure: asyncio.Future[None] | None = None
    _failed_part: str | None = None

    async def start(self, part: Part) -> None:
        """Starts a part and waits until it serves; raises PartFailed with the end of its log."""
        await self.launch(part)
        await self.until_ready(part.name)

    async def launch(self, part: Part) -> None:
        """Starts a part without waiting for it; raises PartFailed if there is no such program.

        A part of that name that is up is stopped first, and the death of an earlier one forgiven.
        """
        await self.stop(part.name)
        if self._failed_part == part.name:
            self._failure = self._failed_part = None
        part.log.parent.mkdir(parents=True, exist_ok=True)
        with part.log.open("wb") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *part.command,
                    cwd=self.working_dir,
                    env=dict(self.environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Its own group: Ctrl-C in the terminal reaches us alone, and we stop the rest.
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise PartFailed(f"{part.name}: {part.command[0]} is not installed.") from error
        started = Running(part, process)
        self.running[part.name] = started
        await self._tell_watchdog(f"+{process.pid}")
        self._watchers.append(asyncio.create_task(self._watch(started)))

    async def stop(self, name: str, *, kill: bool = False) -> None:
        """Stops one part, at once with `kill` (as `kill -9` does); does nothing if it is not up."""
        started = self.running.get(name)
        if started is None:
            return
        started.is_stopping = True
        process = started.process
        if not kill:
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):  # it had its time: killed below
                await asyncio.wait_for(process.wait(), STOP_GRACE_S)
        _signal_group(process, signal.SIGKILL)  # whatever the part itself has started, too
        await process.wait()
        await self._tell_watchdog(f"-{process.pid}")
        del self.running[name]  # not before: a stop that was interrupted is repeated

    async def stop_all(self) -> None:
        """Stops the parts, the last one started first; a second call does nothing."""
        for name in reversed(list(self.running)):
            await self.stop(name)
        for watcher in self._watchers:
            watcher.cancel()
        self._watchers.clear()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            await self._watchdog.wait()
            self._watchdog = None

    async def guard(self, work: Awaitable[T]) -> T:
        """Runs `work`; raises PartFailed as soon as a part dies meanwhile."""
        task = asyncio.ensure_future(work)
        failure = self._failure_future()
        try:
            both: set[asyncio.Future[Any]] = {task, failure}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.exception() is not None:
                # Work that failed because a part died should say so: the news may be on its way.
                await asyncio.wait({failure}, timeout=DEATH_NOTICE_S)
            if failure.done():
                failure.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_ready(self, name: str) -> None:
        """Waits until a launched part serves; raises PartFailed with the end of its log."""
        started = self.running[name]
        part = started.part
        deadline = asyncio.get_running_loop().time() + part.start_timeout_s
        while True:
            if started.process.returncode is not None:
                raise PartFailed(_death_notice(started))
            text = part.log.read_text("utf-8", "replace")
            if text.count(part.ready_text) >= part.ready_count:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise PartFailed(
                    f"{part.name} is not ready after {part.start_timeout_s:g} s.{_tail(part.log)}"
                )
            await asyncio.sleep(POLL_S)

    async def _watch(self, started: Running) -> None:
        await started.process.wait()
        failure = self._failure_future()
        if not started.is_stopping and not failure.done():
            self._failed_part = started.part.name
            failure.set_exception(PartFailed(_death_notice(started)))

    def _failure_future(self) -> asyncio.Future[None]:
        if self._failure is None:
            self._failure = asyncio.get_running_loop().create_future()
            self._failure.add_done_callback(_mark_retrieved)
        return self._failure

    async def _tell_watchdog(self, line: str) -> None:
        if self._watchdog is None:
            self._watchdog = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "devhost.watchdog",
                cwd=self.working_dir,
                stdin=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{line}\n".encode())


def interruptible(work: Callable[[], Awaitable[int]]) -> tuple[int, bool]:
    """Runs `work` to its exit code; True if a signal stopped it, after its own cleaning up."""
    return asyncio.run(_run_interruptible(work))


async def _run_interruptible(work: Callable[[], Awaitable[int]]) -> tuple[int, bool]:
    task = asyncio.ensure_future(work())
    stopped_by: list[int] = []

    def stop(number: int) -> None:
        if not stopped_by:  # further Ctrl-Cs must not interrupt the cleaning up
            stopped_by.append(number)
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task, False
    except asyncio.CancelledError:
        return 128 + (stopped_by[0] if stopped_by else signal.SIGTERM), True


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # the group is empty: nothing is left to signal


def _mark_retrieved(failure: asyncio.Future[None]) -> None:
    if not failure.cancelled():
        failure.exception()


def _death_notice(started: Running) -> str:
    part = started.part
    code = started.process.returncode
    how = (
        f"was killed by signal {-code}" if code is not None and code < 0 else f"exited with {code}"
    )
    return f"{part.name} {how}.{_tail(part.log)}"


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
        lines = stream.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
    text = "".join(f"\n  | {line}" for line in lines)
    return f" The end of {log}:{text}" if text else f" Its log {log} is empty."
