"""Log entries: audit events as canonical JSON."""

import json
from typing import Any

from .faults import Fault

VERSION = 1
TEXTS = ("partition", "id", "actor", "action", "object", "outcome")
OUTCOMES = ("success", "denied", "failure")


def read_entry(content: bytes, place: str) -> dict[str, Any]:
    """An entry's event; Fault if it is not the canonical form of one."""
    try:
        event = json.loads(content, parse_float=_refused, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise Fault(place, "it is no JSON") from None
    if not isinstance(event, dict) or canonical(event.get("v")) != canonical(VERSION):
        raise Fault(place, "it is no event of a version that this program knows")
    if canonical(event) != content:
        raise Fault(place, "it is not in canonical form (RFC 8785)")
    if not all(isinstance(event.get(name), str) for name in TEXTS):
        raise Fault(place, "a field is missing that every event has")
    if event["outcome"] not in OUTCOMES or not isinstance(event.get("details"), dict):
        raise Fault(place, "its outcome or its details are malformed")
    return event


def _refused(number: str) -> Any:
    raise ValueError(f"{number} is no whole number")


def canonical(value: Any) -> bytes:
    """RFC 8785 for what events hold: ASCII names, texts, whole numbers, no fractions."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode(errors="surrogatepass")
