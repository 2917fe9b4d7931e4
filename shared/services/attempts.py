"""One attempt at one generation: at most one paid request, whatever is delivered twice or dies."""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared.domain.attempts import (
    RETRYABLE,
    AttemptReport,
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderOutcome,
    StoredImage,
    Unknown,
    Usage,
)
from shared.domain.ids import row_of
from shared.domain.ledger import ATTEMPTS_MAX, AttemptMarker, MarkerOwner
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.prices import order_for
from shared.domain.provider_batches import batch_number_of
from shared.domain.work import WorkItem
from shared.errors import Unavailable
from shared.ports import Clock, ImageProvider, ImageStore, JobRecorder, Ledger
from shared.services.freezes import Freezes
from shared.services.provider_gate import ProviderGate

STORE_RETRY_S = 5.0  # the ledger did not answer before anything was sent: ask again soon
PROVIDER_RETRY_S = 5.0  # a retryable failure that named no time
RETRY_AFTER_S_MAX = 300.0  # a provider that asks for more is treated as if it asked for this

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

    async def run(self, item: WorkItem, attempt: int) -> AttemptReport:
        """Carry out attempt n; a repeated delivery reports what the first one did."""
        if item.is_erased:
            return await self.stop(item, "canceller")
        wait_s = await self.gate.enter(item.provider)
        if wait_s is not None:
            return postponed(item.generation_id, attempt, wait_s, "provider_gate")
        try:
            paused = await self._paused(item, attempt)  # last: the gate may have taken a while
            if paused is not None:
                return paused
            order = self.order(item, attempt)  # first: an order that fails leaves no marker
            marker = self._marker(item, attempt, "worker")
            try:
                standing = await self.ledger.begin_attempt(marker)
            except Unavailable:
                return postponed(item.generation_id, attempt, STORE_RETRY_S, "ledger_unavailable")
            if standing.holder != marker.holder:
                return await self.evidence(item, standing)
            outcome = await self.providers[item.provider].generate(order, self._recorder(standing))
            return await self._conclude(item, standing, outcome)
        finally:
            self.gate.leave(item.provider)

    async def _paused(self, item: WorkItem, attempt: int) -> AttemptReport | None:
        """The report of an attempt that a freeze holds back, or that nobody can clear just now."""
        if self.freezes is None:
            return None
        try:
            wait_s = await self.freezes.pause_s(item)
        except Unavailable:
            return postponed(item.generation_id, attempt, STORE_RETRY_S, "freezes_unavailable")
        if wait_s is None:
            return None
        return postponed(item.generation_id, attempt, wait_s, "frozen")

    async def cancel(self, item: WorkItem) -> AttemptReport | None:
        """Take the next marker if no call is under way; None when the provider has the work."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            marker = self._marker(item, attempt, "canceller")
            standing = await self.ledger.begin_attempt(marker)
            if standing.holder == marker.holder or standing.owner != "worker":
                return self._canceled(item, attempt)
            if standing.outcome is None or standing.outcome["ending"] != "retry":
                return None
        return None

    async def stop(self, item: WorkItem, owner: MarkerOwner) -> AttemptReport:
        """Take the next free marker, so that no call can follow, and report how it stands.

        An attempt that a worker began after another proves that the earlier one was not billed.
        """
        report = self._canceled(item, 1)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            marker = self._marker(item, attempt, owner)
            standing = await self.ledger.begin_attempt(marker)
            if standing.holder == marker.holder:
                return report if report.ending == "unknown" else self._canceled(item, attempt)
            found = await self.evidence(item, standing)
            if found.ending == "canceled" and report.ending == "unknown":
                return report  # an earlier stop took this marker: the attempt before it decides
            report = found
            if report.ending not in ("retry", "unknown"):
                return report
        return report

    async def evidence(self, item: WorkItem, marker: AttemptMarker) -> AttemptReport:
        """How an attempt that was begun elsewhere ended, from what it left behind; never calls."""
        if marker.owner != "worker":
            return self._canceled(item, marker.attempt)
        if marker.outcome is not None:
            return AttemptReport.model_validate(marker.outcome)
        sealed = await self.images.sealed(item.generation_id)
        if sealed is not None:
            return sealed
        number, row = batch_number_of(marker), row_of(item.generation_id)
        if number is not None and row is not None:
            found = await self.batched(item.operation_id, number, row, item.request.count)
            return await self._conclude(item, marker, found)
        if marker.job_id is None:
            return self._unknown(item, marker, "no answer was recorded")
        order = self.order(item, marker.attempt)
        outcome = await self.providers[item.provider].resume(order, marker.job_id)
        return await self._conclude(item, marker, outcome)

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
            return self._unknown(item, marker, outcome.reason, outcome.job_id)
        if isinstance(outcome, Delivered):
            report = await self._keep(item, marker, outcome)
            if report.ending == "delivered":
                return report  # sealed beside its pictures
        else:
            report = self._not_delivered(item, marker, outcome)
        try:
            await self.ledger.record_outcome(marker, report.model_dump(mode="json"))
        except Exception:
            # The report still reaches the orchestration; only a repeat would find it unknown.
            logger.warning("attempt outcome not recorded", exc_info=True)
        return report

    async def _keep(
        self, item: WorkItem, marker: AttemptMarker, outcome: Delivered
    ) -> AttemptReport:
        billed = Billed.USAGE if outcome.usage else Billed.MAXIMUM
        usd_micros, list_usd_micros = self._price(item, marker, billed, outcome.usage)
        paid = AttemptReport(
            generation_id=item.generation_id,
            attempt=marker.attempt,
            ending="delivered",
            usd_micros=usd_micros,
            list_usd_micros=list_usd_micros,
            estimated=outcome.usage is None,
            request_id=outcome.request_id,
            job_id=outcome.job_id,
        )

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
            return paid.model_copy(
                update={"ending": "ended", "failure": Failure.CUSTODY, "reason": "not_stored"}
            )

    def _not_delivered(
        self, item: WorkItem, marker: AttemptMarker, outcome: NotDelivered
    ) -> AttemptReport:
        usd_micros, list_usd_micros = self._price(item, marker, outcome.billed, outcome.usage)
        may_retry = (
            outcome.failure in RETRYABLE and usd_micros == 0 and marker.attempt < ATTEMPTS_MAX
        )
        wait_s = PROVIDER_RETRY_S if outcome.retry_after_s is None else outcome.retry_after_s
        return AttemptReport(
            generation_id=item.generation_id,
            attempt=marker.attempt,
            ending="retry" if may_retry else "ended",
            failure=outcome.failure,
            reason=outcome.reason,
            categories=outcome.categories,
            retry_after_s=min(wait_s, RETRY_AFTER_S_MAX) if may_retry else None,
            usd_micros=usd_micros,
            list_usd_micros=list_usd_micros,
            estimated=outcome.billed in (Billed.OUTPUT, Billed.MAXIMUM),
            request_id=outcome.request_id,
            job_id=outcome.job_id,
        )

    def _marker(self, item: WorkItem, attempt: int, owner: MarkerOwner) -> AttemptMarker:
        return AttemptMarker(
            generation_id=item.generation_id,
            attempt=attempt,
            owner=owner,
            holder=self.clock.new_id(),
            created_at=self.clock.now().isoformat(),
        )

    def order(self, item: WorkItem, attempt: int) -> ImageOrder:
        """The paid request of attempt n."""
        end_user = hmac.new(
            self.end_user_salt.encode(), item.owner.user_key.encode(), hashlib.sha256
        ).hexdigest()
        prices = self.catalogues.of(item.quote)
        return order_for(item.generation_id, attempt, item.request, prices, end_user)

    def _price(
        self, item: WorkItem, marker: AttemptMarker, billed: Billed, usage: Usage | None
    ) -> tuple[int, int | None]:
        """What an attempt costs, and what it would have cost alone if it was a line of a batch.

        By the price version of the quote: what is in force meanwhile does not matter.
        """
        prices = self.catalogues.of(item.quote)
        list_usd_micros = prices.billed_usd_micros(item.request, billed, usage)
        if batch_number_of(marker) is None:
            return list_usd_micros, None
        return prices.batch_usd_micros(item.request.model, list_usd_micros), list_usd_micros

    def _recorder(self, marker: AttemptMarker) -> JobRecorder:
        async def record(job_id: str) -> None:
            try:
                await self.ledger.record_job(marker, job_id)
            except Unavailable:
                # The job runs and we are polling it; only a crash now would make it unknown.
                logger.warning("job id not recorded", extra={"attempt": marker.attempt})

        return record

    def _canceled(self, item: WorkItem, attempt: int) -> AttemptReport:
        return AttemptReport(
            generation_id=item.generation_id,
            attempt=attempt,
            ending="canceled",
            failure=Failure.CANCELED,
            reason="stopped before the provider was called",
        )

    def _unknown(
        self, item: WorkItem, marker: AttemptMarker, reason: str, job_id: str | None = None
    ) -> AttemptReport:
        return AttemptReport(
            generation_id=item.generation_id,
            attempt=marker.attempt,
            ending="unknown",
            reason=reason,
            job_id=job_id or marker.job_id,
        )


def postponed(generation_id: str, attempt: int, wait_s: float, reason: str) -> AttemptReport:
    """The report of an attempt that was not begun, or whose marker protects it: ask later."""
    return AttemptReport(
        generation_id=generation_id,
        attempt=attempt,
        ending="again",
        reason=reason,
        retry_after_s=wait_s,
    )
