"""How budgets look over HTTP."""

from typing import Literal

from pydantic import Field

from shared.domain.budget_policies import BudgetPolicy, Rollover
from shared.domain.budgets import CURRENCY, Budget, BudgetMode, Overage
from shared.domain.periods import Calendar, PeriodKind
from shared.domain.views import View


class CalendarRuleView(View):
    """How long periods are from a month on."""

    period: PeriodKind
    fiscal_start_month: int
    from_month: str


class BudgetView(View):
    """A budget in its three states of money, and the policy it was opened from; micro-AUD."""

    scope: str
    department_id: str
    period: str = Field(description="first month of the period", examples=["202611"])
    period_start: str
    period_end: str = Field(description="the day after the last one")
    mode: BudgetMode
    currency: Literal["AUD"] = CURRENCY
    limit_micros: int = Field(description="with grants and what rolled over")
    overdraft_micros: int
    reserved_micros: int
    spent_micros: int
    available_micros: int
    allocated_micros: int | None = Field(description="of a department under an organisation's cap")
    policy_limit_micros: int = Field(description="what each period starts with")
    rollover: Rollover
    rollover_cap_micros: int
    overage: Overage
    alert_thresholds: tuple[int, ...] = Field(description="percent of the limit")
    calendar: tuple[CalendarRuleView, ...] = Field(description="dated rules, oldest first")
    revision: int = Field(description="of the policy; its ETag")


class BudgetList(View):
    """A page of the budgets of a department that the caller may see."""

    items: tuple[BudgetView, ...]
    continuation: str | None


def budget_view(
    department_id: str, policy: BudgetPolicy, budget: Budget, calendar: Calendar
) -> BudgetView:
    """A budget as it stands, or as it would open."""
    return BudgetView(
        scope=budget.scope.name,
        department_id=department_id,
        period=budget.period,
        period_start=calendar.start(budget.period).isoformat(),
        period_end=calendar.end(budget.period).isoformat(),
        mode=budget.mode,
        limit_micros=budget.limit_micros,
        overdraft_micros=budget.overdraft_micros,
        reserved_micros=budget.reserved_micros,
        spent_micros=budget.spent_micros,
        available_micros=budget.available_micros,
        allocated_micros=budget.allocated_micros,
        policy_limit_micros=policy.limit_micros,
        rollover=policy.rollover,
        rollover_cap_micros=policy.rollover_cap_micros,
        overage=policy.overage,
        alert_thresholds=policy.alert_thresholds,
        calendar=tuple(
            CalendarRuleView(
                period=rule.kind,
                fiscal_start_month=rule.fiscal_start_month,
                from_month=rule.from_month,
            )
            for rule in calendar.rules
        ),
        revision=policy.revision,
    )
