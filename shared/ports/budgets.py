"""Budget policies, and the budgets that are opened from them."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Budget, Scope
from shared.domain.ids import Partition

POLICIES_PER_PAGE_MAX = 100


class BudgetPolicies(Protocol):
    """The standing rules of a department's scopes. Each change is atomic with its audit event."""

    async def policy(self, department_id: str, scope: Scope) -> BudgetPolicy | None:
        """The policy of a scope, deleted ones included; None if it never had one."""
        ...

    async def policies(
        self, department_id: str, *, after: str = "", limit: int = POLICIES_PER_PAGE_MAX
    ) -> Sequence[BudgetPolicy]:
        """Policies in order of their scopes' names from behind `after`, deleted ones included."""
        ...

    async def pending(self, department_id: str) -> Sequence[BudgetPolicy]:
        """Policies that were changed and perhaps not applied to the open budget yet."""
        ...

    async def applied(self, department_id: str, policy: BudgetPolicy) -> None:
        """Note that the open budget follows this policy; idempotent."""
        ...

    async def largest(self, partition: Partition, limit: int) -> Sequence[Budget]:
        """The open budgets of a period that have spent the most."""
        ...

    async def put(self, department_id: str, policy: BudgetPolicy, event: AuditEvent) -> None:
        """Write revision n in place of n - 1; PreconditionFailed if that is not what stands."""
        ...

    async def open(self, partition: Partition, budget: Budget, event: AuditEvent) -> None:
        """Create the budget of a period; one that exists stays as it is."""
        ...

    async def apply(
        self, partition: Partition, policy: BudgetPolicy, event: AuditEvent
    ) -> Budget | None:
        """Bring the open budget of a period to a policy; None while the period is not open.

        An older policy than the one applied changes nothing. Raises AllocationTooSmall when a
        department's allocation does not cover the new limit.
        """
        ...

    async def carry_over(
        self, partition: Partition, policy: BudgetPolicy, event: AuditEvent
    ) -> int:
        """Take what rolls over out of a period, once; the amount in micro-AUD, 0 if not open."""
        ...
