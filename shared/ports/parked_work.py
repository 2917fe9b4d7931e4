"""Work that waits for an approval or for the next period."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared.domain.approvals import Approval, Vote
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget
from shared.domain.ids import Partition
from shared.domain.parked_work import Move, Parked


class ParkedWork(Protocol):
    """Waiting work in the ledger. Each change is one transaction with its event.

    What is asked for twice is done once; IdempotencyKeyReused when an id belongs to another
    request, Unavailable when the same call may be repeated.
    """

    async def request(self, approval: Approval, work: Parked, event: AuditEvent) -> bool:
        """Let work wait for an approval; False if its id was taken before, by the same request."""
        ...

    async def approval(self, operation_id: str) -> Approval | None: ...

    async def votes(self, operation_id: str) -> Sequence[Vote]: ...

    async def approvals(
        self, partition: Partition, tenant_id: str, requester: str | None, *, pending: bool
    ) -> Sequence[Approval]:
        """The newest approvals of a period, at most APPROVALS_LISTED_MAX."""
        ...

    async def vote(
        self, approval: Approval, vote: Vote, record: Mapping[str, Any] | None, event: AuditEvent
    ) -> bool:
        """Add a vote; False if the approval is no longer as it was read.

        Raises Conflict when this person has voted before. `record` ends the work (rejection).
        """
        ...

    async def escalate(self, approval: Approval, event: AuditEvent) -> bool:
        """Hand an approval on; False if it is no longer as it was read."""
        ...

    async def close(
        self, approval: Approval, after: Approval, record: Mapping[str, Any], event: AuditEvent
    ) -> bool:
        """End an approval and its work; False if it is no longer as it was read."""
        ...

    async def conclude(
        self, approval: Approval, work: Parked, changes: Mapping[str, Any], event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        """Reserve what was approved; the budgets afterwards, None if it is no longer as read.

        `work` is at the prices of now. Raises BudgetExceeded (another budget does not cover it),
        Conflict (allocation, closed period, ended budget) or PeriodNotOpen.
        """
        ...

    async def move(self, move: Move, event: AuditEvent) -> Move | None:
        """Take the id of a request and say where it goes on; the move that stands.

        None if the id was taken before without a move: it was reserved, or waits.
        """
        ...

    async def land(self, move: Move) -> None:
        """Let the work of a move wait in its own period; idempotent."""
        ...

    async def find_move(self, operation_id: str) -> Move | None: ...

    async def parked(self, operation_id: str) -> Parked | None:
        """Work that waits, with its record; None if there is none, or it waits no more."""
        ...

    async def release(
        self, work: Parked, changes: Mapping[str, Any], started_at: str, event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        """Reserve for deferred work; the budgets afterwards, None if it waits no more.

        Raises BudgetExceeded or PeriodNotOpen.
        """
        ...

    async def drop(self, work: Parked, record: Mapping[str, Any], event: AuditEvent) -> bool:
        """End deferred work that was not reserved; False if it waits no more."""
        ...

    async def waiting(
        self, partition: Partition, now: str, after: str
    ) -> Sequence[Mapping[str, Any]]:
        """One page of what the sweep looks after, by id, from behind `after` on; empty at the end.

        Approvals whose next step is due, or that were approved; moves that have not landed; work
        that was deferred into this period.
        """
        ...
