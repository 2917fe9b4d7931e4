"""Reconciliation: what providers say they bill, and the ledger's side of the comparison."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.cases import Adjusting, Case, CaseFilter
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.reconciliation import BilledLine


class UsageExport(Protocol):
    """One provider's own account of what it billed."""

    provider: str

    async def read(self, first: date, last: date) -> Mapping[date, Sequence[BilledLine]]:
        """The lines of each UTC day from `first` to `last`; days without an export are left out.

        Raises Unavailable when the provider does not answer, InvariantBroken when what it sends
        cannot be read as an export.
        """
        ...


class Reconciliations(Protocol):
    """Entries to compare, cases to decide, and the log of runs. Changes carry their audit event."""

    async def entries(
        self, partition: Partition, provider: str, since: str, until: str
    ) -> Sequence[Document]:
        """Resolutions of a provider closed from `since` to before `until` (ISO 8601)."""
        ...

    async def entry(self, generation_id: str) -> Document | None:
        """The resolution of one generation, whenever it was closed."""
        ...

    async def corrections(self, partition: Partition, provider: str) -> Sequence[Document]:
        """Adjustments of a provider's generations booked in this partition."""
        ...

    async def generations_of_jobs(
        self, partition: Partition, job_ids: Sequence[str]
    ) -> Mapping[str, str]:
        """The generation behind each job id that an attempt of this partition recorded."""
        ...

    async def open_case(self, case: Case, event: AuditEvent) -> bool:
        """Create a case; False if it stands already, or if the one it follows is not closed."""
        ...

    async def case(self, partition: Partition, case_id: str) -> Case | None: ...

    async def cases(self, partition: Partition, limit: int) -> Sequence[Case]:
        """The newest cases of a partition."""
        ...

    async def cases_page(
        self, partition: Partition, shown: CaseFilter, after: str, limit: int
    ) -> Sequence[Case]:
        """Cases of a partition in the order of their ids, from the one that follows `after` on."""
        ...

    async def cases_about(self, partition: Partition, provider: str, day: str) -> Sequence[Case]:
        """A provider's cases that are not closed, and all of its cases about a day."""
        ...

    async def adjusting_cases(self, partition: Partition) -> Sequence[Case]:
        """Cases that were decided and whose entry is not known to be booked."""
        ...

    async def is_booked(self, adjusting: Adjusting) -> bool:
        """Whether the entry of a decision stands in the ledger."""
        ...

    async def change_case(self, case: Case, event: AuditEvent) -> bool:
        """Write revision n of a case in place of n - 1; False if another change was there first."""
        ...

    async def keep_run(self, partition: Partition, run: Document, event: AuditEvent) -> None:
        """Keep the outcome of one run; idempotent by its id."""
        ...

    async def runs(self, partition: Partition, limit: int) -> Sequence[Document]:
        """The newest runs."""
        ...
