"""Carries out one attempt in a process of its own, which kills itself as `kill -9` does.

A line of JSON on standard input is one run: `origin` of the simulators, `trial`, `attempt` (the
second one is at the second candidate of a route), `prompt`, `folder` of what survives, `point` at
which to die. A line of JSON on standard output is how it ended. Each
run is a fork of this process, so that nothing is imported twice; no event loop runs before it.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import aiohttp

from shared.domain.attempt_markers import AttemptMarker, marker_document, read_marker
from shared.domain.attempt_reports import NO_COURSE
from shared.domain.attempts import (
    AttemptReport,
    Course,
    Failure,
    ImageOrder,
    ProviderImage,
    ProviderOutcome,
)
from shared.domain.fallbacks import lines_of
from shared.domain.routes import Route, pinned_route
from shared.domain.work import WorkItem
from shared.ports import ImageProvider, JobRecorder, Seal
from shared.services.attempts import Attempts
from shared.services.provider_gate import GateLimit, ProviderGate
from tests import builders
from tests.contract.provider_bench import TRIALS, ServerAddress
from tests.fakes.clock import FakeClock
from tests.fakes.image_store import FakeImageStore

POINTS = (
    "before_send",
    "after_send",
    "before_job",  # the submission is answered, the job's id not recorded
    "after_answer",
    "before_record",
    "after_seal",  # the pictures are in custody, the outcome is recorded nowhere else
)
FAILED_FIRST = "gpt-image-2"  # at no cost, where the second candidate is on trial
LOOK_S = 0.005
PRICED_AT = datetime(2026, 12, 1, tzinfo=UTC)  # every model on trial has a price by then


def die() -> Never:
    """End as if somebody had pulled the plug: nothing is flushed, closed or answered."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


class OwnClock(FakeClock):
    """Ids that no other process has: they tell one execution from another."""

    def new_id(self) -> str:
        return uuid.uuid4().hex


@dataclass(frozen=True)
class FileLedger:
    """The part of the Ledger port that attempts use, in files: what is answered is on disk."""

    folder: Path

    async def begin_attempt(self, marker: AttemptMarker) -> AttemptMarker:
        document = json.dumps(marker_document(marker)).encode()
        try:
            written = os.open(self._path(marker), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return read_marker(json.loads(self._path(marker).read_bytes()))
        os.write(written, document)
        os.fsync(written)
        os.close(written)
        return marker

    async def record_job(self, marker: AttemptMarker, job_id: str) -> None:
        self._set(marker, "job_id", job_id)

    async def record_outcome(self, marker: AttemptMarker, outcome: Mapping[str, Any]) -> None:
        self._set(marker, "outcome", dict(outcome))

    def _set(self, marker: AttemptMarker, name: str, value: object) -> None:
        document = json.loads(self._path(marker).read_bytes()) | {name: value}
        beside = self._path(marker).with_suffix(".new")
        beside.write_text(json.dumps(document))
        beside.rename(self._path(marker))

    def _path(self, marker: AttemptMarker) -> Path:
        return self.folder / f"marker-{marker.attempt}.json"


class FileImages(FakeImageStore):
    """Custody whose seal survives; dies before or after it if it is told to."""

    def __init__(self, folder: Path, point: str | None) -> None:
        super().__init__()
        self._sealed = folder / "sealed.json"
        self._point = point

    async def keep(
        self, generation_id: str, images: Sequence[ProviderImage], seal: Seal
    ) -> AttemptReport:
        if self._point == "before_record":
            die()
        report = await super().keep(generation_id, images, seal)
        self._sealed.write_text(report.model_dump_json())
        if self._point == "after_seal":
            die()
        return report

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        if not self._sealed.exists():
            return None
        return AttemptReport.model_validate_json(self._sealed.read_bytes())


@dataclass(frozen=True)
class DyingProvider:
    """A real adapter around whose exchange the process dies."""

    inner: ImageProvider
    name: str
    origin: str
    point: str | None

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        if self.point == "before_send":
            die()
        watching = None
        if self.point == "after_send":
            watching = asyncio.create_task(self._die_when_sent(order.prompt))
        outcome = await self.inner.generate(
            order, _never if self.point == "before_job" else record_job
        )
        if self.point == "after_answer":
            die()
        if watching is not None:
            await watching  # the answer was faster than the look: what is left must not matter
        return outcome

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        return await self.inner.resume(order, job_id)

    async def _die_when_sent(self, prompt: str) -> None:
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        async with aiohttp.ClientSession() as session:
            while True:  # ends with the process, or with the test's own time
                async with session.get(f"{self.origin}/_control/stats") as answer:
                    listed = (await answer.json())["submissions"]
                if any(each["prompt_sha256"] == digest for each in listed):
                    die()
                await asyncio.sleep(LOOK_S)


async def _never(job_id: str) -> None:
    """Records no job."""
    die()


def work_of(prompt: str, *models: str) -> WorkItem:
    """Work that these models may carry out, in this order."""
    wanted = [builders.request(model, prompt=prompt) for model in models]
    quotes = [builders.catalogues().at(PRICED_AT).quote(each) for each in wanted]
    pinned = map(pinned_route, wanted, quotes)
    route = Route("pinned", tuple(each.candidates[0] for each in pinned))
    return replace(builders.item(wanted=wanted[0], quote=quotes[0]), planned_route=route)


def on_trial(trial: str, attempt: int, prompt: str) -> tuple[WorkItem, Course]:
    """The work, and how far it has come before the attempt that is on trial."""
    model = trial.partition(" ")[0]
    if attempt == 1:
        return work_of(prompt, model), NO_COURSE
    work = work_of(prompt, FAILED_FIRST, model)
    failed = builders.report(work, "ended", failure=Failure.TRANSIENT)
    return work, Course(candidate=1, lines=lines_of(work, failed))


async def carry_out(task: Mapping[str, Any]) -> AttemptReport:
    """One delivery of the attempt."""
    ServerAddress.origin = task["origin"]
    folder, point = Path(task["folder"]), task["point"]
    work, course = on_trial(task["trial"], task["attempt"], task["prompt"])
    clock = OwnClock()
    inner = TRIALS[task["trial"]].provider_at(task["origin"])
    name = work.candidate(course.candidate).provider
    provider = DyingProvider(inner, name, task["origin"], point)
    attempts = Attempts(
        ledger=FileLedger(folder),  # type: ignore[arg-type]  # attempts use no more of it
        images=FileImages(folder, point),
        providers={name: provider},
        catalogues=builders.catalogues(),
        gate=ProviderGate({name: GateLimit(2, 60)}, clock),
        clock=clock,
        end_user_salt="salt",
    )
    try:
        return await attempts.run(work, task["attempt"], course)
    finally:
        await inner.aclose()


def answer(task: Mapping[str, Any]) -> dict[str, Any]:
    """Fork, carry the task out there, and say how the fork ended."""
    said = Path(task["folder"]) / "report.json"
    said.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            said.write_text(asyncio.run(carry_out(task)).model_dump_json())
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    report = json.loads(said.read_bytes()) if said.exists() else None
    return {"signal": killed, "report": report}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
