"""The rows of a batch in the body of a request: JSON items, CSV or JSON lines."""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from functions.http_support import JSON, Call
from shared.errors import UnsupportedMediaType

if TYPE_CHECKING:
    from shared.domain.batch_plans import Acceptance
    from shared.domain.budgets import Charge

BATCH_BODY_BYTES_MAX = 8 * 1024 * 1024  # larger batches are uploaded as files
FORMATS: Final[dict[str, Literal["csv", "jsonl"]]] = {
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
}


class Rows(NamedTuple):
    """The rows of a body as a file would hold them, and what the body says of its acceptance."""

    file_format: Literal["csv", "jsonl"]
    content: bytes
    acceptance: "Acceptance | None" = None


def charge_of(call: Call, project: str | None = None, cost_centre: str | None = None) -> "Charge":
    """Who pays, as the body says, or else the query: `?project=` and `?cost_centre=`."""
    from functions.http_models import ChargeQuery

    query = call.query(ChargeQuery)
    return call.known_caller.charge(project or query.project, cost_centre or query.cost_centre)


def rows_of(call: Call) -> Rows:
    """The rows of a body: JSON items become JSON lines."""
    media_type = call.media_type()
    if media_type == JSON:
        from functions.http_models import BatchRequest

        batch = call.body(BatchRequest, BATCH_BODY_BYTES_MAX)
        lines = (item.model_dump_json(exclude_none=True).encode() for item in batch.items)
        return Rows("jsonl", b"\n".join(lines), batch.acceptance)
    if media_type not in FORMATS:
        raise UnsupportedMediaType(f"Send {JSON}, {', '.join(sorted(FORMATS))}.")
    return Rows(FORMATS[media_type], call.raw_body(BATCH_BODY_BYTES_MAX))
