"""JSON as the service keeps it: every number is a double, integers up to 2^53 are exact."""

from __future__ import annotations

import json
import math
from typing import Any

from devhost.cosmos.errors import bad_request

INTEGER_EXACT_MAX = 2**53  # the largest range in which a double holds every integer
DIGITS_SURELY_EXACT = 15  # an integer of so few digits is below 2^53: no need to convert
DEPTH_MAX = 128  # the service's limit on nesting


def number(value: float) -> int | float:
    """The value as the service writes it back: whole doubles lose their fraction."""
    as_float = float(value)
    if not math.isfinite(as_float):
        raise OverflowError("not a finite double")
    if as_float.is_integer() and abs(as_float) <= INTEGER_EXACT_MAX:
        return int(as_float)
    return as_float


def _parse_int(text: str) -> int | float:
    return int(text) if len(text) <= DIGITS_SURELY_EXACT else number(float(text))


def _parse_float(text: str) -> int | float:
    return number(float(text))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    parse_int=_parse_int,
    parse_float=_parse_float,
    parse_constant=_refuse_constant,
)
_STORED_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def decode(body: bytes | str) -> Any:
    """Parses what a client sent; raises ServiceError 400."""
    try:
        return _DECODER.decode(body.decode("utf-8") if isinstance(body, bytes) else body)
    except (ValueError, OverflowError, RecursionError) as error:
        raise bad_request(
            f"The request payload is invalid. Ensure to provide a valid request payload. ({error})"
        ) from error


def decode_stored(text: str) -> Any:
    """Parses what the emulator itself wrote."""
    return _STORED_DECODER.decode(text)


def encode(value: Any) -> str:
    """Compact JSON in ASCII, so that any string can be stored and sent."""
    return _ENCODER.encode(value)


def utf8_size_bytes(ascii_json: str, limit_bytes: int) -> int:
    """The size of the text as UTF-8; exact only where it could exceed the limit."""
    if len(ascii_json) <= limit_bytes:
        return len(ascii_json)
    plain = json.dumps(json.loads(ascii_json), separators=(",", ":"), ensure_ascii=False)
    return len(plain.encode("utf-8", "surrogatepass"))


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Whether containers are nested more than `levels` deep."""
    members = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return False
    return levels == 0 or any(is_nested_deeper(member, levels - 1) for member in members)
