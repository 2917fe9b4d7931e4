"""The one builder of patch filter predicates.

Cosmos DB predicates take no parameters, so they are put together here from field names and
words of our own and from integers that were checked; text from outside can never reach one.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from shared.domain.money import checked_micros
from shared.errors import InvariantBroken

FIELDS = frozenset(
    {
        "limit_micros",
        "ceiling_micros",
        "high_micros",
        "allocated_micros",
        "reserved_micros",
        "spent_micros",
        "remaining_micros",
        "open_rows",
        "policy_revision",
        "revision",
        "sealed",
        "ended",
        "approvals",
        "escalations",
        "arrivals",
        "closed",
        "acting",
        "repeats",
    }
)
Status = Literal[
    "queued",
    "active",
    "parked",
    "deferred",
    "pending",
    "approved",
    "asked",
    "granted",
    "claimed",
    "closed",
]
STATUSES: Final = frozenset(get_args(Status))
PREFIX: Final = "FROM c WHERE "


@dataclass(frozen=True)
class Sum:
    """A sum of document fields plus a constant, e.g. reserved + spent + 500."""

    fields: tuple[str, ...]
    constant: int = 0

    def text(self) -> str:
        parts = [f"c.{_checked_field(name)}" for name in self.fields]
        if self.constant or not parts:
            parts.append(str(checked_micros(self.constant, "constant")))
        return " + ".join(parts)


def compare(left: Sum, operator: Literal["<=", ">="], right: Sum) -> str:
    """Both sides must exist as numbers, or the predicate is false and nothing is written."""
    names = sorted({*left.fields, *right.fields})
    guards = [f"IS_NUMBER(c.{_checked_field(name)})" for name in names]
    return PREFIX + " AND ".join([*guards, f"{left.text()} {operator} {right.text()}"])


def at_least(minimums: dict[str, int]) -> str:
    """Every named field is a number and at least its minimum."""
    parts = []
    for name, minimum in sorted(minimums.items()):
        field = _checked_field(name)
        parts.append(f"IS_NUMBER(c.{field}) AND c.{field} >= {checked_micros(minimum, name)}")
    return PREFIX + " AND ".join(parts)


def equal(values: dict[str, int]) -> str:
    """Every named field is a number and has this value: it stands as it was read."""
    exactly = [
        f"c.{_checked_field(name)} <= {checked_micros(value, name)}"
        for name, value in sorted(values.items())
    ]
    return at_least(values) + "".join(f" AND {each}" for each in exactly)


def every(*predicates: str) -> str:
    """All of these predicates at once."""
    return PREFIX + " AND ".join(each.removeprefix(PREFIX) for each in predicates)


def unsealed() -> str:
    """The period of this budget still takes entries; see statements.py."""
    return equal({"sealed": 0})


def takes_holds() -> str:
    """The period of this budget still takes entries, and its policy has not ended."""
    return equal({"ended": 0, "sealed": 0})


def has_status(status: Status) -> str:
    """The document has this status; the statuses are literals of ours, never input."""
    if status not in STATUSES:
        raise InvariantBroken("this status may not appear in a predicate")
    return f"{PREFIX}c.status = '{status}'"


def has_no(name: str) -> str:
    """The field is no number: it was never set, or is null."""
    return f"{PREFIX}NOT IS_NUMBER(c.{_checked_field(name)})"


def _checked_field(name: str) -> str:
    if name not in FIELDS:
        raise InvariantBroken(f"{name} may not appear in a predicate")
    return name
