"""What requests about grants must look like."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, field_validator

from functions.http_models import Body, Flag, Query
from functions.http_moments import checked_moment
from functions.http_reasons import REASON_PATTERN
from shared.domain.grants import (
    GRANT_MICROS_MAX,
    GRANT_SCOPES_MAX,
    REASON_CHARS_MAX,
    REASON_CHARS_MIN,
)
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.services.grants import GrantOrder

_GUID = r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ScopeName = Annotated[str, Field(max_length=64, examples=["project:apollo"])]


class _Raise(Body):
    scopes: tuple[ScopeName, ...] = Field(
        min_length=1,
        max_length=GRANT_SCOPES_MAX,
        description="department:{id}, user:{object id}, project:{id} or cost_centre:{id}",
    )
    department: str | None = Field(
        default=None,
        pattern=rf"^{DEPARTMENT_ID_PATTERN}$",
        description="of projects and cost centres; your own otherwise",
    )
    amount_micros: int = Field(gt=0, le=GRANT_MICROS_MAX)
    ends_at: AwareDatetime | None = Field(
        default=None, description="at the latest when the budget period ends"
    )
    requested_by: str | None = Field(
        default=None, pattern=_GUID, description="object id of the person who asked"
    )

    @field_validator("ends_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return checked_moment(value)


class GrantRequest(_Raise):
    """A temporary increase."""

    reason: str = Field(min_length=3, max_length=REASON_CHARS_MAX, pattern=REASON_PATTERN)

    def order(self) -> GrantOrder:
        """The same, as the service takes it."""
        return GrantOrder(
            kind="increase",
            scopes=self.scopes,
            amount_micros=self.amount_micros,
            reason=self.reason,
            ends_at=self.ends_at,
            department_id=self.department,
            requested_by=self.requested_by,
        )


class OverrideRequest(_Raise):
    """An emergency override."""

    reason: str = Field(
        min_length=REASON_CHARS_MIN,
        max_length=REASON_CHARS_MAX,
        pattern=REASON_PATTERN,
        description="the audit has its keyed hash",
    )
    surcharge_percent: int = Field(default=0, ge=0, le=100)

    def order(self) -> GrantOrder:
        """The same, as the service takes it."""
        return GrantOrder(
            kind="override",
            scopes=self.scopes,
            amount_micros=self.amount_micros,
            reason=self.reason,
            ends_at=self.ends_at,
            department_id=self.department,
            requested_by=self.requested_by,
            surcharge_percent=self.surcharge_percent,
        )


class GrantsQuery(Query):
    """Whose grants, and whether ended ones as well."""

    department: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    active: Flag = True
