"""Provider batches: the provider's side, and the claims that keep them from being sent twice."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.attempts import NotDelivered, Unknown
from shared.domain.audit_events import AuditEvent
from shared.domain.provider_batches import BatchJob, BatchLine, LineResult, ProviderBatch


class BatchProvider(Protocol):
    """A provider that carries out many requests within a day at a lower price."""

    name: str

    async def upload(self, key: str, lines: Sequence[BatchLine]) -> str | NotDelivered:
        """Store the requests; nothing is carried out or paid yet. The id of the file."""
        ...

    async def submit(self, key: str, file_id: str) -> str | NotDelivered | Unknown:
        """Order the requests of a file, at most once; the id of the job.

        NotDelivered: the provider took nothing. Unknown: look for the job with `find`.
        """
        ...

    async def find(self, key: str, since: datetime) -> str | None:
        """The job that was submitted under this key; raises Unavailable if it cannot be said."""
        ...

    async def job(self, job_id: str) -> BatchJob:
        """How a job stands; raises Unavailable."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Ask to stop; what is done already is kept and paid. Harmless when the job has ended."""
        ...

    def results(self, job: BatchJob, counts: Mapping[str, int]) -> AsyncIterator[LineResult]:
        """Each line of an ended job that can be read, one at a time; raises Unavailable.

        `counts` says how many pictures each custom id asked for; others have no outcome.
        """
        ...


class ProviderBatchClaims(Protocol):
    """Create-only claims: at most one execution may ever send a provider batch."""

    async def claim(self, claim: ProviderBatch) -> ProviderBatch:
        """Create the claim, or return the one that stands; ours if its holder is ours."""
        ...

    async def find(self, batch_id: str, number: int) -> ProviderBatch | None: ...

    async def settle(self, claim: ProviderBatch, event: AuditEvent) -> ProviderBatch:
        """Write what became of a claim, once, with its audit event; the one that stands then."""
        ...
