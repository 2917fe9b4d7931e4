"""Compares three independent accounts of one run: ledger, providers' invoices, budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from devhost.demo.money import aud, dollars, usd


@dataclass(frozen=True)
class ProviderFigures:
    """One provider's part of a run; amounts in micro-AUD and micro-USD."""

    provider: str
    images: int
    amount_micros: int
    ledger_usd_micros: int
    invoiced_usd_micros: int


@dataclass(frozen=True)
class Check:
    """One statement about the run, and whether it holds."""

    holds: bool
    text: str


def provider_figures(
    entries: Iterable[Mapping[str, Any]], invoice_lines: Iterable[Mapping[str, Any]]
) -> list[ProviderFigures]:
    """Sums ledger entries and invoice lines by provider, in the order of names."""
    images: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    ledger: Counter[str] = Counter()
    invoiced: Counter[str] = Counter()
    for entry in entries:
        images[entry["provider"]] += entry["images"]
        amounts[entry["provider"]] += entry["amount_micros"]
        ledger[entry["provider"]] += entry["usd_micros"]
    for line in invoice_lines:
        invoiced[line["provider"]] += line["usd_micros"]
    return [
        ProviderFigures(name, images[name], amounts[name], ledger[name], invoiced[name])
        for name in sorted({*ledger, *invoiced})
    ]


def check_invoices(figures: Iterable[ProviderFigures]) -> Check:
    """The ledger holds exactly what each provider invoiced."""
    known = list(figures)
    wrong = [f for f in known if f.ledger_usd_micros != f.invoiced_usd_micros]
    if not wrong:
        total = sum(f.ledger_usd_micros for f in known)
        return Check(True, f"ledger = invoices: {usd(total)}")
    differences = "; ".join(
        f"{f.provider}: ledger {dollars(f.ledger_usd_micros)}, invoiced"
        f" {dollars(f.invoiced_usd_micros)}"
        for f in wrong
    )
    return Check(False, f"ledger and invoices differ (USD) at {differences}")


def check_budget(
    before: Mapping[str, Any], after: Mapping[str, Any], amount_micros: int
) -> list[Check]:
    """The budget moved by what was charged, and no money of this run stays reserved."""
    moved = after["spent_micros"] - before["spent_micros"]
    left = after["reserved_micros"] - before["reserved_micros"]
    spent = Check(
        moved == amount_micros,
        f"budget spent = ledger: {aud(moved, 6)}"
        if moved == amount_micros
        else f"the budget moved by {aud(moved, 6)}, the ledger says {aud(amount_micros, 6)}",
    )
    reserved = Check(
        left == 0,
        "nothing of this run is still reserved"
        if left == 0
        else f"{aud(left, 6)} more is reserved than before",
    )
    return [spent, reserved]


def check_receipt(receipt: Mapping[str, Any], batch: Mapping[str, Any]) -> Check:
    """The receipt's total is the sum of its lines and what the batch says it spent."""
    total = receipt["amount_micros"]
    lines = sum(line["amount_micros"] for line in receipt["lines"])
    if total == lines == batch["spent_micros"]:
        count = len(receipt["lines"])
        return Check(True, f"receipt = its {count} ledger entries = batch: {aud(total, 6)}")
    spent = batch["spent_micros"]
    return Check(
        False, f"receipt {aud(total, 6)}, its entries {aud(lines, 6)}, batch {aud(spent, 6)}"
    )


def check_rows(rows: Mapping[str, int], expected: Mapping[str, int]) -> Check:
    """Every row of the file ended as it should."""
    wrong = [
        f"{rows[name]} {name} instead of {count}"
        for name, count in expected.items()
        if rows[name] != count
    ]
    if wrong:
        return Check(False, "rows: " + ", ".join(wrong))
    shown = ", ".join(f"{count} {name}" for name, count in expected.items() if count)
    return Check(True, f"rows as the file calls for: {shown}")
