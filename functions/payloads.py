"""The messages that cross a Durable boundary: small, versioned, references only."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """Root of all messages; `to_json` is what travels."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    version: Literal[1] = 1

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class GenerationInput(Payload):
    """Input of the generation orchestrator."""

    generation_id: str


class BatchInput(Payload):
    """Input of the batch orchestrator; `rows` counts valid and faulty rows."""

    batch_id: str
    rows: int


class ChunkInput(Payload):
    """Input of the chunk orchestrator: chunk `number` (0-based) of a batch."""

    batch_id: str
    number: int


class AttemptInput(Payload):
    """Input of the attempt activity; `stop` takes the next marker instead of calling."""

    generation_id: str
    attempt: int
    stop: bool = False


class SettleInput(Payload):
    """Input of the settle activity: reports of generations that share one hold."""

    operation_id: str
    reports: tuple[dict[str, Any], ...]


class SettleResult(Payload):
    """Answer of the settle activity; `ok` false means: nothing is lost, call again."""

    ok: bool
    cancel_requested: bool = False


class OpenChunkResult(Payload):
    """Answer of the open-chunk activity: the rows to work on."""

    ok: bool
    rows: tuple[int, ...] = ()
    cancel_requested: bool = False


class FinishInput(Payload):
    """Input of the finish-batch activity."""

    batch_id: str


class FinishResult(Payload):
    """Answer of the finish-batch activity."""

    ok: bool
    status: str | None = None
