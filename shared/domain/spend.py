"""Spend: ledger entries added up by any dimensions, in integers, so that totals re-add exactly."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.domain.amounts import decimal_text
from shared.domain.batch_files import spreadsheet_safe
from shared.domain.entries import Entry
from shared.errors import InvariantBroken

Key = tuple[str | None, ...]
_VALUE_OF: Final[Mapping[str, Callable[[Entry], str | None]]] = MappingProxyType(
    {
        "department": lambda entry: entry.department_id,
        "user": lambda entry: entry.user,
        "project": lambda entry: entry.project_id,
        "cost_centre": lambda entry: entry.cost_centre_id,
        "model": lambda entry: entry.model,
        "provider": lambda entry: entry.provider,
        "day": lambda entry: entry.day.isoformat(),
        "kind": lambda entry: entry.kind,
    }
)
DIMENSIONS: Final = tuple(_VALUE_OF)
MEASURES: Final = ("entries", "images", "amount", "amount_micros", "usd_micros", "list_usd_micros")


@dataclass
class SpendSum:
    """A running sum of entries; micro-AUD charged, micro-USD billed, micro-USD at list price."""

    entries: int = 0
    images: int = 0
    amount_micros: int = 0
    usd_micros: int = 0
    list_usd_micros: int = 0

    def add(self, entry: Entry) -> None:
        self.entries += 1
        self.images += entry.images
        self.amount_micros += entry.amount_micros
        self.usd_micros += entry.usd_micros
        self.list_usd_micros += entry.list_usd_micros

    def add_sum(self, other: "SpendSum") -> None:
        self.entries += other.entries
        self.images += other.images
        self.amount_micros += other.amount_micros
        self.usd_micros += other.usd_micros
        self.list_usd_micros += other.list_usd_micros


class SpendTable:
    """Sums by the values of `by`, in the order of these dimensions."""

    def __init__(self, by: Iterable[str]) -> None:
        self.by = tuple(by)
        self.total = SpendSum()
        self._values = [_VALUE_OF[name] for name in self.by]
        self._sums: dict[Key, SpendSum] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, entry: Entry) -> None:
        key = tuple(value(entry) for value in self._values)
        self._sums.setdefault(key, SpendSum()).add(entry)
        self.total.add(entry)

    def rows(self) -> list[tuple[Key, SpendSum]]:
        """Every group in the order of its key, nothing first; raises if they miss the total."""
        rows = sorted(self._sums.items(), key=lambda row: [value or "" for value in row[0]])
        again = SpendSum()
        for _, each in rows:
            again.add_sum(each)
        if again != self.total:
            raise InvariantBroken("The groups of a report do not add up to its total.")
        return rows

    def narrowed(self, *by: str) -> "SpendTable":
        """The same spend by fewer dimensions."""
        places = [self.by.index(name) for name in by]
        narrow = SpendTable(by)
        for key, each in self._sums.items():
            kept = tuple(key[place] for place in places)
            narrow._sums.setdefault(kept, SpendSum()).add_sum(each)
            narrow.total.add_sum(each)
        return narrow


def spend_csv(table: SpendTable) -> str:
    """The table as CSV with a header and no total line, so that a column adds up to the total."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*table.by, *MEASURES])
    for key, each in table.rows():
        cells = [spreadsheet_safe(value or "") for value in key]
        measures = [
            each.entries,
            each.images,
            decimal_text(each.amount_micros),
            each.amount_micros,
            each.usd_micros,
            each.list_usd_micros,
        ]
        writer.writerow([*cells, *measures])
    return text.getvalue()
