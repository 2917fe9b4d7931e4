"""Ledger entries as reports read them: what was booked, when, and to whom.

An entry is the resolution of a generation (`x:`) or an adjustment (`j:`). A generation counts on
the UTC day it was admitted, because that day's budget paid for it; an adjustment counts on the UTC
day it was booked. An entry always belongs to the period of its partition: work that waited for a
period to begin, and corrections after its end, count on the nearest day of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from shared.domain.barriers import is_barrier
from shared.domain.entry_lines import EntryLine, booked_lines
from shared.domain.money import MICROS_MAX, aud_micros
from shared.errors import InvariantBroken

EntryKind = Literal["usage", "surcharge", "reconciliation", "late", "rehydration"]
ADJUSTMENTS: Final = ("surcharge", "reconciliation", "late", "rehydration")


@dataclass(frozen=True)
class Entry:
    """One booking; micro-AUD and micro-USD, below zero only for adjustments."""

    entry_id: str
    kind: EntryKind
    day: date
    tenant_id: str
    department_id: str
    user_key: str | None
    project_id: str | None
    cost_centre_id: str | None
    model: str | None
    provider: str | None
    status: str | None
    images: int
    amount_micros: int
    usd_micros: int
    list_micros: int
    list_usd_micros: int
    estimated: bool
    price_version: str | None
    exchange_rate_version: str | None
    booked_at: str
    refers_to: str | None
    reason: str | None

    @property
    def user(self) -> str | None:
        """The object id of the person who is charged, without the tenant."""
        return self.user_key.rpartition(".")[2] if self.user_key else None

    def within(self, start: date, end: date) -> "Entry":
        """This entry on a day of its period; `end` is the day after the last one."""
        nearest = min(max(self.day, start), end - timedelta(days=1))
        return self if nearest == self.day else replace(self, day=nearest)


def read_entries(document: Mapping[str, Any]) -> tuple[Entry, ...]:
    """What a document books: a resolution has an entry for each line that cost something.

    A barrier in the place of an entry books nothing.
    """
    if is_barrier(document):
        return ()
    if document["type"] != "resolution":
        return (read_entry(document),)
    lines = booked_lines(document)
    return tuple(_resolution(document, line, is_last=line is lines[-1]) for line in lines)


def read_entry(document: Mapping[str, Any]) -> Entry:
    """Read an `adjustment`, or a `resolution` of one line; raises InvariantBroken otherwise."""
    if document["type"] == "resolution":
        (entry,) = read_entries(document)
        return entry
    if document["type"] == "adjustment" and document["kind"] in ADJUSTMENTS:
        return _adjustment(document)
    raise InvariantBroken("A ledger entry is of a kind that reports do not know.")


def _resolution(document: Mapping[str, Any], line: EntryLine, *, is_last: bool) -> Entry:
    amount, usd, list_usd = line.amount_micros, line.usd_micros, line.list_usd_micros
    undiscounted = list_usd == usd
    return Entry(
        entry_id=document["id"] if is_last else f"{document['id']}#{line.attempt}",
        kind="usage",
        day=_day(document["admitted_at"]),
        **_charge(document),
        model=line.model,
        provider=line.provider,
        status=line.status,
        images=line.images,
        amount_micros=amount,
        usd_micros=usd,
        list_micros=(
            amount if undiscounted else aud_micros(list_usd, int(document["aud_per_usd_micros"]))
        ),
        list_usd_micros=list_usd,
        estimated=line.estimated,
        price_version=document["price_version"],
        exchange_rate_version=document["exchange_rate_version"],
        booked_at=document["closed_at"],
        refers_to=document["generation_id"],
        reason=line.failure,
    )


def _adjustment(document: Mapping[str, Any]) -> Entry:
    amount = _signed(document, "amount_micros")
    usd = _signed(document, "usd_micros")
    return Entry(
        entry_id=document["id"],
        kind=document["kind"],
        day=_day(document["booked_at"]),
        **_charge(document),
        model=document["model"],
        provider=document["provider"],
        status=None,
        images=0,
        amount_micros=amount,
        usd_micros=usd,
        list_micros=amount,
        list_usd_micros=usd,
        estimated=False,
        price_version=None,
        exchange_rate_version=None,
        booked_at=document["booked_at"],
        refers_to=document["refers_to"],
        reason=document["reason"],
    )


def _charge(document: Mapping[str, Any]) -> dict[str, Any]:
    names = ("tenant_id", "department_id", "user_key", "project_id", "cost_centre_id")
    return {name: document[name] for name in names}


def _signed(document: Mapping[str, Any], name: str) -> int:
    value = int(document[name])
    if not -MICROS_MAX <= value <= MICROS_MAX:
        raise InvariantBroken(f"{name} of an adjustment is no amount that a double keeps exactly.")
    return value


def _day(moment: str) -> date:
    return datetime.fromisoformat(moment).astimezone(UTC).date()
