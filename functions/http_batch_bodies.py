"""The rows of a batch in the body of a request: JSON items, CSV or JSON lines."""

from typing import TYPE_CHECKING, Final, Literal

from functions.http_support import JSON, Call
from shared.errors import UnsupportedMediaType

if TYPE_CHECKING:
    from shared.domain.budgets import Charge

BATCH_BODY_BYTES_MAX = 8 * 1024 * 1024  # larger batches are uploaded as files
FORMATS: Final[dict[str, Literal["csv", "jsonl"]]] = {
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
}


def charge_of(call: Call, project: str | None = None, cost_centre: str | None = None) -> "Charge":
    """Who pays, as the body says, or else the query: `?project=` and `?cost_centre=`."""
    from functions.http_models import ChargeQuery

    query = call.query(ChargeQuery)
    return call.known_caller.charge(project or query.project, cost_centre or query.cost_centre)


def rows_of(call: Call) -> tuple[Literal["csv", "jsonl"], bytes]:
    """The rows as a file would hold them: JSON items become JSON lines."""
    media_type = call.media_type()
    if media_type == JSON:
        from functions.http_models import BatchRequest

        items = call.body(BatchRequest, BATCH_BODY_BYTES_MAX).items
        return "jsonl", b"\n".join(
            item.model_dump_json(exclude_none=True).encode() for item in items
        )
    if media_type not in FORMATS:
        raise UnsupportedMediaType(f"Send {JSON}, {', '.join(sorted(FORMATS))}.")
    return FORMATS[media_type], call.raw_body(BATCH_BODY_BYTES_MAX)
