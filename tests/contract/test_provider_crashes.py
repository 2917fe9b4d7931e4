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

# Azure OpenAI; Replicate by version, by official model, with a held submission and as the second
# candidate of a route; both generations of Firefly; Foundry; Azure Machine Learning.
ON_TRIAL = (
    ("gpt-image-2", 1),
    ("sdxl", 1),
    ("flux-schnell", 1),
    ("flux-2-pro held", 1),
    ("sdxl", 2),
    ("firefly-image3", 1),
    ("firefly-image4-ultra", 1),
    ("foundry-flux-2-pro", 1),
    ("sdxl-sovereign", 1),
)
DEATHS = [
    (trial, attempt, point)
    for trial, attempt in ON_TRIAL
    for point in POINTS
    if TRIALS[trial].has_jobs or point != "before_job"
]


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

    def __init__(
        self, child: Process, server: RunningSimulators, trial: str, attempt: int, folder: Path
    ) -> None:
        self._child = child
        self._server = server
        self.bench = Bench(trial, server, None, None, Recorder())  # type: ignore[arg-type]
        self.prompt = f"[[scenario:slow seconds=0.3]] {trial} {folder.name}"
        self._task = {
            "origin": server.origin,
            "trial": trial,
            "attempt": attempt,
            "prompt": self.prompt,
            "folder": str(folder),
        }
        self._marker = folder / f"marker-{attempt}.json"

    async def run(self, point: str | None) -> tuple[int, AttemptReport | None]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps(self._task | {"point": point}).encode() + b"\n")
        ended: dict[str, Any] = json.loads(await self._child.stdout.readline())
        report = ended["report"]
        return ended["signal"], AttemptReport.model_validate(report) if report else None

    @property
    def recorded_job(self) -> str | None:
        job_id: str | None = json.loads(self._marker.read_bytes())["job_id"]
        return job_id

    async def submissions(self) -> int:
        return await self.bench.submissions(self.prompt)


@pytest.mark.parametrize(("trial", "attempt", "point"), DEATHS)
async def test_a_provider_is_paid_once_at_most_wherever_the_process_is_killed(
    child: Process, server: RunningSimulators, tmp_path: Path, trial: str, attempt: int, point: str
) -> None:
    deaths = Deaths(child, server, trial, attempt, tmp_path)
    killed, nothing = await deaths.run(point)
    assert (killed, nothing) == (signal.SIGKILL, None)
    sent = 0 if point == "before_send" else 1
    assert await deaths.submissions() == sent

    _, report = await deaths.run(None)  # the queue delivers the activity again
    assert report is not None
    assert await deaths.submissions() == sent
    job_id = deaths.recorded_job
    if point not in ("before_send", "after_send"):  # whether it was recorded, there is no doubt
        assert (job_id is not None) == (TRIALS[trial].has_jobs and point != "before_job")
    if job_id is not None or point == "after_seal":
        assert (report.ending, report.job_id) == ("delivered", job_id)
        assert report.images and report.usd_micros > 0
    else:
        assert report.ending == "unknown"

    _, again = await deaths.run(None)
    assert again is not None and again.ending == report.ending
    assert await deaths.submissions() == sent


@pytest.mark.parametrize(("trial", "attempt"), ON_TRIAL)
async def test_a_repeat_after_the_end_says_the_same_and_sends_nothing(
    child: Process, server: RunningSimulators, tmp_path: Path, trial: str, attempt: int
) -> None:
    deaths = Deaths(child, server, trial, attempt, tmp_path)
    _, report = await deaths.run(None)
    assert report is not None and report.ending == "delivered"
    assert (await deaths.run("before_send"))[1] == report  # nobody comes as far as to die
    assert await deaths.submissions() == 1
