"""A provider batch: rows of one chunk that a provider carries out within a day at its batch price.

    claimed     one execution has the right to send it; nobody else may
    submitted   the provider's job is known
    refused     the provider took nothing of it
    lost        it never reached the provider; nobody may send it any more

Its rows carry the reference as the job id of their first attempt's marker, written before anything
is sent, so that whoever meets such a marker knows where its evidence is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.domain.attempt_markers import AttemptMarker
from shared.domain.attempts import ImageOrder, ProviderOutcome
from shared.domain.audit_events import AuditEvent
from shared.domain.ids import row_generation_id
from shared.domain.ledger import partition_for
from shared.domain.settlements import SYSTEM_ACTOR

Deadline = Literal["24h"]
BATCHED_ATTEMPT = 1  # a row is tried at the batch price first; later attempts are synchronous
_REFERENCE_PREFIX = "batch:"

ClaimStatus = Literal["claimed", "submitted", "refused", "lost"]
JobState = Literal["running", "completed", "expired", "cancelled", "failed"]


@dataclass(frozen=True)
class BatchLine:
    """One request of a provider batch; `custom_id` comes back with its result."""

    custom_id: str
    order: ImageOrder


@dataclass(frozen=True)
class BatchJob:
    """The provider's job as it stands; an ended one names the files with its results."""

    job_id: str
    state: JobState
    output_file_id: str | None = None
    error_file_id: str | None = None
    reason: str | None = None  # of a job that failed as a whole
    worked_on: int | None = None  # lines, answered or not; None: the provider does not say


@dataclass(frozen=True)
class LineResult:
    """A line of an ended job's results; `outcome` is None for one that nobody asked about.

    Only a line with the model's answer proves that its request is one of the job's `worked_on`.
    """

    custom_id: str
    is_answered: bool
    outcome: ProviderOutcome | None


@dataclass(frozen=True)
class ProviderBatch:
    """The claim on one provider batch: chunk `number` of a batch, its rows, its file and its job.

    Whoever creates the document may send; `holder` is one execution.
    """

    batch_id: str
    number: int
    holder: str
    rows: tuple[int, ...]
    created_at: str
    file_id: str | None
    status: ClaimStatus = "claimed"
    job_id: str | None = None
    reason: str | None = None

    @property
    def document_id(self) -> str:
        return f"pb:{self.batch_id}:{self.number}"

    @property
    def key(self) -> str:
        """Our name of it: in the provider's metadata and in the name of the input file."""
        return provider_batch_key(self.batch_id, self.number)


def provider_batch_key(batch_id: str, number: int) -> str:
    return f"{batch_id}-{number:05d}"


def batched_marker(batch_id: str, number: int, row: int, created_at: str) -> AttemptMarker:
    """The marker of a row's batched attempt; its holder is the provider batch, on any execution."""
    reference = f"{_REFERENCE_PREFIX}{number}"
    return AttemptMarker(
        generation_id=row_generation_id(batch_id, row),
        attempt=BATCHED_ATTEMPT,
        owner="worker",
        holder=reference,
        created_at=created_at,
        job_id=reference,
    )


def batch_number_of(marker: AttemptMarker) -> int | None:
    """The number of the provider batch that carries this attempt; None for a call of its own."""
    if marker.job_id is None or not marker.job_id.startswith(_REFERENCE_PREFIX):
        return None
    return int(marker.job_id.removeprefix(_REFERENCE_PREFIX))


def custom_id_of(batch_id: str, row: int) -> str:
    """The name of a row inside its provider batch: that of a request which is sent alone.

    So what is billed for it can be found by its generation, whether its result was read or not.
    """
    return f"{row_generation_id(batch_id, row)}:{BATCHED_ATTEMPT}"


def line_reference(claim: ProviderBatch, row: int) -> str:
    """How a result is named in the ledger: the provider's job and our line in it."""
    return f"{claim.job_id}/{custom_id_of(claim.batch_id, row)}"


def claim_document(claim: ProviderBatch) -> dict[str, Any]:
    return {
        "id": claim.document_id,
        "pk": partition_for(claim.batch_id).key,
        "type": "provider_batch",
        **vars(claim),
        "rows": list(claim.rows),
    }


def read_claim(document: Mapping[str, Any]) -> ProviderBatch:
    return ProviderBatch(
        batch_id=document["batch_id"],
        number=document["number"],
        holder=document["holder"],
        rows=tuple(document["rows"]),
        created_at=document["created_at"],
        file_id=document["file_id"],
        status=document["status"],
        job_id=document["job_id"],
        reason=document["reason"],
    )


def claim_event(claim: ProviderBatch, occurred_at: str, correlation_id: str) -> AuditEvent:
    """What became of a claim: submitted, refused or lost."""
    return AuditEvent(
        action=f"provider_batch.{claim.status}",
        object_id=claim.key,
        actor=SYSTEM_ACTOR,
        actor_role="system",
        outcome="success" if claim.status == "submitted" else "failure",
        occurred_at=occurred_at,
        correlation_id=correlation_id,
        reason=claim.reason,
        details={"batch_id": claim.batch_id, "rows": len(claim.rows), "job_id": claim.job_id},
    )
