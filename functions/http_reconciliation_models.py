"""What requests about reconciliation and cases must look like."""

from typing import Literal

from pydantic import Field

from functions.http_models import Body, Day, Query, Whole
from functions.http_reasons import REASON_PATTERN
from shared.domain.cases import REASON_CHARS_MAX, CaseFilter
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.money import MICROS_MAX
from shared.services.case_pages import CASES_PER_PAGE_MAX


class ReconciliationRequest(Body):
    """Which provider's day is compared."""

    provider: Literal["azure_openai", "replicate"]
    day: Day = Field(description="a UTC day; run it once the provider has exported all of it")


class CaseQuery(Query):
    """Which cases are listed."""

    status: CaseFilter = "open"
    limit: Whole = Field(default=CASES_PER_PAGE_MAX, ge=1, le=CASES_PER_PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=200)


class CaseClosing(Body):
    """What is decided about a case."""

    decision: Literal["accept", "adjust"] = Field(
        description="adjust books what was billed beyond, or short of, what was booked"
    )
    reason: str = Field(min_length=3, max_length=REASON_CHARS_MAX, pattern=REASON_PATTERN)
    department: str | None = Field(
        default=None,
        pattern=rf"^{DEPARTMENT_ID_PATTERN}$",
        description="who pays for what nobody asked for",
    )
    billed_usd_micros: int | None = Field(
        default=None,
        ge=0,
        le=MICROS_MAX,
        description="if the case does not say what was billed",
    )
