"""kill -9 around the exchange with each provider: at most one paid submission, jobs are resumed.

Real processes die (`crash_child.py`), over the real adapters and the simulators of all providers;
their own counters of submissions are the witness.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devhost.simulators.server import RunningSimulators
from shared.domain.attempts import AttemptReport
from tests.contract.crash_child import POINTS
from tests.contract.image_orders import Recorder
from tests.contract.provider_bench import TRIALS, Bench, server

__all__ = ["server"]  # the fixture

# One of each provider: Azure OpenAI, Replicate, Firefly, Foundry, Azure Machine Learning.
ON_TRIAL = ("gpt-image-2", "sdxl", "firefly-image3", "foundry-flux-2-pro", "sdxl-sovereign")


@pytest.fixture(scope="module")
async def child() -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "tests.contract.crash_child")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    yield process
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


class Deaths:
    """Runs of one attempt, each in a process; the folder is what they leave to each other."""

    def __init__(self, child: Process, server: RunningSimulators, trial: str, folder: Path) -> None:
        self._child = child
        self._server = server
        self.bench = Bench(trial, server, None, None, Recorder())  # type: ignore[arg-type]
        self.prompt = f"[[scenario:slow seconds=0.3]] {trial} {folder.name}"
        self._task = {
            "origin": server.origin,
            "trial": trial,
            "prompt": self.prompt,
            "folder": str(folder),
        }
        self._folder = folder

    async def run(self, point: str | None) -> tuple[int, AttemptReport | None]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps(self._task | {"point": point}).encode() + b"\n")
        ended: dict[str, Any] = json.loads(await self._child.stdout.readline())
        report = ended["report"]
        return ended["signal"], AttemptReport.model_validate(report) if report else None

    @property
    def recorded_job(self) -> str | None:
        job_id: str | None = json.loads((self._folder / "marker-1.json").read_bytes())["job_id"]
        return job_id

    async def submissions(self) -> int:
        return await self.bench.submissions(self.prompt)


@pytest.mark.parametrize("trial", ON_TRIAL)
@pytest.mark.parametrize("point", POINTS)
async def test_a_provider_is_paid_once_at_most_wherever_the_process_is_killed(
    child: Process, server: RunningSimulators, tmp_path: Path, trial: str, point: str
) -> None:
    deaths = Deaths(child, server, trial, tmp_path)
    killed, nothing = await deaths.run(point)
    assert (killed, nothing) == (signal.SIGKILL, None)
    sent = 0 if point == "before_send" else 1
    assert await deaths.submissions() == sent

    _, report = await deaths.run(None)  # the queue delivers the activity again
    assert report is not None
    assert await deaths.submissions() == sent
    job_id = deaths.recorded_job
    if TRIALS[trial].has_jobs and point in ("after_answer", "before_record"):
        assert job_id is not None
    if job_id is not None:
        assert (report.ending, report.job_id) == ("delivered", job_id)
        assert report.images and report.usd_micros > 0
    else:
        assert report.ending == "unknown"

    _, again = await deaths.run(None)
    assert again is not None and again.ending == report.ending
    assert await deaths.submissions() == sent


@pytest.mark.parametrize("trial", ON_TRIAL)
async def test_a_repeat_after_the_end_says_the_same_and_sends_nothing(
    child: Process, server: RunningSimulators, tmp_path: Path, trial: str
) -> None:
    deaths = Deaths(child, server, trial, tmp_path)
    _, report = await deaths.run(None)
    assert report is not None and report.ending == "delivered"
    assert (await deaths.run("before_send"))[1] == report  # nobody comes as far as to die
    assert await deaths.submissions() == 1
