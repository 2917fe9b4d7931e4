"""Reconciliation cases: something about money that a person has to look at, and what they decided.

    open        nobody has decided
    adjusting   adjust was decided; its entry is being booked, under the id and in the partition
                that were fixed with the decision, so that it is booked once whatever is repeated
    closed      accepted as it is, or adjusted

A case's id says where it lies: it begins with a generation id (a department's partition) or with a
provider's name (the organisation's).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Literal

from shared.domain.budgets import Charge
from shared.domain.ids import Partition, partition_of
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.money import aud_micros
from shared.domain.predicates import equal

CASES: Final = "cases"  # in place of a period: the partition of an organisation's cases
REASON_CHARS_MAX: Final = 500
_REFERENCE_DIGITS: Final = 16  # of a hash: enough to tell the lines of one day apart

CaseKind = Literal[
    "outcome_unknown",  # nobody knew if the provider worked: the maximum was booked
    "cost_above_hold",  # the provider bills more than was held: the hold was booked
    "amount_differs",
    "billed_not_booked",
    "booked_not_billed",
    "unpriced",  # billed for something that no price row covers
    "drift",  # a model's day is off by more than the threshold
]
CaseStatus = Literal["open", "adjusting", "closed"]
Decision = Literal["accept", "adjust"]


@dataclass(frozen=True)
class Adjusting:
    """The entry that an adjust decision books: its partition and amounts never change again."""

    department_id: str
    period: str
    kind: Literal["reconciliation", "late"]
    amount_micros: int
    usd_micros: int


@dataclass(frozen=True)
class Ruling:
    """What was decided, by whom and why."""

    decision: Decision
    reason: str
    by: str
    role: str
    at: str
    adjusting: Adjusting | None = None


@dataclass(frozen=True)
class Case:
    """One case. Amounts are micro-USD except `booked_micros` (AUD); None: nobody knows."""

    case_id: str
    partition: Partition
    kind: CaseKind
    opened_at: str
    provider: str | None
    model: str | None = None
    day: str | None = None
    generation_id: str | None = None
    request_id: str | None = None
    job_id: str | None = None
    tenant_id: str | None = None
    charge: Charge | None = None
    billed_usd_micros: int | None = None
    booked_usd_micros: int | None = None
    booked_micros: int | None = None
    aud_per_usd_micros: int | None = None
    detail: str | None = None
    status: CaseStatus = "open"
    ruling: Ruling | None = None
    revision: int = 1

    @property
    def document_id(self) -> str:
        return f"case:{self.case_id}"

    @property
    def excess_usd_micros(self) -> int:
        """What the provider bills above what was booked; 0 if it is less or not known."""
        return max(0, (self.billed_usd_micros or 0) - (self.booked_usd_micros or 0))

    def learned(self, billed_usd_micros: int, request_id: str | None, day: str) -> "Case":
        """The next revision, once the provider's export says what it billed."""
        return replace(
            self,
            billed_usd_micros=billed_usd_micros,
            request_id=self.request_id or request_id,
            day=day,
            revision=self.revision + 1,
        )

    def ruled(self, status: CaseStatus, ruling: Ruling | None) -> "Case":
        """The next revision."""
        return replace(self, status=status, ruling=ruling, revision=self.revision + 1)


def organisation_cases(tenant_id: str) -> Partition:
    """The ledger partition of cases that no department's entry stands behind."""
    return Partition(f"organisation.{tenant_id}", CASES)


def generation_case_id(generation_id: str, kind: CaseKind) -> str:
    return f"{generation_id}:{kind}"


def settlement_case_id(generation_id: str) -> str:
    """Of the case that a settlement opens itself: there is at most one for each generation."""
    return generation_id


def organisation_case_id(provider: str, day: date, kind: CaseKind, reference: str) -> str:
    digest = hashlib.sha256(reference.encode()).hexdigest()[:_REFERENCE_DIGITS]
    return f"{provider}:{day:%Y%m%d}:{kind}:{digest}"


def partition_of_case(case_id: str, tenant_id: str) -> Partition:
    """Where a case lies, by its id alone."""
    return partition_of(case_id.partition(":")[0]) or organisation_cases(tenant_id)


def correction_of(case: Case, billed_usd_micros: int, aud_per_usd_micros: int) -> tuple[int, int]:
    """Micro-AUD and micro-USD, signed, that bring what is booked to what is billed."""
    booked_usd = case.booked_usd_micros or 0
    booked = case.booked_micros
    if booked is None:
        booked = aud_micros(booked_usd, aud_per_usd_micros)
    return (
        aud_micros(billed_usd_micros, aud_per_usd_micros) - booked,
        billed_usd_micros - booked_usd,
    )


def case_document(case: Case) -> Document:
    """The document of a new case, and the fields that a later revision replaces."""
    return {
        "id": case.document_id,
        "pk": case.partition.key,
        "type": "case",
        "kind": case.kind,
        "opened_at": case.opened_at,
        **_state(case),
    }


def case_operation(case: Case) -> Operation:
    """Write a case if its predecessor stands: revision 1 is created, n replaces n - 1."""
    if case.revision == 1:
        return Create(case_document(case))
    steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in _state(case).items())
    return Patch(case.document_id, steps, equal({"revision": case.revision - 1}))


def read_case(document: Mapping[str, Any]) -> Case:
    facts = dict(document["facts"])
    department_id, _, period = str(document["pk"]).partition("|")
    charge = facts.pop("charge")
    return Case(
        case_id=str(document["id"]).removeprefix("case:"),
        partition=Partition(department_id, period),
        kind=document["kind"],
        opened_at=document["opened_at"],
        charge=Charge(**charge) if charge else None,
        status=document["status"],
        ruling=_read_ruling(document["ruling"]),
        revision=int(document["revision"]),
        **facts,
    )


def _state(case: Case) -> dict[str, Any]:
    ruling = None
    if case.ruling is not None:
        adjusting = case.ruling.adjusting
        ruling = {**vars(case.ruling), "adjusting": vars(adjusting) if adjusting else None}
    return {
        "facts": {
            "provider": case.provider,
            "model": case.model,
            "day": case.day,
            "generation_id": case.generation_id,
            "request_id": case.request_id,
            "job_id": case.job_id,
            "tenant_id": case.tenant_id,
            "charge": vars(case.charge) if case.charge else None,
            "billed_usd_micros": case.billed_usd_micros,
            "booked_usd_micros": case.booked_usd_micros,
            "booked_micros": case.booked_micros,
            "aud_per_usd_micros": case.aud_per_usd_micros,
            "detail": case.detail,
        },
        "excess_usd_micros": case.excess_usd_micros,
        "open": case.status != "closed",
        "status": case.status,
        "ruling": ruling,
        "revision": case.revision,
    }


def _read_ruling(stored: Mapping[str, Any] | None) -> Ruling | None:
    if stored is None:
        return None
    adjusting = stored["adjusting"]
    return Ruling(**{**stored, "adjusting": Adjusting(**adjusting) if adjusting else None})
