"""What requests about stored pictures must look like."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from functions.http_reports_models import OneDepartmentQuery
from shared.domain.storage_prices import Priority

REASON_CHARS_MIN = 3
REASON_CHARS_MAX = 500


class RehydrationRequest(BaseModel):
    """How soon an archived picture is wanted; the sooner, the dearer."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    priority: Priority = "standard"


class HoldRequest(BaseModel):
    """Why a picture is held, or released: in a body, because URLs end up in logs."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    reason: str = Field(min_length=REASON_CHARS_MIN, max_length=REASON_CHARS_MAX)


class RetentionRequest(BaseModel):
    """How long the pictures to come are kept, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    retention: str = Field(max_length=40, description="a class that GET lists")
    reason: str = Field(min_length=REASON_CHARS_MIN, max_length=REASON_CHARS_MAX)


class StorageReportQuery(OneDepartmentQuery):
    """Which department, and in which form."""

    format: Literal["json", "csv"] = "json"
