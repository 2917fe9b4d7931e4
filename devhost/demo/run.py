"""What one run of the demo brought, and the statements that must hold about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from devhost.demo.api import Json
from devhost.demo.fallback import check_fallback
from devhost.demo.pictures import Picture
from devhost.demo.reconciliation import (
    Check,
    check_budget,
    check_invoices,
    check_receipt,
    check_rows,
    provider_figures,
)
from devhost.stack import REPOSITORY

STORYBOARD = REPOSITORY / "examples" / "storyboard.csv"
# What the storyboard is made to do; a change of the file changes these.
EXPECTED_ROWS = {
    "total": 24,
    "valid": 23,
    "invalid": 1,
    "succeeded": 22,
    "refused": 1,
    "failed": 0,
    "canceled": 0,
    "indeterminate": 0,
}


@dataclass(frozen=True)
class Run:
    """Everything that one run brought, as the API showed it."""

    folder: Path
    started_at: datetime
    single: Json
    approved: Json  # a single generation that no budget covered until somebody approved it
    routed: Json  # a single generation whose first provider failed
    batch: Json
    items: tuple[Json, ...]
    receipt: Json
    budget_before: Json
    budget_after: Json
    invoice_lines: tuple[Json, ...]
    pictures: Mapping[str, tuple[Picture, ...]]  # by generation id

    @property
    def singles(self) -> list[tuple[str, Json]]:
        """The generations that were asked for one by one, each with a name for people."""
        return [("single", self.single), ("approved", self.approved), ("routed", self.routed)]

    def entries(self) -> list[Json]:
        """The ledger entries of this run: those of the receipt, and of the single generations."""
        return [*(_entry(each) for _, each in self.singles), *self.receipt["lines"]]


def _entry(generation: Json) -> Json:
    cost = generation["cost"] or {"amount_micros": 0, "usd_micros": 0}
    return {
        "provider": generation["provider"],
        "images": len(generation["images"]),
        "amount_micros": cost["amount_micros"],
        "usd_micros": cost["usd_micros"],
    }


def checks_of(run: Run) -> list[Check]:
    """Every statement that must hold for the demo to succeed."""
    pictures = [picture for several in run.pictures.values() for picture in several]
    genuine = sum(picture.is_genuine for picture in pictures)
    succeeded = [item["generation"] for item in run.items if item["status"] == "succeeded"]
    asked = sum(
        generation["request"]["count"]
        for generation in [*(each for _, each in run.singles), *succeeded]
    )
    entries = run.entries()
    return [
        Check(run.single["status"] == "succeeded", f"the single image {run.single['status']}"),
        Check(
            run.approved["status"] == "succeeded",
            f"the image over budget {run.approved['status']} once it was approved",
        ),
        check_fallback(run.routed),
        check_rows(run.batch["rows"], EXPECTED_ROWS),
        Check(
            genuine == len(pictures) == asked,
            f"{genuine} of {asked} pictures downloaded with the SHA-256 on record",
        ),
        check_receipt(run.receipt, run.batch),
        *check_budget(
            run.budget_before, run.budget_after, sum(entry["amount_micros"] for entry in entries)
        ),
        check_invoices(provider_figures(entries, run.invoice_lines)),
    ]
