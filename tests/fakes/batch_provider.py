"""A provider that carries out files of requests, as its script and the test say."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
)
from shared.domain.provider_batches import BatchJob, BatchLine, JobState, LineResult
from shared.errors import Unavailable
from shared.ports import Clock
from tests.fakes.faults import NOT_DONE, Fault, Faults, NoFaults
from tests.fakes.providers import Work


@dataclass
class Job:
    """One accepted batch; lines in `done` were worked on and are billed."""

    key: str
    created_at: datetime
    lines: tuple[BatchLine, ...]
    state: JobState = "running"
    done: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    is_counted: bool = True  # it says how many lines were worked on


@dataclass
class FakeBatchProvider:
    """Accepts every file; a job ends when the test says so, or at once with `instant`."""

    script: Callable[[BatchLine], Work]
    clock: Clock
    faults: Faults = field(default_factory=NoFaults)
    instant: bool = False
    refusal: NotDelivered | None = None
    files: dict[str, tuple[str, tuple[BatchLine, ...]]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    canceled: list[str] = field(default_factory=list)
    before_work: Callable[[BatchLine], None] = lambda line: None
    name: str = "azure_openai"

    async def upload(self, key: str, lines: Sequence[BatchLine]) -> str | NotDelivered:
        fault = await self.faults.next("upload")
        if fault in NOT_DONE:
            raise Unavailable("The file was not stored.")
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id] = (key, tuple(lines))
        if fault is Fault.CRASH_AFTER:
            raise self.faults.crash("upload")
        return file_id

    async def submit(self, key: str, file_id: str) -> str | NotDelivered | Unknown:
        fault = await self.faults.next("submit")
        if self.refusal is not None:
            return self.refusal
        if fault in NOT_DONE:
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
        job_id = self._accept(key, file_id)
        if fault is Fault.CRASH_AFTER:
            raise self.faults.crash("submit")
        return Unknown("no_answer") if fault is Fault.LOST else job_id

    def _accept(self, key: str, file_id: str) -> str:
        lines = self.files[file_id][1]
        for line in lines:
            self.before_work(line)
        job_id = f"batch-{len(self.jobs) + 1}"
        self.jobs[job_id] = Job(key, self.clock.now(), lines)
        if self.instant:
            self.finish(job_id)
        return job_id

    def finish(
        self, job_id: str, state: JobState = "completed", done: Sequence[str] | None = None
    ) -> None:
        """End a job with these custom ids worked on; None: all of them."""
        job = self.jobs[job_id]
        job.state = state
        job.done |= {line.custom_id for line in job.lines} if done is None else set(done)

    @property
    def invoice(self) -> dict[str, int]:
        """Micro-USD by '{job}/{custom id}', at the batch price."""
        return {
            f"{job_id}/{line.custom_id}": -(-self.script(line).usd_micros // 2)
            for job_id, job in self.jobs.items()
            for line in job.lines
            if line.custom_id in job.done and self.script(line).usd_micros
        }

    async def find(self, key: str, since: datetime) -> str | None:
        await self._ask("find")
        return next((job_id for job_id, job in self.jobs.items() if job.key == key), None)

    async def job(self, job_id: str) -> BatchJob:
        await self._ask("job")
        job = self.jobs[job_id]
        worked_on = len(job.done) if job.is_counted else None
        return BatchJob(job_id, job.state, "output", "errors", worked_on=worked_on)

    async def cancel(self, job_id: str) -> None:
        await self._ask("cancel")
        self.canceled.append(job_id)
        if self.jobs[job_id].state == "running":
            self.jobs[job_id].state = "cancelled"

    async def _ask(self, call: str) -> None:
        fault = await self.faults.next(call)
        if fault is Fault.CRASH_AFTER:
            raise self.faults.crash(call)
        if fault is not Fault.NONE:
            raise Unavailable("The provider did not answer.")

    async def results(self, job: BatchJob, counts: Mapping[str, int]) -> AsyncIterator[LineResult]:
        await self._ask("results")
        known = self.jobs[job.job_id]
        for line in known.lines:
            if line.custom_id in known.unlisted:
                continue
            if line.custom_id in known.done:
                outcome = _fresh(self.script(line))
                is_answered = not isinstance(outcome, Unknown)
            elif known.state != "failed":
                reason = f"batch_{known.state}"
                outcome = NotDelivered(Failure.TRANSIENT, Billed.NOTHING, reason)
                is_answered = False
            else:
                continue
            wanted = outcome if line.custom_id in counts else None
            yield LineResult(line.custom_id, is_answered, wanted)


def _fresh(work: Work) -> ProviderOutcome:
    """The outcome, with streams that nobody has read yet."""
    if not isinstance(work.outcome, Delivered):
        return work.outcome
    images = tuple(ProviderImage(_once(data)) for data in work.pictures)
    return replace(work.outcome, images=images)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
