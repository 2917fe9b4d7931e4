"""Supervision: parts that do not start, die, ignore signals, or lose their parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from devhost.processes import Part, PartFailed, Supervisor, interruptible
from devhost.stack import REPOSITORY

READY = "listening on http"
SERVE = f"print('{READY}://127.0.0.1:1', flush=True); import time; time.sleep(60)"


@pytest_asyncio.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    started = Supervisor(REPOSITORY, os.environ)
    yield started
    await started.stop_all()


def _part(tmp_path: Path, code: str, *, name: str = "Part", timeout_s: float = 10.0) -> Part:
    return Part(
        name,
        [sys.executable, "-c", code],
        tmp_path / f"{name}.log",
        READY,
        start_timeout_s=timeout_s,
    )


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _eventually(holds: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


async def test_part_that_exits_at_start_is_reported_with_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    part = _part(tmp_path, "import sys; print('the port is in use'); sys.exit(2)")
    with pytest.raises(PartFailed, match=r"(?s)Part exited with 2.*the port is in use"):
        await supervisor.start(part)


async def test_part_that_never_serves_is_reported(supervisor: Supervisor, tmp_path: Path) -> None:
    part = _part(tmp_path, "import time; time.sleep(60)", timeout_s=0.3)
    with pytest.raises(PartFailed, match=r"Part is not ready after 0\.3 s"):
        await supervisor.start(part)


async def test_missing_program_is_reported(supervisor: Supervisor, tmp_path: Path) -> None:
    part = Part("Part", ["no-such-program"], tmp_path / "log", READY)
    with pytest.raises(PartFailed, match="no-such-program is not installed"):
        await supervisor.start(part)


async def test_part_that_dies_ends_the_work(supervisor: Supervisor, tmp_path: Path) -> None:
    code = f"print('{READY}', flush=True); import time; time.sleep(0.2); raise SystemExit('oh no')"
    await supervisor.start(_part(tmp_path, code))
    with pytest.raises(PartFailed, match=r"(?s)Part exited with 1.*oh no"):
        await supervisor.guard(asyncio.sleep(30))


async def test_work_that_fails_because_a_part_died_names_the_part(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(_part(tmp_path, SERVE))
    pid = supervisor.running["Part"].process.pid

    async def work() -> None:
        os.kill(pid, signal.SIGKILL)
        raise ConnectionError("connection lost")

    with pytest.raises(PartFailed, match="Part was killed by signal 9"):
        await supervisor.guard(work())


async def test_part_that_is_stopped_on_purpose_does_not_end_the_work(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    part = _part(tmp_path, SERVE)
    await supervisor.start(part)

    async def work() -> str:
        await supervisor.stop("Part", kill=True)
        await supervisor.start(part)
        return "went on"

    assert await supervisor.guard(work()) == "went on"


async def test_part_that_died_and_was_started_again_does_not_end_later_work(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    part = _part(tmp_path, SERVE)
    await supervisor.start(part)
    with pytest.raises(PartFailed):
        supervisor.running["Part"].process.kill()
        await supervisor.guard(asyncio.sleep(30))
    await supervisor.start(part)
    assert await supervisor.guard(asyncio.sleep(0, "went on")) == "went on"


async def test_stop_reaches_what_a_part_has_started(supervisor: Supervisor, tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"print('{READY}', child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    await supervisor.start(_part(tmp_path, code))
    grandchild = int((tmp_path / "Part.log").read_text().split()[-1])
    assert _is_alive(grandchild)
    await supervisor.stop_all()
    assert _eventually(lambda: not _is_alive(grandchild))


async def test_part_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devhost.processes.STOP_GRACE_S", 0.2)
    supervisor = Supervisor(REPOSITORY, os.environ)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SERVE}"
    await supervisor.start(_part(tmp_path, code))
    pid = supervisor.running["Part"].process.pid
    await supervisor.stop_all()
    assert not _is_alive(pid)


PARENT = """
import asyncio, os, sys
from pathlib import Path
from devhost.processes import Part, Supervisor

async def main():
    supervisor = Supervisor(Path({root!r}), os.environ)
    await supervisor.start(Part("Part", [sys.executable, "-c", {code!r}], Path({log!r}), {ready!r}))
    print(supervisor.running["Part"].process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_kill_9_of_the_parent_ends_its_parts(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    script = PARENT.format(root=str(REPOSITORY), code=SERVE, log=log, ready=READY)
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        part = int(parent.stdout.readline())
        assert _is_alive(part)
        parent.kill()
        assert _eventually(lambda: not _is_alive(part))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_the_work_after_its_cleaning_up(number: signal.Signals) -> None:
    cleaned: list[str] = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), number)  # an impatient second Ctrl-C
            await asyncio.sleep(0.05)
            cleaned.append("done")
        return 0

    assert interruptible(work) == (128 + number, True)
    assert cleaned == ["done"]


def test_work_that_ends_by_itself_gives_its_exit_code() -> None:
    async def work() -> int:
        return 3

    assert interruptible(work) == (3, False)
