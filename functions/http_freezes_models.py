"""What requests about freezes must look like."""

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from functions.http_models import Query
from shared.domain.freezes import REASON_CHARS_MAX


class FreezeRequest(BaseModel):
    """Why something is frozen, and until when."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    reason: str = Field(min_length=3, max_length=REASON_CHARS_MAX)
    ends_at: AwareDatetime | None = Field(
        default=None, strict=False, description="without it, until somebody lifts the freeze"
    )

    @field_validator("ends_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value.astimezone(UTC) if value else None


class LiftQuery(Query):
    """Why a freeze is lifted."""

    reason: str = Field(min_length=3, max_length=REASON_CHARS_MAX)
