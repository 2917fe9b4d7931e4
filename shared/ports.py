"""What the services need from the outside world, named after the need and not after the system."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from shared.domain.attempts import (
    AttemptReport,
    ImageOrder,
    ProviderImage,
    ProviderOutcome,
    StoredImage,
)
from shared.domain.audit_events import AuditEvent
from shared.domain.batch_plans import BatchChunk
from shared.domain.budgets import Budget, Scope
from shared.domain.history import GenerationFilter
from shared.domain.identity import Principal
from shared.domain.ids import Partition
from shared.domain.ledger import AttemptMarker, Document, Hold, Reservation, Resolution

JobRecorder = Callable[[str], Awaitable[None]]
Seal = Callable[[tuple[StoredImage, ...]], AttemptReport]


class Clock(Protocol):
    """Time and fresh identifiers."""

    def now(self) -> datetime:
        """The current UTC time, timezone-aware."""
        ...

    def new_id(self) -> str:
        """128 random bits as 32 hex digits."""
        ...


class TokenVerifier(Protocol):
    """Turns a bearer token into a verified principal."""

    async def verify(self, token: str) -> Principal:
        """Raise Unauthenticated for every token that is not exactly right."""
        ...


class ImageProvider(Protocol):
    """One image provider; expected endings are returned, nothing is retried inside."""

    name: str

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        """Submit at most one paid request; await `record_job(job_id)` as soon as one is known."""
        ...

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        """Ask how a job that was submitted earlier ended; never submits."""
        ...


class Ledger(Protocol):
    """Money: set aside, leave to call, settle. Each call is one atomic change or none."""

    async def reserve(self, reservation: Reservation) -> bool:
        """Set money aside; False when the same request did so before.

        Raises BudgetExceeded (naming the scope), IdempotencyKeyReused (same id, other request),
        PeriodNotOpen, or Unavailable: then the hold may stand, and the same call may be repeated.
        """
        ...

    async def open_period(self, partition: Partition, limits: Mapping[Scope, int]) -> None:
        """Create the budgets of a period; those that exist stay as they are."""
        ...

    async def begin_attempt(self, marker: AttemptMarker) -> AttemptMarker:
        """Create the marker, or return the one that stands; ours if its holder is ours."""
        ...

    async def record_job(self, marker: AttemptMarker, job_id: str) -> None:
        """Keep the provider's job id, so that a crash can be resumed."""
        ...

    async def record_outcome(self, marker: AttemptMarker, outcome: Mapping[str, Any]) -> None:
        """Keep how an attempt ended, so that a repeated delivery answers the same."""
        ...

    async def resolve(self, operation_id: str, resolutions: Sequence[Resolution]) -> None:
        """End generations of one hold, each exactly once; those that ended before stay so."""
        ...

    async def note_unknown(self, record: Document, event: AuditEvent) -> None:
        """Record that an outcome is unknown; idempotent; the money stays reserved."""
        ...

    async def note_event(self, partition: Partition, event: AuditEvent) -> None:
        """Record a denial: an audit event that changes no state; idempotent by event id."""
        ...

    async def budget(self, partition: Partition, scope: Scope) -> Budget | None:
        """The budget as it stands; None while the period is not open for that scope."""
        ...

    async def hold(self, operation_id: str) -> Hold | None:
        """The hold of an operation."""
        ...


@dataclass(frozen=True)
class Page:
    """Some documents and, when there are more, where to go on."""

    documents: Sequence[Document]
    continuation: str | None


class Records(Protocol):
    """What is known of generations, batches and upload slots, apart from the money."""

    async def generation(self, generation_id: str) -> Document | None: ...

    async def attempt(self, generation_id: str, attempt: int) -> AttemptMarker | None: ...

    async def generations(
        self, partition: Partition, wanted: GenerationFilter, continuation: str | None, limit: int
    ) -> Page:
        """One page of a partition's generations, newest first."""
        ...

    async def batch(self, batch_id: str) -> Document | None: ...

    async def batches_of_slot(self, slot_id: str) -> Sequence[Document]: ...

    async def batch_generations(self, batch_id: str, first: int, last: int) -> Sequence[Document]:
        """The records of a batch's rows `first..last` (inclusive) that have one."""
        ...

    def resolutions(self, batch_id: str) -> AsyncIterator[Document]:
        """Every ledger entry of a batch, in row order."""
        ...

    async def reject_batch(self, record: Document, event: AuditEvent) -> None:
        """Keep the record of a file that was refused as a whole; idempotent."""
        ...

    async def request_cancel(self, batch_id: str, event: AuditEvent) -> None:
        """Mark a running batch, so that no further wave starts; idempotent."""
        ...

    async def close_batch(
        self, batch_id: str, status: str, completed_at: str, event: AuditEvent
    ) -> None:
        """Mark a batch as ended; idempotent."""
        ...

    async def create_slot(self, slot: Document, event: AuditEvent) -> None: ...

    async def slot(self, slot_id: str) -> Document | None: ...

    async def open_holds(self, partition: Partition, before: str) -> Sequence[Hold]:
        """Holds created before a moment (ISO 8601) that still have open rows."""
        ...

    async def unknown_generations(self, partition: Partition, before: str) -> Sequence[Document]:
        """Generations whose outcome is unknown, admitted before a moment."""
        ...

    async def unfinished_batches(self, partition: Partition, before: str) -> Sequence[Document]:
        """Batches admitted before a moment that run or wait for unknown outcomes."""
        ...

    async def outbox(self, partition: Partition, limit: int) -> Sequence[Document]:
        """Audit events that wait to be copied."""
        ...

    async def drop_outbox(self, partition: Partition, documents: Sequence[Document]) -> None:
        """Remove outbox items whose events have been copied; idempotent."""
        ...


@dataclass(frozen=True)
class DirectoryUser:
    """A person as our directory knows them."""

    department_id: str
    monthly_limit_micros: int


class Directory(Protocol):
    """Departments and people of a tenant, with their monthly limits."""

    async def user(self, principal: Principal) -> DirectoryUser | None: ...

    async def department_limit_micros(self, tenant_id: str, department_id: str) -> int | None: ...

    async def departments(self) -> Sequence[str]:
        """The ids of all departments of all tenants."""
        ...

    async def put(self, documents: Sequence[Document]) -> int:
        """Create documents that are missing; returns how many were."""
        ...


EVENTS_PER_APPEND_MAX = 100  # one transaction of the log


class AuditLog(Protocol):
    """The append-only copy of every audit event."""

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        """Add at most EVENTS_PER_APPEND_MAX events; the same event id is added once."""
        ...


@dataclass(frozen=True)
class ImageBytes:
    """A picture on its way out."""

    content_type: str
    size_bytes: int
    chunks: AsyncIterator[bytes]


class ImageStore(Protocol):
    """Custody of original picture bytes, and of the report that says what they cost."""

    async def keep(
        self, generation_id: str, images: Sequence[ProviderImage], seal: Seal
    ) -> AttemptReport:
        """Keep the untouched bytes of all real pictures, then return the report that seals them.

        Bytes that are no picture, or too many, are left out; the first picture is written last and
        carries the report, so that a crash leaves either nothing or evidence of the delivery.
        """
        ...

    async def sealed(self, generation_id: str) -> AttemptReport | None:
        """The report of a generation whose pictures are in custody."""
        ...

    async def read(self, generation_id: str, index: int) -> ImageBytes | None: ...

    async def link(self, generation_id: str, index: int, expires_at: datetime) -> str:
        """A read-only link to one picture that ends at `expires_at`."""
        ...


class BatchFiles(Protocol):
    """Plans and results of batches.

    A batch id may have several plans when one key was used for several bodies at once; only the
    plan that the batch record names was reserved.
    """

    async def put_chunk(self, number: int, chunk: BatchChunk) -> None: ...

    async def chunk(self, batch_id: str, plan: str, number: int) -> BatchChunk: ...

    async def put_result(
        self, folder: str, name: str, content_type: str, parts: AsyncIterator[bytes]
    ) -> None:
        """Write `results/{folder}/{name}`; the last writer wins, all write the same."""
        ...

    async def result(self, folder: str, name: str) -> bytes | None: ...


@dataclass(frozen=True)
class UploadedFile:
    """A file in the upload container, read forward from a spool; close it after use.

    The spool ends just past the size limit, which is enough for the parser to refuse it.
    """

    etag: str
    last_modified: datetime
    stream: BinaryIO


class Uploads(Protocol):
    """The container that departments drop batch files into."""

    async def slot_link(self, slot_id: str, file_name: str, expires_at: datetime) -> str:
        """A link that can create this one file and nothing else."""
        ...

    async def open(self, path: str) -> UploadedFile | None:
        """The file at `{slot}/{name}`; None if it is gone."""
        ...


class Orchestrations(Protocol):
    """Starts durable work and tells whether it is still running."""

    async def start_generation(self, generation_id: str) -> None:
        """Start under the generation's id; one that runs already is left alone."""
        ...

    async def start_batch(self, batch_id: str, rows: int) -> None:
        """Start under the batch's id; one that runs already is left alone."""
        ...

    async def is_running(self, operation_id: str) -> bool: ...
