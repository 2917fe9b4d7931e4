"""From a comparison to what its cases must say, and to the models it stops. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from shared.domain.budgets import Charge
from shared.domain.cases import (
    SUMS,
    Case,
    CaseKind,
    generation_subject,
    numbered_case_id,
    organisation_cases,
    organisation_subject,
)
from shared.domain.ids import Partition, partition_of
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
    """What the case about something must say, and the model that must stop with it, if any.

    The case is as if it were the first about its subject, and booked is what its entry booked.
    """

    case: Case
    quarantine: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Books:
    """What the ledger knows of the generations compared: resolutions and what corrected them.

    Each resolution is the provider's share of it: a fallback may have booked others as well.
    """

    resolutions: Mapping[str, Document]
    corrected_usd_micros: Mapping[str, int]

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
                references=tuple(document.get("references", ())),
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


def findings(
    comparison: Comparison, books: Books, known: Iterable[Case], terms: FindingTerms
) -> Iterator[Finding]:
    """Everything that a comparison says about cases, in a fixed order.

    `known` are the open cases of the provider, and all of its cases about this day: what matches
    by now, or is not billed any more, is told to them as well.
    """
    by_age = sorted(known, key=lambda case: (case.opened_at, case.case_id))
    standing = {case.subject: case for case in by_age}
    for item in comparison.items:
        subject, partition = _subject(comparison, item, books, terms)
        kind = _OPENS.get(item.standing)
        case = standing.pop(subject, None)
        if kind is None and case is not None and item.standing == "matched":
            kind = case.kind
        if kind is not None:
            yield Finding(_item_case(comparison, item, (subject, partition, kind), books, terms))
    for case in standing.values():
        if _has_vanished(case, comparison):
            yield Finding(_vanished(case, terms))
    for unpriced in comparison.unpriced:
        yield _unpriced_finding(comparison, unpriced, terms)
    for figures in comparison.models:
        if drifts(figures, terms.drift_bp_max):
            yield _drift_finding(comparison, figures, terms)


def _subject(
    comparison: Comparison, item: Item, books: Books, terms: FindingTerms
) -> tuple[str, Partition]:
    """What a case about an item is about, and where it lies."""
    partition = partition_of(item.generation_id or "")
    if (
        item.generation_id is None
        or partition is None
        or partition.department_id not in terms.departments
    ):
        subject = organisation_subject(
            comparison.provider, comparison.day, "billed_not_booked", item.key
        )
        return subject, organisation_cases(terms.tenant_id)
    entry = books.resolutions.get(item.generation_id)
    if entry is None:
        return item.generation_id, partition
    last_provider = entry["last_provider"]
    return generation_subject(item.generation_id, comparison.provider, last_provider), partition


def _item_case(
    comparison: Comparison,
    item: Item,
    about: tuple[str, Partition, CaseKind],
    books: Books,
    terms: FindingTerms,
) -> Case:
    subject, partition, kind = about
    entry = books.resolutions.get(item.generation_id or "")
    return Case(
        case_id=numbered_case_id(subject, 1),
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
        booked_usd_micros=entry["usd_micros"] if entry else 0,
        booked_micros=entry["amount_micros"] if entry else 0,
        **(_charged(entry) if entry else {}),
    )


def _charged(entry: Document) -> dict[str, Any]:
    """Who paid for an entry, and at which rate."""
    return {
        "tenant_id": entry["tenant_id"],
        "charge": charge_of(entry),
        "aud_per_usd_micros": entry["aud_per_usd_micros"],
    }


def _has_vanished(case: Case, comparison: Comparison) -> bool:
    """Whether a line without an entry stood in this day's export before, and does no more.

    What has an entry is on its entry's day now: that comparison speaks of it.
    """
    return case.kind not in SUMS and not case.has_entry and case.day == comparison.day.isoformat()


def _vanished(case: Case, terms: FindingTerms) -> Case:
    return replace(
        case,
        opened_at=terms.opened_at,
        billed_usd_micros=0,
        booked_usd_micros=0,
        booked_micros=0,
        status="open",
        ruling=None,
        refused=(),
        revision=1,
    )


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
    subject = organisation_subject(comparison.provider, comparison.day, kind, reference)
    return Case(
        case_id=numbered_case_id(subject, 1),
        partition=organisation_cases(terms.tenant_id),
        kind=kind,
        opened_at=terms.opened_at,
        provider=comparison.provider,
        model=model,
        day=comparison.day.isoformat(),
    )
