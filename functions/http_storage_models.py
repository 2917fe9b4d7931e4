"""What requests about stored pictures must look like."""

from typing import Annotated, Literal

from pydantic import Field

from functions.http_models import Body
from functions.http_reasons import REASON_PATTERN
from functions.http_reports_models import OneDepartmentQuery
from shared.domain.storage_prices import Priority

REASON_CHARS_MIN = 3
REASON_CHARS_MAX = 500
Reason = Annotated[
    str,
    Field(min_length=REASON_CHARS_MIN, max_length=REASON_CHARS_MAX, pattern=REASON_PATTERN),
]


class RehydrationRequest(Body):
    """How soon an archived picture is wanted; the sooner, the dearer."""

    priority: Priority = "standard"


class HoldRequest(Body):
    """Why a picture is held, or released: in a body, because URLs end up in logs."""

    reason: Reason


class RetentionRequest(Body):
    """How long the pictures to come are kept, and why."""

    retention: str = Field(max_length=40, description="a class that GET lists")
    reason: Reason


class StorageReportQuery(OneDepartmentQuery):
    """Which department, and in which form."""

    format: Literal["json", "csv"] = "json"
