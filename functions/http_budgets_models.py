"""What budget requests must look like."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from functions.http_models import Body, Query
from shared.domain.budget_policies import BudgetPolicy, Rollover
from shared.domain.budgets import ALERT_THRESHOLDS, BudgetMode, Overage, Scope
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.periods import MONTH_PATTERN, PeriodKind
from shared.services.budget_changes import BudgetChange

LIMIT_MICROS_MAX = 10**13  # ten million AUD for one period
THRESHOLDS_MAX = 10

Micros = Annotated[int, Field(ge=0, le=LIMIT_MICROS_MAX)]


class BudgetQuery(Query):
    """Which period of a budget, and of which department (an Org Admin may name another)."""

    period: str | None = Field(default=None, pattern=rf"^{MONTH_PATTERN}$", examples=["202611"])
    department: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")


class BudgetsQuery(BudgetQuery):
    """Which page of the budgets."""

    continuation: str | None = Field(
        default=None, max_length=100, pattern=r"^[a-z_]+:[A-Za-z0-9.-]+$"
    )


class DepartmentQuery(Query):
    """The department of a project or cost centre; the caller's own unless it is named."""

    department: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")


class BudgetRequest(Body):
    """A budget policy as a whole; what is left out takes its default."""

    limit_micros: Micros = Field(description="micro-AUD for each period", examples=[250_000_000])
    mode: BudgetMode = "hard"
    overdraft_micros: Micros = Field(default=0, description="beyond the limit, soft mode only")
    rollover: Rollover = Field(default="none", description="of what a period left unused")
    rollover_cap_micros: Micros = Field(default=0, description="of a capped rollover")
    overage: Overage = Field(default="refuse", description="what happens to a request too large")
    alert_thresholds: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] = Field(
        default=ALERT_THRESHOLDS, max_length=THRESHOLDS_MAX, description="percent of the limit"
    )
    period: PeriodKind | None = Field(
        default=None, description="departments only; a change begins with the next period"
    )
    fiscal_start_month: Annotated[int, Field(ge=1, le=12)] = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.overdraft_micros and self.mode != "soft":
            raise ValueError("only a soft budget has an overdraft")
        if (self.rollover == "capped") != (self.rollover_cap_micros > 0):
            raise ValueError("rollover_cap_micros goes with a capped rollover")
        return self

    def change(self) -> BudgetChange:
        """The same, as the service takes it; scope and revision are set when it is written."""
        policy = BudgetPolicy(
            scope=Scope("department", ""),
            limit_micros=self.limit_micros,
            mode=self.mode,
            overdraft_micros=self.overdraft_micros,
            rollover=self.rollover,
            rollover_cap_micros=self.rollover_cap_micros,
            overage=self.overage,
            alert_thresholds=tuple(sorted(set(self.alert_thresholds))),
        )
        return BudgetChange(policy, self.period, self.fiscal_start_month)
