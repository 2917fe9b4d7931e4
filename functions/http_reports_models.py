"""What requests for reports and statements must look like."""

from typing import Final, Literal

from pydantic import Field, field_validator

from functions.http_models import Body, Day, Query
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.periods import MONTH_PATTERN
from shared.domain.spend import DIMENSIONS

_DEPARTMENT: Final = rf"^{DEPARTMENT_ID_PATTERN}$"
_PERIOD: Final = rf"^{MONTH_PATTERN}$"


class SpanQuery(Query):
    """Some days of one department, or of all that the caller may see."""

    since: Day | None = Field(default=None, description="the first of this month if left out")
    until: Day | None = Field(default=None, description="exclusive; tomorrow if left out")
    department: str | None = Field(default=None, pattern=_DEPARTMENT)


class SpendQuery(SpanQuery):
    """What spend is added up by, and in which form it is answered."""

    by: str = Field(
        default="department",
        max_length=100,
        description=f"some of {', '.join(DIMENSIONS)}, with commas between them",
        examples=["model,day"],
    )
    format: Literal["json", "csv"] = "json"

    @field_validator("by")
    @classmethod
    def _known(cls, value: str) -> str:
        names = value.split(",")
        if len(set(names)) != len(names) or not set(names) <= set(DIMENSIONS):
            raise ValueError(f"name each once: {', '.join(DIMENSIONS)}")
        return value

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(self.by.split(","))


class OneDepartmentQuery(Query):
    """Which department; one's own if left out."""

    department: str | None = Field(default=None, pattern=_DEPARTMENT)


class FinanceQuery(OneDepartmentQuery):
    """Which department and which of its periods; the present one if left out."""

    period: str | None = Field(default=None, pattern=_PERIOD, examples=["202611"])


class StatementQuery(Query):
    """In which form a statement is fetched."""

    format: Literal["json", "csv"] = "json"


class CloseRequest(Body):
    """The period that shall be closed, by its first month."""

    department: str = Field(pattern=_DEPARTMENT)
    period: str = Field(pattern=_PERIOD)
