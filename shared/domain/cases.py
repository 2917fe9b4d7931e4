"""Reconciliation cases: something about money that a person has to look at, and what they decided.

    open        nobody has decided; it learns what later exports say
    adjusting   adjust was decided; its entry is being booked, under the id and in the partition
                that were fixed with the decision, so that it is booked once whatever is repeated
    closed      accepted as it is, adjusted, or found to match after all

A case's id is its subject and a number. The subject says where it lies: a generation id (a
department's partition), or what begins with a provider's name (the organisation's). The first case
of a generation with an entry has no number; a settlement may have opened it, with the entry.
A fallback has the generation billed by several providers: those before the last one have cases of
their own, whose subject names the provider, so that no bill is taken for another's.
Another case is opened only when the one it follows is closed, in a transaction that says so: one
subject never has two cases to decide, and what a closed one booked is final.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final, Literal

from shared.domain.budgets import Charge
from shared.domain.ids import Partition, partition_of
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import equal, has_status

CASES: Final = "cases"  # in place of a period: the partition of an organisation's cases
REASON_CHARS_MAX: Final = 500
CASE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,120}")  # nothing that ends a document's path
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
Decision = Literal["accept", "adjust", "matched"]  # matched: by the system
CaseFilter = Literal["open", "closed", "all"]
_OF_SETTLEMENTS: Final[frozenset[CaseKind]] = frozenset({"outcome_unknown", "cost_above_hold"})
SUMS: Final[frozenset[CaseKind]] = frozenset({"drift", "unpriced"})  # of requests with their own


@dataclass(frozen=True)
class Adjusting:
    """The entry that an adjust decision books; only a period that was closed gives way to another.

    Amounts are signed; `billed_usd_micros` is what the provider bills in all, as it was decided.
    """

    adjustment_id: str
    charge: Charge
    period: str
    kind: Literal["reconciliation", "late"]
    amount_micros: int
    usd_micros: int
    billed_usd_micros: int

    @property
    def partition(self) -> Partition:
        return Partition(self.charge.department_id, self.period)


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
    refused: tuple[Adjusting, ...] = ()  # what a budget refused to book for this case
    follows: str | None = None  # the id of the case before, about the same
    revision: int = 1

    @property
    def document_id(self) -> str:
        return f"case:{self.case_id}"

    @property
    def subject(self) -> str:
        """What the case is about: its id without the number."""
        return self.case_id.rpartition(":")[0] or self.case_id

    @property
    def has_entry(self) -> bool:
        """Whether a generation's entry, with its rate, stands behind it."""
        return self.aud_per_usd_micros is not None

    @property
    def excess_usd_micros(self) -> int:
        """What the provider bills above what was booked; 0 if it is less or not known."""
        return max(0, (self.billed_usd_micros or 0) - (self.booked_usd_micros or 0))

    @property
    def matches(self) -> bool:
        """Whether the request behind it is booked as it is billed."""
        return self.kind not in SUMS and self.billed_usd_micros == self.booked_usd_micros

    def learned(self, found: "Case") -> "Case":
        """The next revision, once a later comparison says more; itself if that says the same."""
        told = replace(
            self,
            # How a settlement ended does not change; a comparison may turn out otherwise.
            kind=self.kind if self.kind in _OF_SETTLEMENTS else found.kind,
            day=found.day,
            request_id=self.request_id or found.request_id,
            job_id=self.job_id or found.job_id,
            tenant_id=self.tenant_id or found.tenant_id,
            charge=self.charge or found.charge,
            aud_per_usd_micros=self.aud_per_usd_micros or found.aud_per_usd_micros,
            billed_usd_micros=found.billed_usd_micros,
            booked_usd_micros=found.booked_usd_micros,
            booked_micros=found.booked_micros,
            detail=found.detail,
        )
        return self if told == self else replace(told, revision=self.revision + 1)

    def ruled(self, status: CaseStatus, ruling: Ruling) -> "Case":
        """The next revision."""
        return replace(self, status=status, ruling=ruling, revision=self.revision + 1)

    def refused_by_budget(self, adjusting: Adjusting) -> "Case":
        """The next revision, as it was before the decision; what was refused is remembered."""
        return replace(
            self,
            status="open",
            ruling=None,
            refused=tuple(dict.fromkeys((*self.refused, adjusting))),
            revision=self.revision + 1,
        )

    def closed(self, ruling: Ruling) -> "Case":
        """The next and last revision; it says who paid, and for which amount."""
        adjusting = ruling.adjusting
        made = self.ruled("closed", ruling)
        if adjusting is None:
            return made
        return replace(made, charge=adjusting.charge, billed_usd_micros=adjusting.billed_usd_micros)


@dataclass(frozen=True)
class CaseChain:
    """All cases of one subject, oldest first, and what was booked for them so far."""

    subject: str
    cases: tuple[Case, ...]
    corrections: tuple[Adjusting, ...]

    @property
    def last(self) -> Case | None:
        return self.cases[-1] if self.cases else None

    @property
    def payer(self) -> Charge | None:
        """Who paid for, or got back, what was corrected last."""
        return self.corrections[-1].charge if self.corrections else None

    @property
    def corrected_micros(self) -> int:
        return sum(each.amount_micros for each in self.corrections)

    @property
    def corrected_usd_micros(self) -> int:
        return sum(each.usd_micros for each in self.corrections)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing in what was read, and all but the last is final."""
        befores = [None, *(case.case_id for case in self.cases)]
        return all(
            case.follows == before for case, before in zip(self.cases, befores, strict=False)
        ) and all(case.status == "closed" for case in self.cases[:-1])

    def found(self, case: Case) -> Case:
        """What was found, as the next case: `case` has what its entry booked, without corrections.

        Sums of others have figures of their own.
        """
        case_id, last = numbered_case_id(self.subject, 1), self.last
        if last is not None:
            number = int(last.case_id.removeprefix(self.subject).removeprefix(":") or 0)
            case_id = numbered_case_id(self.subject, number + 1)
        elif case.has_entry and case.generation_id == self.subject:
            case_id = settlement_case_id(self.subject)
        case = replace(case, case_id=case_id, follows=last.case_id if last else None)
        if case.kind in SUMS:
            return case
        return replace(
            case,
            booked_usd_micros=(case.booked_usd_micros or 0) + self.corrected_usd_micros,
            booked_micros=(case.booked_micros or 0) + self.corrected_micros,
        )

    def says_nothing_new(self, found: Case) -> bool:
        """Whether no case is needed: it matches, or was decided just so, or names no amount."""
        if found.matches:
            return True
        if self.last is None:
            return False
        return found.billed_usd_micros in (None, self.last.billed_usd_micros)


def organisation_cases(tenant_id: str) -> Partition:
    """The ledger partition of cases that no department's entry stands behind."""
    return Partition(f"organisation.{tenant_id}", CASES)


def numbered_case_id(subject: str, number: int) -> str:
    """Of a case that reconciliation opens; numbers begin with 1."""
    return f"{subject}:{number}"


def generation_subject(generation_id: str, provider: str, last_provider: str) -> str:
    """What cases about a generation's bill at one provider are about."""
    return generation_id if provider == last_provider else f"{generation_id}:{provider}"


def settlement_case_id(generation_id: str) -> str:
    """Of the first case about a generation with an entry, which may come with that entry."""
    return generation_id


def organisation_subject(provider: str, day: date, kind: CaseKind, reference: str) -> str:
    """What a case of the organisation is about: something that a provider billed on a day."""
    digest = hashlib.sha256(reference.encode()).hexdigest()[:_REFERENCE_DIGITS]
    return f"{provider}:{day:%Y%m%d}:{kind}:{digest}"


def partition_of_case(case_id: str, tenant_id: str) -> Partition:
    """Where a case lies, by its id alone."""
    return partition_of(case_id.partition(":")[0]) or organisation_cases(tenant_id)


def case_document(case: Case) -> Document:
    """The document of a new case, and the fields that a later revision replaces."""
    return {
        "id": case.document_id,
        "pk": case.partition.key,
        "type": "case",
        "opened_at": case.opened_at,
        "follows": case.follows,
        **_state(case),
    }


def opening_operations(case: Case) -> list[Operation]:
    """Create a case, if the one that it follows is closed."""
    operations: list[Operation] = [Create(case_document(case))]
    if case.follows is not None:
        step = {"op": "set", "path": "/followed_by", "value": case.case_id}
        operations.append(Patch(f"case:{case.follows}", (step,), has_status("closed")))
    return operations


def changing_operation(case: Case) -> Operation:
    """Write revision n of a case in place of n - 1."""
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
        follows=document["follows"],
        refused=tuple(_read_adjusting(each) for each in document["refused"]),
        revision=int(document["revision"]),
        **facts,
    )


def _state(case: Case) -> dict[str, Any]:
    return {
        "kind": case.kind,
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
        "ruling": asdict(case.ruling) if case.ruling else None,
        "refused": [asdict(adjusting) for adjusting in case.refused],
        "revision": case.revision,
    }


def _read_ruling(stored: Mapping[str, Any] | None) -> Ruling | None:
    if stored is None:
        return None
    adjusting = stored["adjusting"]
    return Ruling(**{**stored, "adjusting": _read_adjusting(adjusting) if adjusting else None})


def _read_adjusting(stored: Mapping[str, Any]) -> Adjusting:
    return Adjusting(**{**stored, "charge": Charge(**stored["charge"])})
