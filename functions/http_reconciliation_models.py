"""What requests about reconciliation and cases must look like."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from functions.http_models import Query, checked_day
from functions.http_reasons import REASON_PATTERN
from shared.domain.cases import REASON_CHARS_MAX, CaseFilter
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.money import MICROS_MAX
from shared.services.case_pages import CASES_PER_PAGE_MAX


class ReconciliationRequest(BaseModel):
    """Which provider's day is compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    provider: Literal["azure_openai", "replicate"]
    day: date = Field(description="a UTC day; run it once the provider has exported all of it")

    @field_validator("day", mode="before")
    @classmethod
    def _is_day(cls, value: object) -> object:
        """Days only: pydantic would also read a number as seconds since 1970."""
        return checked_day(value)


class CaseQuery(Query):
    """Which cases are listed."""

    status: CaseFilter = "open"
    limit: int = Field(default=CASES_PER_PAGE_MAX, ge=1, le=CASES_PER_PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=200)


class CaseClosing(BaseModel):
    """What is decided about a case."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

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
        strict=True,
        description="if the case does not say what was billed",
    )
