"""Log entries: audit events as canonical JSON."""

import json
from typing import Any

from .faults import Fault

VERSION = 1
TEXTS = ("partition", "id", "actor", "action", "object", "outcome")
WHOLE_MAX = 2**53 - 1  # beyond it readers with IEEE doubles take another number
OUTCOMES = ("success", "denied", "failure")


def read_entry(content: bytes, place: str) -> dict[str, Any]:
    """An entry's event; Fault if it is not the canonical form of one."""
    try:
        event = json.loads(
            content.decode(), parse_int=_whole, parse_float=_refused, parse_constant=_refused
        )
        form = canonical(event)
    except (ValueError, RecursionError):
        raise Fault(place, "it is no JSON that everybody reads alike") from None
    if not isinstance(event, dict) or canonical(event.get("v")) != canonical(VERSION):
        raise Fault(place, "it is no event of a version that this program knows")
    if form != content:
        raise Fault(place, "it is not in canonical form (RFC 8785)")
    if not all(isinstance(event.get(name), str) for name in TEXTS):
        raise Fault(place, "a field is missing that every event has")
    if event["outcome"] not in OUTCOMES or not isinstance(event.get("details"), dict):
        raise Fault(place, "its outcome or its details are malformed")
    return event


def _whole(digits: str) -> int:
    number = int(digits)
    if abs(number) > WHOLE_MAX:
        raise ValueError("some readers round it")
    return number


def _refused(number: str) -> Any:
    raise ValueError(f"{number} is no whole number")


def canonical(value: Any) -> bytes:
    """RFC 8785 for what events hold: texts, whole numbers, no fractions."""
    text = json.dumps(_in_order(value), ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogatepass")  # as no entry has them, see read_entry


def _in_order(value: Any) -> Any:
    """The same with every object's names in the order of their UTF-16 code units."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return {name: _in_order(value[name]) for name in names}
    return [_in_order(each) for each in value] if isinstance(value, list) else value
