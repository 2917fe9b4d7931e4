"""What requests about freezes must look like."""

from datetime import datetime

from pydantic import AwareDatetime, Field, field_validator

from functions.http_models import Body, Query
from functions.http_moments import checked_moment
from functions.http_reasons import REASON_PATTERN
from shared.domain.freezes import REASON_CHARS_MAX


class FreezeRequest(Body):
    """Why something is frozen, and until when."""

    reason: str = Field(min_length=3, max_length=REASON_CHARS_MAX, pattern=REASON_PATTERN)
    ends_at: AwareDatetime | None = Field(
        default=None, description="without it, until somebody lifts the freeze"
    )

    @field_validator("ends_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return checked_moment(value)


class LiftQuery(Query):
    """Why a freeze is lifted."""

    reason: str = Field(min_length=3, max_length=REASON_CHARS_MAX, pattern=REASON_PATTERN)
