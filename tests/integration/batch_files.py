"""Batch files to submit: rows as CSV and as JSON Lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from tests.integration.api import Json

COLUMNS = (
    "id",
    "model",
    "prompt",
    "size",
    "quality",
    "count",
    "output_format",
    "seed",
    "negative_prompt",
    "deadline",
)


def as_csv(rows: Iterable[Json]) -> bytes:
    """The rows with every column of a batch file."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows: Iterable[Json]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read_csv(content: bytes) -> list[Json]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
