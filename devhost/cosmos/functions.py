"""The built-in scalar functions of the query language that are emulated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devhost.cosmos.values import (
    RANK_ARRAY,
    RANK_BOOLEAN,
    RANK_NULL,
    RANK_OBJECT,
    RANK_STRING,
    UNDEFINED,
    is_number,
    rank,
    same,
)
from devhost.cosmos.wire_json import number

Function = Callable[[list[Any]], Any]


def _type_test(*ranks: int) -> Function:
    return lambda arguments: rank(arguments[0]) in ranks


def _string_test(test: Callable[[str, str], bool]) -> Function:
    """A test of two strings with an optional third argument: ignore case."""

    def apply(arguments: list[Any]) -> Any:
        text, part, *rest = arguments
        ignore_case = rest[0] if rest else False
        if not (isinstance(text, str) and isinstance(part, str) and isinstance(ignore_case, bool)):
            return UNDEFINED
        return test(text.casefold(), part.casefold()) if ignore_case else test(text, part)

    return apply


def _of_string(convert: Callable[[str], Any]) -> Function:
    return lambda arguments: convert(arguments[0]) if isinstance(arguments[0], str) else UNDEFINED


def _of_number(convert: Callable[[float], float]) -> Function:
    return lambda arguments: number(convert(arguments[0])) if is_number(arguments[0]) else UNDEFINED


def _array_contains(arguments: list[Any]) -> Any:
    array, wanted, *rest = arguments
    partial = rest[0] if rest else False
    if not isinstance(array, list) or wanted is UNDEFINED or not isinstance(partial, bool):
        return UNDEFINED
    if partial and isinstance(wanted, dict):
        return any(_has_members(item, wanted) for item in array)
    return any(same(item, wanted) for item in array)


def _has_members(item: Any, wanted: dict[str, Any]) -> bool:
    return isinstance(item, dict) and all(
        key in item and same(item[key], value) for key, value in wanted.items()
    )


def _concat(arguments: list[Any]) -> Any:
    if all(isinstance(argument, str) for argument in arguments):
        return "".join(arguments)
    return UNDEFINED


_NUMBER = rank(0)

# name: (fewest arguments, most arguments, function)
FUNCTIONS: dict[str, tuple[int, int, Function]] = {
    "UNDEFINED": (0, 0, lambda _: UNDEFINED),
    "IS_DEFINED": (1, 1, lambda arguments: arguments[0] is not UNDEFINED),
    "IS_NULL": (1, 1, _type_test(RANK_NULL)),
    "IS_BOOL": (1, 1, _type_test(RANK_BOOLEAN)),
    "IS_NUMBER": (1, 1, _type_test(_NUMBER)),
    "IS_STRING": (1, 1, _type_test(RANK_STRING)),
    "IS_ARRAY": (1, 1, _type_test(RANK_ARRAY)),
    "IS_OBJECT": (1, 1, _type_test(RANK_OBJECT)),
    "IS_PRIMITIVE": (1, 1, _type_test(RANK_NULL, RANK_BOOLEAN, _NUMBER, RANK_STRING)),
    "STARTSWITH": (2, 3, _string_test(str.startswith)),
    "ENDSWITH": (2, 3, _string_test(str.endswith)),
    "CONTAINS": (2, 3, _string_test(str.__contains__)),
    "STRINGEQUALS": (2, 3, _string_test(str.__eq__)),
    "LOWER": (1, 1, _of_string(str.lower)),
    "UPPER": (1, 1, _of_string(str.upper)),
    "LENGTH": (1, 1, _of_string(len)),
    "CONCAT": (2, 200, _concat),
    "ABS": (1, 1, _of_number(abs)),
    "FLOOR": (1, 1, _of_number(math.floor)),
    "CEILING": (1, 1, _of_number(math.ceil)),
    "ARRAY_CONTAINS": (2, 3, _array_contains),
    "ARRAY_LENGTH": (
        1,
        1,
        lambda arguments: len(arguments[0]) if isinstance(arguments[0], list) else UNDEFINED,
    ),
}

# Functions the service has and this emulator lacks: 501, where an unknown name is a 400.
SERVICE_ONLY_FUNCTIONS = frozenset(
    """
    ACOS ASIN ATAN ATN2 COS COT DEGREES EXP INTADD INTDIV INTMOD INTMUL INTSUB LOG LOG10
    NUMBERBIN PI POWER RADIANS RAND ROUND SIGN SIN SQRT SQUARE TAN TRUNC INDEX_OF LEFT LTRIM
    REGEXMATCH REPLACE REPLICATE REVERSE RIGHT RTRIM STRINGJOIN STRINGSPLIT STRINGTOARRAY
    STRINGTOBOOLEAN STRINGTONULL STRINGTONUMBER STRINGTOOBJECT SUBSTRING TOSTRING TRIM
    ARRAY_CONCAT ARRAY_CONTAINS_ALL ARRAY_CONTAINS_ANY ARRAY_SLICE CHOOSE OBJECTTOARRAY
    SETINTERSECT SETUNION CONTAINS_ALL_CI CONTAINS_ANY_CI CONTAINS_ALL_CS CONTAINS_ANY_CS
    IS_FINITE_NUMBER IS_INTEGER IIF DOCUMENTID GETCURRENTDATETIME GETCURRENTTICKS
    GETCURRENTTIMESTAMP GETCURRENTDATETIMESTATIC TICKSTODATETIME TIMESTAMPTODATETIME COUNTIF
    FULLTEXTCONTAINS FULLTEXTCONTAINSALL FULLTEXTCONTAINSANY FULLTEXTSCORE RRF
    """.split()  # noqa: SIM905 - a table of words
)
