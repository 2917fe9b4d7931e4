"""What one route takes and answers, as OpenAPI tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Operation:
    """What one route takes and answers; `errors` are its statuses besides the common ones."""

    summary: str
    response: type[BaseModel] | None
    status: int = 200
    body: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None  # of the body
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    idempotent: bool = False  # takes an Idempotency-Key
    conditional: bool = False  # takes If-Match or If-None-Match; needs one if 428 is an answer
    other_bodies: tuple[str, ...] = ()
    other_responses: tuple[str, ...] = ()
    other_statuses: tuple[int, ...] = ()
    media_type: str = "application/json"
    error: type[BaseModel] | None = None  # the form of its refusals; None: RFC 9457
