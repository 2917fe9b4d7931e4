"""Identifiers that name their own ledger partition, so that every look-up is a point read.

    operation id   202611-marketing-<32 hex>          one hold: a single generation or a batch
    generation id  = operation id, or operation id + ".00017" for row 17 of a batch
    image id       generation id + "_0"                the first picture of that generation
    partition key  marketing|202611

All parts are ASCII without `/ \\ # ?`, so an id is also a valid document id, blob name and
orchestration instance id (at most 100 characters).
"""

import hashlib
import re
from dataclasses import dataclass

DEPARTMENT_ID_PATTERN = r"[a-z][a-z0-9]{1,23}"
BATCH_ROWS_MAX = 50_000  # rows of one batch file; row numbers are printed with five digits
CHUNK_ROWS = 100  # rows of one sub-orchestration: its replay costs about 7 ms
_OPERATION = re.compile(
    rf"(?P<period>[0-9]{{6}})-(?P<department>{DEPARTMENT_ID_PATTERN})-[0-9a-f]{{32}}"
)
_GENERATION = re.compile(r"(?P<operation>[^._]+)(?:\.(?P<row>[0-9]{5}))?")
_IMAGE = re.compile(r"(?P<generation>[^_]+)_(?P<index>[0-9])")


@dataclass(frozen=True)
class Partition:
    """One logical ledger partition: a department in one budget period.

    A period is named by its first month, `yyyymm` (see periods.py).
    """

    department_id: str
    period: str

    @property
    def key(self) -> str:
        return f"{self.department_id}|{self.period}"


def operation_id(partition: Partition, *seed: str) -> str:
    """Derive the id of a hold from what makes the request unique; same seed, same id."""
    text = "\x1f".join(seed).encode()
    digest = hashlib.sha256(text).hexdigest()[:32]
    return f"{partition.period}-{partition.department_id}-{digest}"


def row_generation_id(batch_id: str, row: int) -> str:
    """The generation id of one row (1-based) of a batch."""
    return f"{batch_id}.{row:05d}"


def operation_of(generation_id: str) -> str:
    """The operation (hold) that pays for a generation."""
    return generation_id.split(".", 1)[0]


def row_of(generation_id: str) -> int | None:
    """The batch row a generation belongs to, or None for a single generation."""
    _, _, row = generation_id.partition(".")
    return int(row) if row else None


def chunk_of(row: int) -> int:
    """The chunk (0-based) of a batch's plan that holds a row (1-based)."""
    return (row - 1) // CHUNK_ROWS


def chunks_of(rows: int) -> int:
    """How many chunks the plan of a batch of so many rows has."""
    return -(-rows // CHUNK_ROWS)


def image_id(generation_id: str, index: int) -> str:
    """The id of one picture of a generation; `index` starts at 0."""
    return f"{generation_id}_{index}"


def partition_of(any_id: str) -> Partition | None:
    """Read the partition out of an operation, generation or image id; None if it is malformed."""
    image = _IMAGE.fullmatch(any_id)
    generation = _GENERATION.fullmatch(image["generation"] if image else any_id)
    operation = _OPERATION.fullmatch(generation["operation"]) if generation else None
    if operation is None:
        return None
    return Partition(department_id=operation["department"], period=operation["period"])


def split_image_id(any_id: str) -> tuple[str, int] | None:
    """Split an image id into (generation id, index); None if it is malformed."""
    match = _IMAGE.fullmatch(any_id)
    if match is None or partition_of(any_id) is None:
        return None
    return match["generation"], int(match["index"])
