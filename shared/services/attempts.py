"""One attempt at one generation: at most one paid request, whatever is delivered twice or dies."""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.attempt_markers import AttemptMarker, MarkerOwner
from shared.domain.attempt_reports import (
    JOB_UNREADABLE,
    NO_COURSE,
    NOT_STORED,
    canceled,
    course_of,
    delivered,
    failed,
    postponed,
    recorded,
    unknown,
)
from shared.domain.attempts import (
    AttemptReport,
    Billed,
    Course,
    Delivered,
    Failure,
    ImageOrder,
    ProviderOutcome,
    StoredImage,
    Unknown,
    Usage,
)
from shared.domain.fallbacks import (
    NOT_AFFORDABLE,
    PASSED_OVER_RETRY_S,
    continued,
    ended_with,
    held_micros,
    in_turn,
    raise_micros,
)
from shared.domain.ids import row_of
from shared.domain.ledger import ATTEMPTS_MAX
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.prices import order_for
from shared.domain.provider_batches import batch_number_of
from shared.domain.work import WorkItem
from shared.errors import PolicyDenied, Rejected, Unavailable
from shared.ports import Clock, ImageProvider, ImageStore, JobRecorder, Ledger
from shared.services.departures import Departures
from shared.services.freezes import Freezes
from shared.services.provider_gate import SENT, ProviderGate, Wait

STORE_RETRY_S = 5.0  # the ledger did not answer before anything was sent: ask again soon
GOES_ON: Final = ("retry", "fallback")  # endings after which another attempt may follow

logger = logging.getLogger("eig.attempts")

# Batch id, number of the provider batch, row, pictures: how that row's batched attempt ended.
BatchedOutcome = Callable[[str, int, int, int], Awaitable[ProviderOutcome]]


async def _no_batches(batch_id: str, number: int, row: int, count: int) -> ProviderOutcome:
    return Unknown("no_provider_batches")


@dataclass(frozen=True)
class Attempts:
    """Calls providers under the ledger's attempt markers (I8)."""

    ledger: Ledger
    images: ImageStore
    providers: Mapping[str, ImageProvider]
    catalogues: PriceCatalogues
    gate: ProviderGate
    clock: Clock
    end_user_salt: str
    batched: BatchedOutcome = _no_batches
    freezes: Freezes | None = None  # asked before every attempt; nobody is in proofs of money alone
    departures: Departures | None = None  # likewise: who may have the prompt may have changed

    async def run(self, item: WorkItem, attempt: int, course: Course = NO_COURSE) -> AttemptReport:
        """Carry out attempt n on the course's candidate; a repeat reports what the first one did.

        Raises Unavailable if an end could not be made sure of: run the same attempt again.
        """
        stayed = await self._stayed(item, attempt, course)
        if stayed is not None:
            return stayed
        asked = item.candidate(course.candidate)
        wait = await self.gate.enter(
            asked.provider, asked.model, item.owner.department_id, item.priority
        )
        if wait is not None:
            return _elsewhere(item, attempt, course, wait)
        outcome: ProviderOutcome | None = None
        began = self.clock.now()
        try:
            paused = await self._paused(item, attempt, course)  # the gate may have taken a while
            if paused is not None:
                return paused
            order = self.order(item, attempt, course.candidate)  # one that fails leaves no marker
            marker = self._marker(item, attempt, "worker", course)
            try:
                standing = await self.ledger.begin_attempt(marker)
            except Unavailable:
                reason = "ledger_unavailable"
                return postponed(item.generation_id, attempt, STORE_RETRY_S, reason, course)
            except Rejected as refusal:
                return await self._not_affordable(item, attempt, course, refusal)
            if standing.holder != marker.holder:
                return await self.evidence(item, standing, course)
            recorder = _Recorder(self.ledger, standing)
            began, outcome = self.clock.now(), SENT
            outcome = await self._generated(asked.provider, order, recorder)
            return await self._conclude(item, recorder.marker, outcome)
        finally:
            latency_s = (self.clock.now() - began).total_seconds()
            await self.gate.leave(asked.provider, outcome, latency_s)

    async def _generated(
        self, provider: str, order: ImageOrder, recorder: JobRecorder
    ) -> ProviderOutcome:
        """What the paid call ended in; one whose adapter raised may have been served all the same.

        The log names the exception's type and place, never its text.
        """
        try:
            return await self.providers[provider].generate(order, recorder)
        except Exception:
            logger.exception("the adapter of a provider failed")
            return Unknown("adapter_failed")

    async def may_leave(self, item: WorkItem, model: str) -> bool:
        """Whether the prompt may go to a model as rules stand now; raises Unavailable."""
        return await self._refusal(item, model) is None

    async def _refusal(self, item: WorkItem, model: str) -> PolicyDenied | None:
        return await self.departures.refusal(item, model) if self.departures else None

    async def _stayed(self, item: WorkItem, attempt: int, course: Course) -> AttemptReport | None:
        """The report of an attempt whose prompt is gone, or may not leave any more, or not now."""
        if item.is_erased:
            return await self.stop(item, "canceller")
        try:
            refusal = await self._refusal(item, item.candidate(course.candidate).model)
        except Unavailable:
            reason = "policies_unavailable"
            return postponed(item.generation_id, attempt, STORE_RETRY_S, reason, course)
        if refusal is None:
            return await self._paused(item, attempt, course)  # no start is taken for nothing
        report = await self.stop(item, "canceller")
        if report.ending != "canceled":
            return report  # an earlier attempt decides how it ended
        return report.model_copy(update={"reason": refusal.problem_code})

    async def _paused(self, item: WorkItem, attempt: int, course: Course) -> AttemptReport | None:
        """The report of an attempt that a freeze holds back, or that nobody can clear just now."""
        if self.freezes is None:
            return None
        generation_id = item.generation_id
        try:
            wait_s = await self.freezes.pause_s(item, item.candidate(course.candidate).model)
        except Unavailable:
            return postponed(generation_id, attempt, STORE_RETRY_S, "freezes_unavailable", course)
        if wait_s is None:
            return None
        return postponed(generation_id, attempt, wait_s, "frozen", course)

    async def _not_affordable(
        self, item: WorkItem, attempt: int, course: Course, refusal: Rejected
    ) -> AttemptReport:
        """No budget lets the hold rise for this candidate: end with what there is, for good.

        The next marker is taken first, so that no repeat of this attempt can still be let through,
        and says how it ended, so that a repeat says the same. Before anything has failed there is
        nothing to end with: the first choice is waited for.
        """
        logger.info("fallback not affordable", extra={"code": refusal.problem_code})
        if not course.lines:
            first = course.model_copy(update={"candidate": 0})
            reason = NOT_AFFORDABLE
            return postponed(item.generation_id, attempt, PASSED_OVER_RETRY_S, reason, first)
        ended = ended_with(item, course).model_dump(mode="json")
        marker = replace(self._marker(item, attempt, "canceller", course), outcome=ended)
        standing = await self.ledger.begin_attempt(marker)
        return await self.evidence(item, standing, course)

    async def cancel(self, item: WorkItem) -> AttemptReport | None:
        """Take the next marker if no call is under way; None when the provider has the work."""
        course = NO_COURSE
        for attempt in range(1, ATTEMPTS_MAX + 1):
            marker = self._marker(item, attempt, "canceller", course)
            standing = await self.ledger.begin_attempt(marker)
            if standing.holder == marker.holder or standing.owner != "worker":
                return canceled(item.generation_id, attempt, course)
            if standing.outcome is None:
                return None
            report = AttemptReport.model_validate(standing.outcome)
            if report.ending not in GOES_ON:
                return None
            course = report.next or course_of(standing)
        return None

    async def stop(self, item: WorkItem, owner: MarkerOwner, *, look: bool = True) -> AttemptReport:
        """Take the next free marker, so that no call can follow, and report how it stands.

        An attempt that a worker began after another has the lines of all that went before: what
        they do not name was not billed. Without a look, the markers alone are believed: no other
        evidence is read, so that none can be in the way.
        """
        course = NO_COURSE
        report = canceled(item.generation_id, 1, course)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            marker = self._marker(item, attempt, owner, course)
            standing = await self.ledger.begin_attempt(marker)
            if standing.holder == marker.holder:
                left_open = report.ending == "unknown"
                return report if left_open else canceled(item.generation_id, attempt, course)
            if look:
                found = await self.evidence(item, standing, course)
            else:
                found = recorded(standing, course) or unknown(standing, "not_looked_at")
            if found.ending == "canceled" and report.ending == "unknown":
                return report  # an earlier stop took this marker: the attempt before it decides
            report = found
            if report.ending not in (*GOES_ON, "unknown"):
                return report
            course = report.next or course_of(standing)
        return report

    async def evidence(
        self, item: WorkItem, marker: AttemptMarker, course: Course = NO_COURSE
    ) -> AttemptReport:
        """How an attempt that was begun elsewhere ended, from what it left behind; never calls."""
        said = recorded(marker, course)
        if said is not None:
            return said
        sealed = await self.images.sealed(item.generation_id)
        if sealed is not None:
            return sealed
        try:
            outcome = await self._asked(item, marker)
        except Exception:  # the job is gone, or its provider is: waiting may never end
            logger.exception("the end of a job could not be read")
            outcome = Unknown(JOB_UNREADABLE)
        return await self._conclude(item, marker, outcome)

    async def _asked(self, item: WorkItem, marker: AttemptMarker) -> ProviderOutcome:
        """How the job of an attempt that was begun elsewhere ended, if it has one."""
        number, row = batch_number_of(marker), row_of(item.generation_id)
        if number is not None and row is not None:
            return await self.batched(item.operation_id, number, row, item.request.count)
        if marker.job_id is None:
            return Unknown("no answer was recorded")
        order = self.order(item, marker.attempt, marker.candidate)
        provider = item.candidate(marker.candidate).provider
        return await self.providers[provider].resume(order, marker.job_id)

    async def conclude_batched(
        self, item: WorkItem, marker: AttemptMarker, outcome: ProviderOutcome
    ) -> AttemptReport:
        """The report of an attempt that was a line of a provider batch; the same when repeated."""
        standing = await self.ledger.begin_attempt(marker)
        if standing.outcome is not None:
            return AttemptReport.model_validate(standing.outcome)
        sealed = await self.images.sealed(item.generation_id)
        return sealed or await self._conclude(item, standing, outcome)

    async def _conclude(
        self, item: WorkItem, marker: AttemptMarker, outcome: ProviderOutcome
    ) -> AttemptReport:
        if isinstance(outcome, Unknown):
            return unknown(marker, outcome.reason, outcome.job_id)
        if isinstance(outcome, Delivered):
            report = await self._keep(item, marker, outcome)
            if report.ending in ("delivered", "unknown"):
                return report  # sealed beside its pictures, or to be fetched again
            report = continued(item, report, None)
        else:
            price = self._price(item, marker, outcome.billed, outcome.usage)
            report = continued(item, failed(marker, outcome, *price), outcome.retry_after_s)
        try:
            await self.ledger.record_outcome(marker, report.model_dump(mode="json"))
        except Exception:
            # The report still reaches the orchestration; only a repeat would find it unknown.
            logger.warning("attempt outcome not recorded", exc_info=True)
            if report.ending == "fallback" and report.usd_micros:
                return await self._ended_here(item, report)
        return report

    async def _ended_here(self, item: WorkItem, report: AttemptReport) -> AttemptReport:
        """The end after a billed failure that may not be on record: nobody falls through.

        The next marker decides. Without it, a repeat that does find the record could go on beside
        a settlement that knows nothing of what follows.
        """
        course = report.next or NO_COURSE
        marker = self._marker(item, report.attempt + 1, "canceller", course)
        standing = await self.ledger.begin_attempt(marker)
        if standing.owner == "worker":
            return report  # somebody has found the record, and gone on
        return report.model_copy(update={"ending": "ended", "next": None})

    async def _keep(
        self, item: WorkItem, marker: AttemptMarker, outcome: Delivered
    ) -> AttemptReport:
        billed = Billed.USAGE if outcome.usage else Billed.MAXIMUM
        paid = delivered(marker, outcome, *self._price(item, marker, billed, outcome.usage))

        def seal(stored: tuple[StoredImage, ...]) -> AttemptReport:
            if stored:
                return paid.model_copy(update={"images": stored})
            return paid.model_copy(
                update={"ending": "ended", "failure": Failure.MALFORMED, "reason": "not_an_image"}
            )

        try:
            return await self.images.keep(item.generation_id, outcome.images, seal)
        except Exception:  # whatever it was, the provider has been paid
            logger.exception("paid pictures could not be kept")
            if marker.job_id is not None:  # whoever asks this job gets them again
                return unknown(marker, NOT_STORED, outcome.job_id)
            return paid.model_copy(
                update={"ending": "ended", "failure": Failure.CUSTODY, "reason": NOT_STORED}
            )

    def _marker(
        self, item: WorkItem, attempt: int, owner: MarkerOwner, course: Course
    ) -> AttemptMarker:
        """A marker; a worker's raises the hold if its candidate may cost more than is left."""
        raised_micros = raise_micros(item, course) if owner == "worker" else 0
        return AttemptMarker(
            generation_id=item.generation_id,
            attempt=attempt,
            owner=owner,
            holder=self.clock.new_id(),
            created_at=self.clock.now().isoformat(),
            candidate=course.candidate,
            raised_micros=raised_micros,
            held_micros=held_micros(item, course) + raised_micros,
            lines=tuple(line.model_dump(mode="json") for line in course.lines),
            correlation_id=item.correlation_id,
        )

    def order(self, item: WorkItem, attempt: int, candidate: int = 0) -> ImageOrder:
        """The paid request of attempt n."""
        end_user = hmac.new(
            self.end_user_salt.encode(), item.owner.user_key.encode(), hashlib.sha256
        ).hexdigest()
        prices = self.catalogues.of(item.quote)
        wanted = item.request_of(candidate)
        return order_for(item.generation_id, attempt, wanted, prices, end_user)

    def _price(
        self, item: WorkItem, marker: AttemptMarker, billed: Billed, usage: Usage | None
    ) -> tuple[int, int | None]:
        """What an attempt costs, and what it would have cost alone if it was a line of a batch.

        By the price version of the quote: what is in force meanwhile does not matter.
        """
        prices, request = self.catalogues.of(item.quote), item.request_of(marker.candidate)
        list_usd_micros = prices.billed_usd_micros(request, billed, usage)
        if batch_number_of(marker) is None:
            return list_usd_micros, None
        return prices.batch_usd_micros(request.model, list_usd_micros), list_usd_micros


@dataclass
class _Recorder:
    """Writes down a job's id; `marker` is what whoever asks after us finds, as far as we know."""

    ledger: Ledger
    marker: AttemptMarker

    async def __call__(self, job_id: str) -> None:
        try:
            await self.ledger.record_job(self.marker, job_id)
        except Unavailable:
            # The job runs and we are polling it; only a crash now would make it unknown.
            logger.warning("job id not recorded", extra={"attempt": self.marker.attempt})
        else:
            self.marker = replace(self.marker, job_id=job_id)


def _elsewhere(item: WorkItem, attempt: int, course: Course, wait: Wait) -> AttemptReport:
    """The report of an attempt that the gate holds back: for long, another candidate is asked."""
    turn, wait_s = in_turn(item, course, wait.seconds)
    return postponed(item.generation_id, attempt, wait_s, wait.reason, turn)
