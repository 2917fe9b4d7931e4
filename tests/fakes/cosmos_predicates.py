"""Evaluates the patch predicates that `shared/domain/predicates.py` can build, and no others."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Predicate = Callable[[Mapping[str, Any]], bool]

_PREFIX = "FROM c WHERE "
_GUARD = re.compile(r"(NOT )?IS_NUMBER\(c\.([a-z_]+)\)")
_WORD = re.compile(r"c\.(status) = '([a-z]+)'")
_SUM = r"(?:c\.[a-z_]+|\d+)(?: \+ (?:c\.[a-z_]+|\d+))*"
_COMPARISON = re.compile(rf"({_SUM}) (<=|>=) ({_SUM})")


class UnsupportedPredicate(AssertionError):
    """A predicate outside the grammar: only the one typed builder may write predicates."""


@lru_cache(maxsize=4_096)
def compile_predicate(text: str) -> Predicate:
    """Turn a predicate into a function of a document; raise UnsupportedPredicate."""
    if not text.startswith(_PREFIX):
        raise UnsupportedPredicate(text)
    conditions = [_condition(part) for part in text.removeprefix(_PREFIX).split(" AND ")]
    return lambda document: all(condition(document) for condition in conditions)


def _condition(text: str) -> Predicate:
    guard = _GUARD.fullmatch(text)
    if guard:
        absent, name = bool(guard[1]), guard[2]
        return lambda document: (_number(document.get(name)) is None) is absent
    word = _WORD.fullmatch(text)
    if word:
        return lambda document: bool(document.get(word[1]) == word[2])
    comparison = _COMPARISON.fullmatch(text)
    if comparison is None:
        raise UnsupportedPredicate(text)
    left, right = _sum(comparison[1]), _sum(comparison[3])
    at_most = comparison[2] == "<="

    def holds(document: Mapping[str, Any]) -> bool:
        first, second = left(document), right(document)
        if first is None or second is None:
            return False  # a sum with something that is no number is undefined, so not true
        return first <= second if at_most else first >= second

    return holds


def _sum(text: str) -> Callable[[Mapping[str, Any]], float | None]:
    terms = text.split(" + ")
    constant = sum(int(term) for term in terms if not term.startswith("c."))
    names = [term.removeprefix("c.") for term in terms if term.startswith("c.")]

    def total(document: Mapping[str, Any]) -> float | None:
        result: float = constant
        for name in names:
            value = _number(document.get(name))
            if value is None:
                return None
            result += value
        return result

    return total


def _number(value: object) -> int | float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else None  # type: ignore[return-value]
