"""What requests about the organisation's budget must look like."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from functions.http_models import PAGE_MAX, Body, Query, Whole
from functions.http_reasons import REASON_PATTERN
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.periods import MONTH_PATTERN, PeriodKind
from shared.services.organisation_budgets import AllocationOrder, OrganisationChange

LIMIT_MICROS_MAX = 10**15  # a thousand million AUD: sums of a few of these are still exact
REASON_CHARS_MIN, REASON_CHARS_MAX = 3, 500

Department = Annotated[str, Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")]


class OrganisationBudgetQuery(Query):
    """Which period of the organisation's budget."""

    period: str | None = Field(default=None, pattern=rf"^{MONTH_PATTERN}$", examples=["202611"])


class AllocationsQuery(OrganisationBudgetQuery):
    """One page of the movements of a period."""

    limit: Whole = Field(default=20, ge=1, le=PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=4_096)


class OrganisationBudgetRequest(Body):
    """The organisation's budget as a whole."""

    limit_micros: Annotated[int, Field(ge=0, le=LIMIT_MICROS_MAX)] = Field(
        description="micro-AUD for each period", examples=[500_000_000]
    )
    period: PeriodKind | None = Field(
        default=None,
        description="as long as the departments' periods or longer; a change begins with the next",
    )
    fiscal_start_month: Annotated[int, Field(ge=1, le=12)] = 1

    def change(self) -> OrganisationChange:
        """The same, as the service takes it."""
        return OrganisationChange(self.limit_micros, self.period, self.fiscal_start_month)


class AllocationRequest(Body):
    """Move an amount between two departments, or between a department and the organisation."""

    source: Department | None = Field(
        default=None, alias="from", description="null: the organisation"
    )
    target: Department | None = Field(
        default=None, alias="to", description="null: the organisation"
    )
    amount_micros: Annotated[int, Field(ge=1, le=LIMIT_MICROS_MAX)]
    reason: str = Field(
        min_length=REASON_CHARS_MIN, max_length=REASON_CHARS_MAX, pattern=REASON_PATTERN
    )

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.source == self.target:
            raise ValueError("from and to must differ; one of them may be null")
        return self

    def order(self) -> AllocationOrder:
        """The same, as the service takes it."""
        return AllocationOrder(self.source, self.target, self.amount_micros, self.reason)
