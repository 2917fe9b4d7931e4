"""What requests must look like: bodies and query strings, checked and described in OpenAPI.

Only handlers and OpenAPI import this, on first use: importing the app loads no pydantic.
"""

import re
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.domain.batch_plans import Acceptance
from shared.domain.capabilities import ProviderName
from shared.domain.generations import GenerationRequest
from shared.domain.history import GenerationFilter
from shared.domain.identity import Caller
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.views import StoredStatus

BATCH_ITEMS_MAX: Final = 1_000  # of a JSON body; larger batches are files
PAGE_MAX: Final = 100
PayerId = Annotated[
    str | None,
    Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$", description="one of the caller's department"),
]
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DAY: Final = re.compile(r"2[01][0-9]{2}-[0-9]{2}-[0-9]{2}")


def checked_day(value: object) -> object:
    """A day as text, before it is parsed; raise ValueError for anything else but nothing."""
    if value is not None and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("write it as yyyy-mm-dd, between 2000 and 2199")
    return value


def _checked_whole(value: object) -> object:
    """A number of an address; pydantic by itself would also read 1_0, 1.0 and blanks around."""
    if not isinstance(value, str):
        return value
    if not _WHOLE.fullmatch(value):
        raise ValueError("write a whole number in digits")
    return int(value)


def _checked_flag(value: object) -> object:
    """A yes or no of an address; pydantic by itself would also read on, t and 1."""
    if not isinstance(value, str):
        return value
    if value not in ("true", "false"):
        raise ValueError("write true or false")
    return value == "true"


Whole = Annotated[int, BeforeValidator(_checked_whole)]
Flag = Annotated[bool, BeforeValidator(_checked_flag)]
# Days only: pydantic would also read a number as seconds since 1970. Both addresses and JSON write
# them as text, so they are not read strictly.
Day = Annotated[date, Field(strict=False), BeforeValidator(checked_day)]


class Query(BaseModel):
    """Root of all query strings; strict: everything in an address is text, which we parse."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Body(BaseModel):
    """Root of all JSON bodies; strict: no "1" and no true for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class HistoryQuery(Query):
    """What a history listing is narrowed to."""

    status: StoredStatus | None = None
    provider: ProviderName | None = None
    user: str | None = Field(
        default=None, pattern=r"^[0-9a-f-]{36}$", description="object id of the person who asked"
    )
    batch_id: str | None = Field(default=None, max_length=100)
    since: Day | None = None
    until: Day | None = Field(default=None, description="exclusive")
    limit: Whole = Field(default=20, ge=1, le=PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=4_096)

    def wanted(self, caller: Caller) -> GenerationFilter:
        """The filter over stored records; `until` and `since` compare as ISO 8601 text."""
        return GenerationFilter(
            tenant_id=caller.tenant_id,
            status=self.status,
            provider=self.provider,
            user_key=f"{caller.tenant_id}.{self.user}" if self.user else None,
            batch_id=self.batch_id,
            since=self.since.isoformat() if self.since else None,
            until=self.until.isoformat() if self.until else None,
        )


class PageQuery(Query):
    """One page of a listing."""

    limit: Whole = Field(default=PAGE_MAX, ge=1, le=PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=16)


class ContentQuery(Query):
    """How picture bytes are handed out."""

    delivery: Literal["bytes", "link"] = "bytes"


class ReceiptQuery(Query):
    """The form of a receipt."""

    format: Literal["json", "csv", "jws"] = Field(
        default="json", description="jws: the detached signature over the JSON"
    )


class GenerationBody(GenerationRequest):
    """A picture request, and who pays for it besides the department and the person."""

    project: PayerId = None
    cost_centre: PayerId = None

    def request(self) -> GenerationRequest:
        """The request without its payers."""
        return GenerationRequest(**self.model_dump(exclude={"project", "cost_centre"}))


class ChargeQuery(Query):
    """Who pays for the rows of a body, besides the department and the person."""

    project: PayerId = None
    cost_centre: PayerId = None


class BatchQuery(ChargeQuery):
    """On which terms the rows of a body are taken; `acceptance` of a JSON body goes first."""

    acceptance: Acceptance = "all"


class BatchItem(GenerationRequest):
    """One row of a JSON batch."""

    id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    deadline: Literal["24h"] | None = Field(
        default=None, description="may wait a day, for the provider's batch price where it has one"
    )


class BatchRequest(Body):
    """A batch as a JSON body."""

    items: tuple[BatchItem, ...] = Field(min_length=1, max_length=BATCH_ITEMS_MAX)
    acceptance: Acceptance | None = Field(
        default=None,
        description="all (default): refuse what the budget does not cover; as_many_as_fit: rows"
        " from the first on; ask_approval: let it wait for somebody else's decision",
    )


class UploadSlotRequest(Body):
    """The file that will be put into the slot."""

    file_name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.(csv|jsonl|ndjson)$",
        examples=["storyboard.csv"],
    )
    project: PayerId = None
    cost_centre: PayerId = None
    acceptance: Acceptance = "all"


class ImageLinkView(BaseModel):
    """A short-lived link to one picture."""

    url: str
    expires_at: str
