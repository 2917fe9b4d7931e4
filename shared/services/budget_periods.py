"""Opens budget periods: creates the budgets of a period from their policies, and resets nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import BudgetPolicy, budget_object_id
from shared.domain.budgets import Scope
from shared.domain.ids import Partition
from shared.errors import BudgetExceeded, FieldFault, Invalid, PolicyDenied
from shared.ports import BudgetPolicies, Clock
from shared.services.allocations import Allocations
from shared.services.calendars import Calendars

SYSTEM_ACTOR = "system:budgets"
CARRY_PERIODS_MAX = 12  # periods looked back when nobody has spent anything for long


@dataclass(frozen=True)
class BudgetPeriods:
    """Creates what a period needs when it is first spent in."""

    policies: BudgetPolicies
    calendars: Calendars
    clock: Clock
    allocations: Allocations | None = None  # without it, no organisation caps its departments

    async def open(self, partition: Partition, scopes: Sequence[Scope]) -> None:
        """Create the budgets that are missing; PolicyDenied or Invalid for one without a policy."""
        for scope in scopes:
            policy = await self.policies.policy(partition.department_id, scope)
            if policy is None or policy.deleted:
                raise no_budget(scope)
            await self._open(partition, policy, CARRY_PERIODS_MAX)

    async def _open(self, partition: Partition, policy: BudgetPolicy, depth: int) -> None:
        carried = await self._carried_micros(partition, policy, depth)
        budget = policy.opening(partition.period, carried_micros=carried)
        if self.allocations is not None and policy.scope.kind == "department":
            budget = await self.allocations.cover(partition, budget, carried)
        event = self._event(
            partition,
            policy.scope,
            "opened",
            {
                "limit_micros": budget.limit_micros,
                "carried_micros": carried,
                "allocated_micros": budget.allocated_micros,
                "mode": budget.mode,
                "policy_version": policy.revision,
            },
        )
        await self.policies.open(partition, budget, event)

    async def _carried_micros(self, partition: Partition, policy: BudgetPolicy, depth: int) -> int:
        """What rolls over from the period before, which is opened first if nobody spent in it.

        It is decided once, also that it is nothing: whoever opens with another policy meets that.
        """
        calendar = await self.calendars.of(partition.department_id)
        period = calendar.previous(partition.period)
        if calendar.end_month(period) <= policy.since_month or depth == 0:
            return 0
        before = Partition(partition.department_id, period)
        if policy.rollover != "none":
            try:
                await self._open(before, policy, depth - 1)
            except BudgetExceeded:
                return 0  # the organisation had nothing left for it, so it left nothing either
        event = self._event(before, policy.scope, "carried_over", {"to": partition.period})
        return await self.policies.carry_over(before, policy, event)

    def _event(
        self,
        partition: Partition,
        scope: Scope,
        action: str,
        details: dict[str, str | int | bool | None],
    ) -> AuditEvent:
        return AuditEvent(
            action=f"budget.{action}",
            object_id=budget_object_id(partition, scope),
            actor=SYSTEM_ACTOR,
            actor_role="system",
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=f"{partition.department_id}-{partition.period}",
            details=details,
        )


def no_budget(scope: Scope) -> PolicyDenied | Invalid:
    """The refusal of a charge to a scope that has no policy."""
    if scope.kind == "department":
        return PolicyDenied("Your department has no budget yet.", code="no_budget")
    if scope.kind == "user":
        return PolicyDenied("You have no budget yet.", code="no_budget")
    what = scope.kind.replace("_", " ")
    return Invalid(
        f"Your department has no such {what}.",
        code=f"unknown_{scope.kind}",
        faults=[FieldFault(f"/{scope.kind}", f"name a {what} of your department, or leave it out")],
    )
