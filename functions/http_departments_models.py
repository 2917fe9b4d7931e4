"""What requests about departments must look like."""

from typing import Annotated

from pydantic import Field

from functions.http_models import PAGE_MAX, Body, Query, Whole
from functions.http_reasons import REASON_PATTERN
from shared.domain.ids import DEPARTMENT_ID_PATTERN

_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=REASON_PATTERN)]


class DepartmentChange(Body):
    """A department as a whole."""

    name: _Name
    parent: str | None = Field(
        default=None,
        pattern=rf"^{DEPARTMENT_ID_PATTERN}$",
        description="the department that it is part of",
    )


class DepartmentRequest(DepartmentChange):
    """A new department."""

    id: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$")


class DepartmentsQuery(Query):
    """Which departments are wanted."""

    search: str | None = Field(
        default=None, max_length=100, description="a part of an id or a name"
    )
    continuation: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    limit: Whole = Field(default=50, ge=1, le=PAGE_MAX)
