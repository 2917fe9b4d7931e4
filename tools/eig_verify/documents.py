"""JSON that somebody handed over: read strictly, compared strictly, with nothing overlooked."""

import json
from typing import Any

from .entries import canonical
from .faults import Fault

Json = dict[str, Any]


def read_document(content: str, place: str) -> Json:
    """A JSON object; Fault if readers could take it in two ways."""
    try:
        document = json.loads(content, object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError:
        raise Fault(place, "it is nested too deeply") from None
    if not isinstance(document, dict):
        raise Fault(place, "it is no JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> Json:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Fault("JSON", "a name stands in it twice")
    return document


def _refused(constant: str) -> Any:
    raise Fault("JSON", f"{constant} is no value")


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1 is neither true nor 1.0."""
    return canonical(one) == canonical(other)


def field(document: Json, name: str, place: str = "receipt") -> Any:
    """A field that must be there, be it null."""
    if name not in document:
        raise Fault(place, f"it has no {name}")
    return document[name]


def text(document: Json, name: str, place: str = "receipt") -> str:
    value = field(document, name, place)
    if not isinstance(value, str):
        raise Fault(place, f"its {name} is no text")
    return value


def items(document: Json, name: str) -> list[Json]:
    value = field(document, name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Fault("receipt", f"its {name} are malformed")
    return value


def only(document: Json, names: set[str], place: str) -> list[str]:
    """The fields that this program does not know, as statements that nothing proves."""
    return [
        f"{place}: {name!r} is no field of this format" for name in sorted(set(document) - names)
    ]
