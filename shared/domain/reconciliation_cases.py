"""From a comparison to the cases it opens, and to the models it stops. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from shared.domain.budgets import Charge
from shared.domain.cases import (
    Case,
    CaseKind,
    generation_case_id,
    organisation_case_id,
    organisation_cases,
)
from shared.domain.ids import partition_of
from shared.domain.ledger import Document
from shared.domain.reconciliation import (
    BookedEntry,
    Comparison,
    Item,
    ModelFigures,
    Unpriced,
    drifts,
)

_OPENS: Final[Mapping[str, CaseKind]] = {
    "amount_differs": "amount_differs",
    "billed_not_booked": "billed_not_booked",
    "booked_not_billed": "booked_not_billed",
}


@dataclass(frozen=True)
class Finding:
    """A case to open, and the model that must stop with it, if any."""

    case: Case
    quarantine: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Books:
    """What the ledger knows of the generations compared: resolutions and what corrected them."""

    resolutions: Mapping[str, Document]
    corrected_usd_micros: Mapping[str, int]
    corrected_micros: Mapping[str, int]

    def entries(self) -> list[BookedEntry]:
        """The ledger's side of a comparison."""
        return [
            BookedEntry(
                generation_id=generation_id,
                provider=document["provider"],
                model=document["model"],
                day=date.fromisoformat(document["closed_at"][:10]),
                usd_micros=document["usd_micros"] + self.corrected_usd_micros.get(generation_id, 0),
                estimated=document["estimated"],
                request_id=document["request_id"],
                job_id=document["job_id"],
            )
            for generation_id, document in self.resolutions.items()
        ]


@dataclass(frozen=True)
class FindingTerms:
    """Where findings of a run go and from which drift on a model is stopped."""

    tenant_id: str
    departments: frozenset[str]  # those that exist; an export may name any
    drift_bp_max: int
    opened_at: str


def findings(comparison: Comparison, books: Books, terms: FindingTerms) -> Iterator[Finding]:
    """Every case that a comparison calls for, in a fixed order."""
    for item in comparison.items:
        kind = _OPENS.get(item.standing)
        if kind is not None:
            yield Finding(_item_case(comparison, item, kind, books, terms))
    for unpriced in comparison.unpriced:
        yield _unpriced_finding(comparison, unpriced, terms)
    for figures in comparison.models:
        if drifts(figures, terms.drift_bp_max):
            yield _drift_finding(comparison, figures, terms)


def _item_case(
    comparison: Comparison,
    item: Item,
    kind: CaseKind,
    books: Books,
    terms: FindingTerms,
) -> Case:
    partition = partition_of(item.generation_id or "")
    if (
        item.generation_id is None
        or partition is None
        or partition.department_id not in terms.departments
    ):
        case_id = organisation_case_id(comparison.provider, comparison.day, kind, item.key)
        partition = organisation_cases(terms.tenant_id)
    else:
        case_id = generation_case_id(item.generation_id, kind)
    entry = books.resolutions.get(item.generation_id or "")
    return Case(
        case_id=case_id,
        partition=partition,
        kind=kind,
        opened_at=terms.opened_at,
        provider=comparison.provider,
        model=item.model,
        day=comparison.day.isoformat(),
        generation_id=item.generation_id,
        request_id=item.request_id,
        job_id=item.job_id,
        billed_usd_micros=item.billed_usd_micros if item.is_billed_known else None,
        booked_usd_micros=item.booked_usd_micros,
        **(_charged(entry, books) if entry else {}),
    )


def _charged(entry: Document, books: Books) -> dict[str, Any]:
    """Who paid for an entry, and at which rate."""
    corrected = books.corrected_micros.get(entry["generation_id"], 0)
    return {
        "tenant_id": entry["tenant_id"],
        "charge": charge_of(entry),
        "booked_micros": entry["amount_micros"] + corrected,
        "aud_per_usd_micros": entry["aud_per_usd_micros"],
    }


def charge_of(document: Mapping[str, Any]) -> Charge:
    """Who is charged for a stored entry or record."""
    return Charge(
        department_id=document["department_id"],
        user_key=document["user_key"],
        project_id=document["project_id"],
        cost_centre_id=document["cost_centre_id"],
    )


def _unpriced_finding(comparison: Comparison, unpriced: Unpriced, terms: FindingTerms) -> Finding:
    reference = f"{unpriced.model}\x1f{unpriced.item}"
    case = _organisation_case(comparison, "unpriced", reference, unpriced.model, terms)
    detail = f"{unpriced.lines} lines for {unpriced.item}"
    return Finding(
        case=replace(case, detail=detail, billed_usd_micros=unpriced.usd_micros),
        quarantine=unpriced.model,
        reason=f"{comparison.provider} bills something that has no price row ({comparison.day}).",
    )


def _drift_finding(comparison: Comparison, figures: ModelFigures, terms: FindingTerms) -> Finding:
    case = _organisation_case(comparison, "drift", figures.model, figures.model, terms)
    detail = (
        f"{figures.drift_bp} basis points: {figures.drift_usd_micros:+d} micro-USD"
        f" on {figures.drift_basis}"
    )
    return Finding(
        case=replace(
            case,
            detail=detail,
            billed_usd_micros=figures.drift_basis + figures.drift_usd_micros,
            booked_usd_micros=figures.drift_basis,
        ),
        quarantine=figures.model,
        reason=f"What {comparison.provider} bills drifted by {figures.drift_bp} basis points"
        f" on {comparison.day}.",
    )


def _organisation_case(
    comparison: Comparison,
    kind: CaseKind,
    reference: str,
    model: str | None,
    terms: FindingTerms,
) -> Case:
    return Case(
        case_id=organisation_case_id(comparison.provider, comparison.day, kind, reference),
        partition=organisation_cases(terms.tenant_id),
        kind=kind,
        opened_at=terms.opened_at,
        provider=comparison.provider,
        model=model,
        day=comparison.day.isoformat(),
    )
