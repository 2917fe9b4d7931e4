"""The one builder of patch filter predicates.

Cosmos DB predicates take no parameters, so they are put together here from field names and
words of our own and from integers that were checked; text from outside can never reach one.
"""

from dataclasses import dataclass
from typing import Literal

from shared.domain.money import checked_micros
from shared.errors import InvariantBroken

_FIELDS = frozenset(
    {"limit_micros", "reserved_micros", "spent_micros", "remaining_micros", "open_rows"}
)


@dataclass(frozen=True)
class Sum:
    """A sum of document fields plus a constant, e.g. reserved + spent + 500."""

    fields: tuple[str, ...]
    constant: int = 0

    def text(self) -> str:
        parts = [f"c.{_checked_field(name)}" for name in self.fields]
        if self.constant:
            parts.append(str(checked_micros(self.constant, "constant")))
        return " + ".join(parts)


def compare(left: Sum, operator: Literal["<=", ">="], right: Sum) -> str:
    """Both sides must exist as numbers, or the predicate is false and nothing is written."""
    names = sorted({*left.fields, *right.fields})
    guards = [f"IS_NUMBER(c.{_checked_field(name)})" for name in names]
    return "FROM c WHERE " + " AND ".join([*guards, f"{left.text()} {operator} {right.text()}"])


def at_least(minimums: dict[str, int]) -> str:
    """Every named field is a number and at least its minimum."""
    parts = []
    for name, minimum in sorted(minimums.items()):
        field = _checked_field(name)
        parts.append(f"IS_NUMBER(c.{field}) AND c.{field} >= {checked_micros(minimum, name)}")
    return "FROM c WHERE " + " AND ".join(parts)


def has_status(status: Literal["queued"]) -> str:
    """The document has this status; the statuses are literals of ours, never input."""
    if status != "queued":
        raise InvariantBroken("this status may not appear in a predicate")
    return "FROM c WHERE c.status = 'queued'"


def _checked_field(name: str) -> str:
    if name not in _FIELDS:
        raise InvariantBroken(f"{name} may not appear in a predicate")
    return name
