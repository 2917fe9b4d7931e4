"""Temporary increases and emergency overrides."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget
from shared.domain.grants import Grant
from shared.domain.ids import Partition


class GrantStore(Protocol):
    """Grants beside the budgets they raise. Each change is one transaction with its event."""

    async def grant(self, grant: Grant, events: Sequence[AuditEvent]) -> tuple[Budget, ...] | None:
        """Raise the limits; the budgets afterwards, None if the same grant was made before.

        Raises Conflict (an allocation is too small), BudgetExceeded (a department that is not
        raised itself does not cover the surcharge), IdempotencyKeyReused, PeriodNotOpen or
        Unavailable: then the same call may be repeated.
        """
        ...

    async def end(
        self, grant: Grant, ended_at: str, ended_by: str, event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        """Take a grant back, once; the budgets afterwards, None if it had ended before."""
        ...

    async def find(self, grant_id: str) -> Grant | None: ...

    async def bar(self, grant_id: str, barred_at: str) -> Grant | None:
        """Let no grant be made under an id any more; the one that was made before, if any."""
        ...

    async def grants(self, partition: Partition, *, active: bool) -> Sequence[Grant]:
        """The newest grants of a period, at most GRANTS_LISTED_MAX."""
        ...

    async def due(self, partition: Partition, now: str) -> Sequence[Grant]:
        """Active grants whose time has come."""
        ...
