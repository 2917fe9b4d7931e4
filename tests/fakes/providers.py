"""An image provider that works, refuses, loses answers and bills as its script says."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderImage,
    ProviderOutcome,
    Unknown,
)
from shared.ports import JobRecorder
from tests.fakes.faults import NOT_DONE, Fault, Faults, NoFaults

NOT_A_PICTURE = b"<html>a page that says it is a picture</html>"
PNG = (  # the beginning of a picture of 8 x 8 points
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00"
    b"Km)\xdc\x00\x00\x00\x10IDAT"
)


@dataclass(frozen=True)
class Work:
    """What the provider does with one order: its outcome, and what it puts on the invoice."""

    outcome: ProviderOutcome  # of a Delivered, `images` is made from `pictures` for every reader
    usd_micros: int
    pictures: tuple[bytes, ...] = ()
    unreadable: bool = False  # the adapter meets an error at the answer, every time
    found: Callable[[], ProviderOutcome] | None = None  # by who resumes the job; None: the outcome


@dataclass
class FakeProvider:
    """Counts submissions and keeps an invoice; with `jobs` it hands out job ids like Replicate."""

    name: str
    script: Callable[[ImageOrder], Work]
    jobs: bool = False
    faults: Faults = field(default_factory=NoFaults)
    submitted: dict[tuple[str, int], int] = field(default_factory=dict)
    invoice: dict[str, int] = field(default_factory=dict)  # micro-USD by generation id
    billed: dict[tuple[str, int], int] = field(default_factory=dict)  # and by attempt
    before_work: Callable[[ImageOrder], None] = lambda order: None
    after_billing: Callable[[ImageOrder], None] = lambda order: None
    resumed: Counter[str] = field(default_factory=Counter)  # what jobs were found as
    _done: dict[str, Work] = field(default_factory=dict)

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Work, and perhaps lose the answer or the caller."""
        fault = await self.faults.next("generate")
        if fault in NOT_DONE:
            return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
        if fault is Fault.LATE:
            self.faults.later(lambda: self._work(order))
            return Unknown("no_answer_in_time")
        work = self._work(order)
        if fault is Fault.LOST:
            return Unknown("no_answer_in_time")
        if fault is Fault.CRASH_AFTER:
            raise self.faults.crash("generate")
        if not self.jobs:
            return _fresh(work, work.outcome, None)
        job_id = job_id_of(order)
        await record_job(job_id)
        polled = await self._polled(job_id)
        return _fresh(polled, polled.outcome, job_id) if polled else Unknown("poll_lost", job_id)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """How a job that somebody has recorded stands by now; a lost answer leaves it unknown."""
        polled = await self._polled(job_id)
        if polled is None:
            return Unknown("poll_lost", job_id)
        outcome = polled.found() if polled.found else polled.outcome
        self.resumed[type(outcome).__name__] += 1
        return _fresh(polled, outcome, job_id)

    async def _polled(self, job_id: str) -> Work | None:
        fault = await self.faults.next("resume")
        if fault is Fault.CRASH_AFTER:
            raise self.faults.crash("resume")
        return self._done.get(job_id) if fault is Fault.NONE else None

    def _work(self, order: ImageOrder) -> Work:
        self.before_work(order)
        at = (order.generation_id, order.attempt)
        self.submitted[at] = self.submitted.get(at, 0) + 1
        work = self.script(order)
        billed = self.invoice.get(order.generation_id, 0)
        self.invoice[order.generation_id] = billed + work.usd_micros
        self.billed[at] = self.billed.get(at, 0) + work.usd_micros
        self._done[job_id_of(order)] = work
        self.after_billing(order)
        return work


def job_id_of(order: ImageOrder) -> str:
    return f"job-{order.generation_id}-{order.attempt}"


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _fresh(work: Work, outcome: ProviderOutcome, job_id: str | None) -> ProviderOutcome:
    """The outcome, with streams that nobody has read yet."""
    if work.unreadable:
        raise RuntimeError("what the provider said")
    if not isinstance(outcome, Delivered):
        return outcome
    images = tuple(ProviderImage(_once(data)) for data in work.pictures)
    return replace(outcome, images=images, job_id=job_id)
