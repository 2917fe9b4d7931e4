"""Answers of the Language service that are 200 and yet none, by the tag that asks for one.

Each is an answer as the service gives it, changed in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Body = dict[str, Any]


def _document(**changes: Any) -> Callable[[Body], None]:
    return lambda body: body["results"]["documents"][0].update(changes)


def _entity(**changes: Any) -> Callable[[Body], None]:
    """Changes an entity; the document must have one."""
    return lambda body: body["results"]["documents"][0]["entities"][0].update(changes)


def _error(error_id: str) -> Callable[[Body], None]:
    error = {"code": "InternalServerError", "message": "Something went wrong."}
    return lambda body: body["results"]["errors"].append({"id": error_id, "error": error})


def _warning(code: str) -> Callable[[Body], None]:
    return _document(warnings=[{"code": code, "message": "The text was not read as it is."}])


def _without(name: str) -> Callable[[Body], None]:
    def drop(body: Body) -> None:
        del body["results"]["documents"][0][name]

    return drop


def _number_ids(body: Body) -> None:
    for document in body["results"]["documents"]:
        document["id"] = int(document["id"])


def _doubled(body: Body) -> None:
    body["results"]["documents"] *= 2


ODDITIES: dict[str, Callable[[Body], None]] = {
    "redacted_more": _document(entities=[]),
    "redacted_otherwise": _document(redactedText="x"),
    "no_redacted_text": _without("redactedText"),
    "no_entities": _without("entities"),
    "no_warnings": _without("warnings"),
    "truncated": _warning("DocumentTruncated"),
    "long_words": _warning("LongWordsInDocument"),
    "error_of_nobody": _error(""),
    "error_of_another": _error("99"),
    "error_beside_result": _error("0"),
    "error_inside_result": _document(error={"code": "InternalServerError", "message": ""}),
    "error_on_top": lambda body: body.update(error={"code": "InternalServerError", "message": ""}),
    "wrong_kind": lambda body: body.update(kind="EntityRecognitionResults"),
    "number_ids": _number_ids,
    "twice": _doubled,
    "category_unknown": _entity(category="AUTaxFileNumberX"),
    "category_not_asked_for": _entity(category="Organization"),
    "category_in_lower_case": _entity(category="person"),
    "confidence_as_text": _entity(confidenceScore="0.9"),
    "confidence_above_one": _entity(confidenceScore=1.5),
    "flag_as_place": _entity(offset=True, length=True, text="a"),
}
