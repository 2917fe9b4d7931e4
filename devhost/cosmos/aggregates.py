"""COUNT, SUM, MIN, MAX and AVG; each skips undefined values.

SUM and AVG are undefined once a value is no number, MIN and MAX once one is an array or object.
Over no values COUNT and SUM are 0 and the others are undefined.
"""

from __future__ import annotations

from typing import Any, Protocol

from devhost.cosmos.values import RANK_ARRAY, UNDEFINED, SortKey, is_number, rank, sort_key
from devhost.cosmos.wire_json import number


class Accumulator(Protocol):
    def add(self, value: Any) -> None: ...

    def result(self) -> Any: ...


class _Count:
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Any) -> None:
        self._count += 1

    def result(self) -> Any:
        return self._count


class _Sum:
    def __init__(self) -> None:
        self._sum: int | float = 0
        self._count = 0
        self._valid = True

    def add(self, value: Any) -> None:
        if is_number(value):
            self._sum += value
            self._count += 1
        else:
            self._valid = False

    def result(self) -> Any:
        try:
            return number(self._sum) if self._valid else UNDEFINED
        except OverflowError:
            return UNDEFINED


class _Average(_Sum):
    def result(self) -> Any:
        total = super().result()
        return UNDEFINED if total is UNDEFINED or not self._count else number(total / self._count)


class _Extreme:
    """The smallest value for direction -1, the largest for +1, in the order of types."""

    def __init__(self, direction: int) -> None:
        self._direction = direction
        self._best: SortKey | None = None
        self._value: Any = UNDEFINED
        self._valid = True

    def add(self, value: Any) -> None:
        if rank(value) >= RANK_ARRAY:
            self._valid = False
            return
        key = sort_key(value)
        if self._best is None or (key > self._best if self._direction > 0 else key < self._best):
            self._best, self._value = key, value

    def result(self) -> Any:
        return self._value if self._valid else UNDEFINED


def accumulator(name: str) -> Accumulator:
    """A fresh accumulator for the aggregate function of that name."""
    match name:
        case "COUNT":
            return _Count()
        case "SUM":
            return _Sum()
        case "AVG":
            return _Average()
        case _:
            return _Extreme(1 if name == "MAX" else -1)
