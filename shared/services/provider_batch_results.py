"""What became of a provider batch and of each of its rows; asks only, never sends."""

import logging
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.attempt_reports import JOB_UNREADABLE
from shared.domain.attempts import Billed, Failure, NotDelivered, ProviderOutcome, Unknown
from shared.domain.provider_batches import (
    BatchJob,
    ClaimStatus,
    ProviderBatch,
    claim_event,
    custom_id_of,
    line_reference,
)
from shared.errors import Unavailable
from shared.ports import Clock
from shared.ports.provider_batches import BatchProvider, ProviderBatchClaims

# A submission is answered or given up within 3 minutes; past this, one that the provider does not
# list was never made.
SEARCH_TIME = timedelta(minutes=15)

logger = logging.getLogger("eig.provider_batches")


@dataclass(frozen=True)
class ProviderBatchResults:
    """Finds the job behind a claim and reads its results."""

    provider: BatchProvider
    claims: ProviderBatchClaims
    clock: Clock

    async def searched(self, claim: ProviderBatch) -> ProviderBatch:
        """A claim without a job, after looking for it at the provider by our key."""
        since = datetime.fromisoformat(claim.created_at)
        job_id = await self.provider.find(claim.key, since)
        if job_id is not None:
            return await self.settled(claim, "submitted", job_id=job_id)
        if self.clock.now() - since > SEARCH_TIME:
            return await self.settled(claim, "lost", reason="never_sent")
        return claim

    async def settled(
        self,
        claim: ProviderBatch,
        status: ClaimStatus,
        *,
        job_id: str | None = None,
        reason: str | None = None,
    ) -> ProviderBatch:
        """Write what became of a claim; the first word stands."""
        settled = replace(claim, status=status, job_id=job_id, reason=reason)
        event = claim_event(settled, self.clock.now().isoformat(), claim.batch_id)
        standing = await self.claims.settle(settled, event)
        if job_id is not None and standing.job_id != job_id:
            logger.error("a provider batch was sent that nobody waits for: it is canceled")
            await self.provider.cancel(job_id)
        return standing

    async def outcomes(
        self, claim: ProviderBatch, counts: Mapping[int, int]
    ) -> AsyncIterator[tuple[int, ProviderOutcome]]:
        """The outcome of each row of an ended batch; `counts` are the pictures each row wanted."""
        missing = dict.fromkeys(counts)
        answered: set[int] = set()
        job: BatchJob | None = None
        if claim.status == "submitted" and claim.job_id is not None:
            job = await self.provider.job(claim.job_id)
            if job.state == "running":
                for row in counts:
                    yield row, Unknown("batch_runs", line_reference(claim, row))
                return
            rows = {custom_id_of(claim.batch_id, row): row for row in claim.rows}
            wanted = {name: counts[row] for name, row in rows.items() if row in counts}
            async for line in self.provider.results(job, wanted):
                if line.custom_id not in rows:
                    continue
                row = rows[line.custom_id]
                if line.is_answered:
                    answered.add(row)
                if row in missing and line.outcome is not None:  # listed twice, it counts once
                    del missing[row]
                    said = line.outcome
                    said = _at_most(said.reason) if isinstance(said, Unknown) else said
                    yield row, replace(said, job_id=line_reference(claim, row))
        for row in missing:
            yield row, _without_line(claim, job, row, answered)

    async def last_outcomes(
        self, claim: ProviderBatch, counts: Mapping[int, int]
    ) -> AsyncIterator[tuple[int, ProviderOutcome]]:
        """The outcome of each row; unknown if it cannot be read: the job or a file may be gone."""
        missing = dict.fromkeys(counts)
        try:
            async for row, outcome in self.outcomes(claim, counts):
                del missing[row]
                yield row, outcome
        except Unavailable:
            logger.warning("results of a provider batch could not be read", exc_info=True)
            for row in missing:
                reference = line_reference(claim, row) if claim.job_id else None
                yield row, Unknown(JOB_UNREADABLE, reference)

    async def outcome_of(self, batch_id: str, number: int, row: int, count: int) -> ProviderOutcome:
        """How one row's batched attempt ended. A batch that nobody has sent yet never will be."""
        claim = await self.claims.find(batch_id, number)
        if claim is None:
            claim = await self._given_up(batch_id, number)
        if claim.status == "claimed":
            claim = await self.searched(claim)
        if claim.status == "claimed":
            return Unknown("batch_not_found_yet")
        async for _, outcome in self.last_outcomes(claim, {row: count}):
            return outcome
        raise AssertionError("unreachable: each wanted row has an outcome")

    async def _given_up(self, batch_id: str, number: int) -> ProviderBatch:
        """Take the right to send, so that nobody will, unless somebody has it by now."""
        claim = ProviderBatch(
            batch_id=batch_id,
            number=number,
            holder=self.clock.new_id(),
            rows=(),
            created_at=self.clock.now().isoformat(),
            file_id=None,
        )
        standing = await self.claims.claim(claim)
        if standing.holder != claim.holder:
            return standing
        return await self.settled(claim, "lost", reason="never_sent")


def _without_line(
    claim: ProviderBatch, job: BatchJob | None, row: int, answered: Collection[int]
) -> ProviderOutcome:
    """A row of which no line can be read: billed, unless something proves that it was not.

    The proof is a job that worked on no more lines than have an answer. A complete job owes a
    result for each.
    """
    if claim.status == "claimed":  # it may be under way: nobody has found it yet
        return Unknown("batch_not_found_yet")
    if job is None:
        return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, f"batch_{claim.status}")
    if row not in claim.rows:
        return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "not_in_the_batch")
    reference = line_reference(claim, row)
    all_answered = job.worked_on is not None and job.worked_on <= len(answered)
    if job.state == "completed" or not all_answered:
        return replace(_at_most("no_line_in_the_results"), job_id=reference)
    return NotDelivered(Failure.TRANSIENT, Billed.NOTHING, f"batch_{job.state}", job_id=reference)


def _at_most(reason: str) -> NotDelivered:
    """What an ended job leaves open: it says nothing more, so the most it can cost is booked."""
    return NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, reason)
