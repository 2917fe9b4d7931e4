"""JSON values as queries see them: `UNDEFINED`, types, equality and order.

Values of different types are never equal and never ordered: such a comparison is undefined.
"""

from __future__ import annotations

from typing import Any, Final

from devhost.cosmos.wire_json import encode


class Undefined:
    """The value of a property that does not exist."""

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()

# The order of types in ORDER BY, MIN and MAX.
RANK_UNDEFINED, RANK_NULL, RANK_BOOLEAN, RANK_NUMBER, RANK_STRING, RANK_ARRAY, RANK_OBJECT = range(
    7
)
_RANK_OF_TYPE: dict[type, int] = {
    Undefined: RANK_UNDEFINED,
    type(None): RANK_NULL,
    bool: RANK_BOOLEAN,
    int: RANK_NUMBER,
    float: RANK_NUMBER,
    str: RANK_STRING,
    list: RANK_ARRAY,
    dict: RANK_OBJECT,
}
SortKey = tuple[int, Any]


def rank(value: Any) -> int:
    """The type of a value, as its place in the order of types."""
    return _RANK_OF_TYPE[type(value)]


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


def sort_key(value: Any) -> SortKey:
    """A key that orders any two values; arrays and objects by their text, which is arbitrary."""
    kind = _RANK_OF_TYPE[type(value)]
    if kind in (RANK_UNDEFINED, RANK_NULL):
        return (kind, 0)
    return (kind, encode(value)) if kind >= RANK_ARRAY else (kind, value)


def equal(left: Any, right: Any) -> bool | Undefined:
    """Deep equality; undefined when either is undefined or the types differ."""
    kind = _RANK_OF_TYPE[type(left)]
    if kind == RANK_UNDEFINED or kind != _RANK_OF_TYPE[type(right)]:
        return UNDEFINED
    return bool(left == right) if kind < RANK_ARRAY else same(left, right)


def same(left: Any, right: Any) -> bool:
    """Deep sameness; unlike Python, true is not 1."""
    kind = _RANK_OF_TYPE[type(left)]
    if kind != _RANK_OF_TYPE[type(right)]:
        return False
    if kind == RANK_ARRAY:
        return len(left) == len(right) and all(map(same, left, right))
    if kind == RANK_OBJECT:
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def less(left: Any, right: Any) -> bool | Undefined:
    """left < right; undefined for different types, arrays, objects and undefined."""
    kind = _RANK_OF_TYPE[type(left)]
    if kind == RANK_UNDEFINED or kind >= RANK_ARRAY or kind != _RANK_OF_TYPE[type(right)]:
        return UNDEFINED
    return False if kind == RANK_NULL else bool(left < right)
