"""What requests to the audit log must look like."""

from pydantic import Field

from functions.http_models import Query, Whole

INDEX_MAX = 10**15  # of a log that grows by a million a second for thirty years


class FileQuery(Query):
    """A file of the log, as C2SP tlog-tiles names it."""

    name: str = Field(max_length=80, examples=["tile/entries/x001/067", "tile/0/000.p/5"])


class EntryQuery(Query):
    """An event; its partition is needed where two share an id, or where the log alone has it."""

    event_id: str = Field(min_length=1, max_length=1_023)
    partition: str | None = Field(default=None, max_length=200)


class InclusionQuery(Query):
    """An entry's place in the log."""

    index: Whole = Field(ge=0, le=INDEX_MAX)


class ConsistencyQuery(Query):
    """Two sizes of the log."""

    old: Whole = Field(ge=1, le=INDEX_MAX)
    new: Whole = Field(ge=1, le=INDEX_MAX)
