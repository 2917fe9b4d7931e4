"""The messages that cross a Durable boundary: small, versioned, references only."""

from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Self, get_origin

VERSION: Final = 1  # of every message; raise it when a field changes its meaning


@dataclass(frozen=True)
class Payload:
    """Root of all messages: `to_json` is what travels, `read` takes it back and checks it."""

    def to_json(self) -> dict[str, Any]:
        shown = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}
        return {"version": VERSION, **shown}

    @classmethod
    def read(cls, data: object) -> Self:
        """The message in `data`; raises ValueError when it is not exactly one of this class."""
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError(f"not a {cls.__name__} of version {VERSION}")
        sent = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        del sent["version"]
        known = {field.name: field for field in fields(cls)}
        missing = {name for name, f in known.items() if f.default is MISSING} - sent.keys()
        if missing or sent.keys() - known.keys():
            raise ValueError(f"{cls.__name__} has other fields: {sorted(sent)}")
        for name, value in sent.items():
            declared: Any = known[name].type
            if not isinstance(value, tuple if get_origin(declared) is tuple else declared):
                raise ValueError(f"{cls.__name__}.{name} is a {type(value).__name__}")
        return cls(**sent)


@dataclass(frozen=True)
class GenerationInput(Payload):
    """Input of the generation orchestrator."""

    generation_id: str


@dataclass(frozen=True)
class BatchInput(Payload):
    """Input of the batch orchestrator; `rows` counts valid and faulty rows."""

    batch_id: str
    rows: int
    deadline_rows: int = 0


@dataclass(frozen=True)
class ChunkInput(Payload):
    """Input of the chunk orchestrator: chunk `number` (0-based) of a batch."""

    batch_id: str
    number: int


@dataclass(frozen=True)
class AttemptInput(Payload):
    """Input of the attempt activity; `stop` takes the next marker instead of calling.

    `course` is the `next` of the report before, as it was.
    """

    generation_id: str
    attempt: int
    stop: bool = False
    course: dict | None = None  # type: ignore[type-arg]  # what the attempts before have come to


@dataclass(frozen=True)
class SettleInput(Payload):
    """Input of the settle activity: reports of generations that share one hold."""

    operation_id: str
    reports: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class SettleResult(Payload):
    """Answer of the settle activity; `ok` false means: nothing is lost, call again.

    `image_ids` are the paid pictures that have no thumbnails yet.
    """

    ok: bool
    cancel_requested: bool = False
    image_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThumbnailsInput(Payload):
    """Input of the activity that draws: some pictures of one operation."""

    operation_id: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class ThumbnailsResult(Payload):
    """Answer of the activity that draws; nobody calls again for what it did not draw."""

    ok: bool
    drawn: int = 0


@dataclass(frozen=True)
class OpenChunkResult(Payload):
    """Answer of the open-chunk activity: the rows to work on."""

    ok: bool
    rows: tuple[int, ...] = ()
    cancel_requested: bool = False


@dataclass(frozen=True)
class AlertInput(Payload):
    """Input of the alert orchestrator: the channels that are still to be told."""

    alert_id: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class DeliverInput(Payload):
    """Input of the alert activity: try `attempt` (1-based) on one channel."""

    alert_id: str
    channel: str
    attempt: int


@dataclass(frozen=True)
class DeliverResult(Payload):
    """Answer of the alert activity; `status` pending means: again after `retry_after_s`."""

    ok: bool
    status: str | None = None
    retry_after_s: int = 0


@dataclass(frozen=True)
class ProviderBatchLook(Payload):
    """Input of the activity that looks at the provider batch of chunk `number`."""

    batch_id: str
    number: int
    stop: bool = False


@dataclass(frozen=True)
class ProviderBatchResult(Payload):
    """Answer of the submit and look activities; seconds say when and how long to look."""

    ok: bool
    stage: str = "searching"
    cancel_requested: bool = False
    pause_s: float = 0.0
    window_s: float = 0.0


@dataclass(frozen=True)
class CollectResult(Payload):
    """Answer of the collect activity: [row, number of its next attempt] of what goes on.

    `image_ids` are the paid pictures that have no thumbnails yet.
    """

    ok: bool
    rows: tuple[list[int], ...] = ()
    cancel_requested: bool = False
    image_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class FinishInput(Payload):
    """Input of the finish-batch activity."""

    batch_id: str


@dataclass(frozen=True)
class FinishResult(Payload):
    """Answer of the finish-batch activity."""

    ok: bool
    status: str | None = None


@dataclass(frozen=True)
class ApprovalInput(Payload):
    """Input of the approval orchestrator; moments are ISO 8601 in UTC."""

    operation_id: str
    escalates_at: str
    expires_at: str


@dataclass(frozen=True)
class DeferredInput(Payload):
    """Input of the deferred orchestrator; `due` is ISO 8601 in UTC."""

    operation_id: str
    due: str


@dataclass(frozen=True)
class OverageInput(Payload):
    """Input of the activities of waiting work."""

    operation_id: str


@dataclass(frozen=True)
class OverageResult(Payload):
    """Answer of the activities of waiting work; rows are those of a batch that may start."""

    ok: bool
    status: str | None = None
    kind: str | None = None
    rows: int = 1
    deadline_rows: int = 0
