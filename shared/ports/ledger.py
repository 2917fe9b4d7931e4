"""Money and its records: the ledger, the records beside it and the audit log."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.domain.adjustments import Adjustment
from shared.domain.attempt_markers import AttemptMarker
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget, Scope
from shared.domain.history import GenerationFilter
from shared.domain.ids import Partition
from shared.domain.ledger import Document, Hold, Reservation, Resolution


class Ledger(Protocol):
    """Money: set aside, leave to call, settle. Each call is one atomic change or none."""

    async def reserve(self, reservation: Reservation) -> tuple[Budget, ...] | None:
        """Set money aside; the charged budgets afterwards, None if the same request did so before.

        Raises BudgetExceeded (naming the scope), IdempotencyKeyReused (same id, other request),
        PeriodNotOpen, or Unavailable: then the hold may stand, and the same call may be repeated.
        """
        ...

    async def adjust(self, adjustment: Adjustment) -> tuple[Budget, ...] | None:
        """Book an adjustment; the charged budgets afterwards, None if it was booked before.

        Raises BudgetExceeded (naming the scope), Conflict (more given back than was spent, or the
        entry was given up), PeriodNotOpen, or Unavailable: then the same call may be repeated.
        """
        ...

    async def give_up(self, adjustment: Adjustment, given_up_at: str) -> bool:
        """See to it that an adjustment is never booked; False if it was booked already."""
        ...

    async def begin_attempt(self, marker: AttemptMarker) -> AttemptMarker:
        """Create the marker, or return the one that stands; ours if its holder is ours.

        With `raised_micros`, the hold and its budgets rise in the same change. If they cannot, a
        Rejected says why (BudgetExceeded names the scope) and there is no marker.
        """
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

    async def bar(self, operation_id: str, barred_at: str) -> bool:
        """See to it that nothing is ever reserved under an id; False if something was."""
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

    async def generations_with_picture(
        self, partition: Partition, sha256: str
    ) -> Sequence[Document]:
        """A few generations of a partition that hold a picture of these bytes, as stored."""
        ...

    async def batch(self, batch_id: str) -> Document | None: ...

    async def batches_of_slot(
        self, slot_id: str, partitions: Sequence[Partition]
    ) -> Sequence[Document]: ...

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


EVENTS_PER_APPEND_MAX = 100  # one transaction of the log


class AuditLog(Protocol):
    """The append-only copy of every audit event, without what people typed."""

    async def append(self, partition: Partition, events: Sequence[Mapping[str, Any]]) -> None:
        """Add at most EVENTS_PER_APPEND_MAX events; the same event id is added once.

        Texts are replaced by keyed hashes (audit_entries.without_texts): nothing here forgets.
        """
        ...
