"""How the organisation's budget and its allocations look over HTTP."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from shared.domain.allocations import EndStatus, OpenStatus, Transfer, TransferKind
from shared.domain.budget_views import CalendarRuleView
from shared.domain.budgets import CURRENCY, Budget
from shared.domain.organisation_policies import Cap, OrganisationPolicy, organisation_scope
from shared.domain.views import View


class DepartmentShareView(View):
    """What a department has of the organisation's budget in a period it has opened."""

    department_id: str
    period: str = Field(description="of the department's calendar")
    allocated_micros: int | None = Field(description="null: opened without a cap, not yet covered")
    limit_micros: int
    overdraft_micros: int
    reserved_micros: int
    spent_micros: int
    spare_micros: int = Field(description="what may be moved away without lowering the limit")


class OrganisationBudgetView(View):
    """How much the organisation may give out in a period, and what it has given; micro-AUD."""

    scope: str
    period: str = Field(description="first month of the period", examples=["202610"])
    period_start: str
    period_end: str = Field(description="the day after the last one")
    currency: Literal["AUD"] = CURRENCY
    limit_micros: int
    allocated_micros: int
    available_micros: int
    departments: tuple[DepartmentShareView, ...]
    calendar: tuple[CalendarRuleView, ...] = Field(description="dated rules, oldest first")
    revision: int = Field(description="of the budget; its ETag")


class AllocationView(View):
    """One movement of allocation; a side that is null is the organisation itself."""

    id: str
    kind: TransferKind
    status: OpenStatus | EndStatus = Field(
        description="refused: the source could not spare it; returned: the target could not take"
        " it and the organisation has it"
    )
    period: str = Field(description="of the organisation's calendar")
    from_department: str | None
    from_period: str | None
    to_department: str | None
    to_period: str | None
    amount_micros: int
    currency: Literal["AUD"] = CURRENCY
    reason: str | None
    actor: str
    created_at: str
    completed_at: str | None


class AllocationList(View):
    """One page of movements, newest first."""

    items: tuple[AllocationView, ...]
    continuation: str | None


def organisation_budget_view(
    policy: OrganisationPolicy, period: str, cap: Cap | None, budgets: Sequence[tuple[str, Budget]]
) -> OrganisationBudgetView:
    """An organisation's budget as it stands, or as it would open; `budgets` by department."""
    limit = cap.limit_micros if cap else policy.limit_micros
    allocated = cap.allocated_micros if cap else 0
    return OrganisationBudgetView(
        scope=organisation_scope(policy.tenant_id),
        period=period,
        period_start=policy.calendar.start(period).isoformat(),
        period_end=policy.calendar.end(period).isoformat(),
        limit_micros=limit,
        allocated_micros=allocated,
        available_micros=max(0, limit - allocated),
        departments=tuple(_share(department_id, budget) for department_id, budget in budgets),
        calendar=tuple(
            CalendarRuleView(
                period=rule.kind,
                fiscal_start_month=rule.fiscal_start_month,
                from_month=rule.from_month,
            )
            for rule in policy.calendar.rules
        ),
        revision=policy.revision,
    )


def allocation_view(transfer: Transfer) -> AllocationView:
    source, target = transfer.source, transfer.target
    return AllocationView(
        id=transfer.transfer_id,
        kind=transfer.kind,
        status=transfer.status,
        period=transfer.period,
        from_department=source.department_id if source else None,
        from_period=source.period if source else None,
        to_department=target.department_id if target else None,
        to_period=target.period if target else None,
        amount_micros=transfer.amount_micros,
        reason=transfer.reason,
        actor=transfer.actor,
        created_at=transfer.created_at,
        completed_at=transfer.completed_at,
    )


def _share(department_id: str, budget: Budget) -> DepartmentShareView:
    allocated = budget.allocated_micros
    bound = max(budget.ceiling_micros, budget.committed_micros)
    return DepartmentShareView(
        department_id=department_id,
        period=budget.period,
        allocated_micros=allocated,
        limit_micros=budget.limit_micros,
        overdraft_micros=budget.overdraft_micros,
        reserved_micros=budget.reserved_micros,
        spent_micros=budget.spent_micros,
        spare_micros=0 if allocated is None else max(0, allocated - bound),
    )
