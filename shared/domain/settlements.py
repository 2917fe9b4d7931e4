"""From an attempt's report to the entry in the ledger: pure, so that every path books alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from shared.domain.attempts import AttemptLine, AttemptReport, Course, Failure
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.cases import (
    Case,
    case_document,
    generation_subject,
    numbered_case_id,
    settlement_case_id,
)
from shared.domain.commitments import prompt_commitment
from shared.domain.fallbacks import billed_micros, held_micros, lines_of, status_of
from shared.domain.ledger import Cost, Document, GenerationStatus, Resolution, partition_for
from shared.domain.work import WorkItem
from shared.errors import InvariantBroken

SYSTEM_ACTOR = "system:orchestration"
OUTCOME_UNKNOWN = "outcome_unknown"
FEWER_PICTURES = "fewer_pictures"
_SENTENCES: Final[Mapping[Failure, str]] = {
    Failure.CONTENT_REJECTED: "The provider's content filter refused it; change the prompt.",
    Failure.INVALID_REQUEST: "The provider did not accept the request as it was.",
    Failure.AUTH_OR_CONFIG: "The provider did not accept our credentials; tell operations.",
    Failure.QUOTA_EXHAUSTED: "Our account at the provider is exhausted; tell operations.",
    Failure.RATE_LIMITED: "The provider has too much to do; try again later.",
    Failure.PROVIDER_BLOCKED: "The provider has blocked our account for now; tell operations.",
    Failure.TIMEOUT: "The provider did not answer in time.",
    Failure.TRANSIENT: "The provider failed for the moment; try again later.",
    Failure.MALFORMED: "The provider's answer held no usable picture.",
    Failure.CANCELED: "It was stopped before the provider was called; nothing was charged.",
    Failure.CUSTODY: "The picture was delivered but could not be kept; tell operations.",
}


def resolution_for(
    item: WorkItem, report: AttemptReport, closed_at: str, prompt_salt: str | None = None
) -> Resolution:
    """The one end of a generation; raises InvariantBroken for a report that is not final.

    With a salt (hex), the prompt is bound by a commitment in the audit event.
    """
    if report.ending not in ("delivered", "ended", "canceled"):
        raise InvariantBroken("Only a final report can be settled.")
    status = status_of(report)
    lines = lines_of(item, report)
    cost = _cost(lines)
    record = _closed_record(item, report, status, cost, closed_at)
    record["prompt_salt"] = prompt_salt
    record["lines"] = [line.model_dump(mode="json") for line in lines]
    event = _closed_event(item, report, status, cost, closed_at)
    bound = _bound(item, report, prompt_salt) | {"lines": _lines_in_audit(lines)}
    held = held_micros(item, Course(held_micros=report.held_micros))
    served = item.candidate(report.candidate)
    return Resolution(
        generation_id=item.generation_id,
        attempt=report.attempt,
        status=status,
        held_micros=held,
        cost=cost,
        model=served.model,
        provider=served.provider,
        closed_at=closed_at,
        event=replace(event, details={**event.details, **bound}),
        record=record,
        record_exists=record["batch_id"] is None,
        failure=report.failure,
        request_id=report.request_id,
        job_id=report.job_id,
        cases=_cases(item, report, lines, closed_at),
        list_usd_micros=_list_usd_micros(lines),
        saved_micros=_saved_micros(item, lines),
        lines=lines,
        raised_micros=held - item.quote.amount_micros,
    )


def unknown_record(item: WorkItem, report: AttemptReport, occurred_at: str) -> Document:
    """The generation record while nobody knows whether the provider worked."""
    return item.record() | {
        "status": "indeterminate",
        "unknown_since": occurred_at,
        "attempts": report.attempt,
        "warnings": list(item.warnings_of(report.candidate)),
        "failure": {
            "code": OUTCOME_UNKNOWN,
            "reason": report.reason,
            "detail": "It is not known whether the provider worked; the money stays reserved.",
            "categories": [],
        },
        "provider_refs": {"request_id": report.request_id, "job_id": report.job_id},
        **_served(item, report),
        "lines": [line.model_dump(mode="json") for line in report.lines],
    }


def unknown_event(item: WorkItem, report: AttemptReport, occurred_at: str) -> AuditEvent:
    return AuditEvent(
        action="generation.indeterminate",
        object_id=item.generation_id,
        actor=SYSTEM_ACTOR,
        actor_role="system",
        outcome="failure",
        occurred_at=occurred_at,
        correlation_id=item.correlation_id,
        reason=OUTCOME_UNKNOWN,
        details={
            "attempt": report.attempt,
            "model": item.candidate(report.candidate).model,
            "held_micros": held_micros(item, Course(held_micros=report.held_micros)),
        },
    )


def expired_report(item: WorkItem, unknown: AttemptReport) -> AttemptReport:
    """Past the horizon an unknown outcome is booked at the maximum and opens a case.

    What attempts before it were billed stays booked beside it.
    """
    return AttemptReport(
        generation_id=item.generation_id,
        attempt=unknown.attempt,
        candidate=unknown.candidate,
        lines=unknown.lines,
        held_micros=unknown.held_micros,
        ending="ended",
        failure=Failure.TIMEOUT,
        reason=OUTCOME_UNKNOWN,
        usd_micros=item.quote_of(unknown.candidate).usd_micros,
        estimated=True,
    )


def _sentence(report: AttemptReport) -> str | None:
    """What a person is told; a failure that has no words of its own keeps its reason."""
    if report.ending == "canceled" and billed_micros(report.lines):
        return "It was stopped; attempts before that were charged."
    if report.reason == OUTCOME_UNKNOWN:
        return "It is not known whether the provider worked; the maximum was booked, with a case."
    return _SENTENCES[report.failure] if report.failure else report.reason


def _cost(lines: Sequence[AttemptLine]) -> Cost:
    return Cost(
        amount_micros=billed_micros(lines),
        usd_micros=sum(line.usd_micros for line in lines),
        estimated=any(line.estimated for line in lines),
    )


def _cases(
    item: WorkItem, report: AttemptReport, lines: Sequence[AttemptLine], closed_at: str
) -> tuple[Document, ...]:
    """The cases that open with a settlement: one for each provider whose bill calls for one.

    Neither what exceeds a quote nor the maximum for an unknown end is ever booked silently.
    """
    last = lines[-1].provider
    cases = []
    for provider in dict.fromkeys(line.provider for line in lines):
        own = [line for line in lines if line.provider == provider]  # as its export names them
        is_unknown = report.reason == OUTCOME_UNKNOWN and provider == last
        if is_unknown or any(line.excess_usd_micros for line in own):
            subject = generation_subject(item.generation_id, provider, last)
            cases.append(_case(item, own, subject, closed_at, is_unknown=is_unknown))
    return tuple(cases)


def _case(
    item: WorkItem, own: Sequence[AttemptLine], subject: str, closed_at: str, *, is_unknown: bool
) -> Document:
    """The case about one provider's lines; what it billed may not be known yet."""
    above = next((line for line in own if line.excess_usd_micros), None)
    line = above or own[-1]
    booked_usd = sum(each.usd_micros for each in own)
    billed_usd = booked_usd + sum(each.excess_usd_micros for each in own)
    is_last = subject == item.generation_id
    case = Case(
        case_id=settlement_case_id(subject) if is_last else numbered_case_id(subject, 1),
        partition=partition_for(item.generation_id),
        kind="cost_above_hold" if above else "outcome_unknown",
        opened_at=closed_at,
        provider=line.provider,
        model=line.model,
        generation_id=item.generation_id,
        request_id=line.request_id,
        job_id=line.job_id,
        tenant_id=item.owner.tenant_id,
        charge=item.charge,
        billed_usd_micros=None if is_unknown else billed_usd,
        booked_usd_micros=booked_usd,
        booked_micros=billed_micros(own),
        aud_per_usd_micros=item.quote.aud_per_usd_micros,
    )
    return case_document(case)


def _list_usd_micros(lines: Sequence[AttemptLine]) -> int:
    """The sum without the discount of the paths that the attempts took."""
    return sum(
        line.usd_micros if line.list_usd_micros is None else line.list_usd_micros for line in lines
    )


def _saved_micros(item: WorkItem, lines: Sequence[AttemptLine]) -> int:
    """Micro-AUD that the same work would have cost more on the synchronous path."""
    return sum(
        max(0, item.quote.settled_micros(line.list_usd_micros) - line.amount_micros)
        for line in lines
        if line.list_usd_micros is not None
    )


def _served(item: WorkItem, report: AttemptReport) -> dict[str, str]:
    """Who was asked last."""
    candidate = item.candidate(report.candidate)
    return {"model": candidate.model, "provider": candidate.provider}


def _lines_in_audit(lines: Sequence[AttemptLine]) -> str:
    """Attempt, model, end and micro-AUD of every line."""
    return ",".join(
        f"{each.attempt}:{each.model}:{each.failure or each.status}:{each.amount_micros}"
        for each in lines
    )


def _closed_record(
    item: WorkItem, report: AttemptReport, status: GenerationStatus, cost: Cost, closed_at: str
) -> Document:
    failure = None
    if status != "succeeded":
        failure = {
            "code": report.failure or status,
            "reason": report.reason,
            "detail": _sentence(report),
            "categories": list(report.categories),
        }
    return item.record() | {
        "status": status,
        "cost": vars(cost),
        "failure": failure,
        "images": [image.model_dump(mode="json") for image in report.images],
        "warnings": _warnings(item, report),
        "usage": report.metered.model_dump(mode="json") if report.metered else None,
        "attempts": report.attempt,
        "completed_at": closed_at,
        "provider_refs": {
            "request_id": report.request_id,
            "job_id": report.job_id,
            "model_version": report.model_version,
            "moderation": report.moderation.model_dump(mode="json") if report.moderation else None,
        },
        **_served(item, report),
    }


def _warnings(item: WorkItem, report: AttemptReport) -> list[str]:
    """What came otherwise than asked, of the model that was asked last."""
    is_short = 0 < len(report.images) < item.request.count
    known = item.warnings_of(report.candidate)
    return [*known, *report.warnings, *([FEWER_PICTURES] if is_short else [])]


def _bound(item: WorkItem, report: AttemptReport, salt: str | None) -> dict[str, str | None]:
    """What the log binds beside the figures: approvals, prompt, pictures, the provider's ids."""
    commitment = None
    if salt is not None:
        commitment = prompt_commitment(salt, item.request.prompt, item.request.negative_prompt)
    return {
        "prompt_commitment": commitment,
        "images_sha256": ",".join(image.sha256 for image in report.images),
        "images_form": ",".join(
            f"{image.index}:{image.size_bytes}:{image.content_type}" for image in report.images
        ),
        "approvals": None if item.approvals is None else ",".join(item.approvals),
        "request_id": report.request_id,
        "job_id": report.job_id,
    }


def _closed_event(
    item: WorkItem, report: AttemptReport, status: GenerationStatus, cost: Cost, closed_at: str
) -> AuditEvent:
    outcome: Outcome = "success" if status in ("succeeded", "canceled") else "failure"
    return AuditEvent(
        action="generation.closed",
        object_id=item.generation_id,
        actor=SYSTEM_ACTOR,
        actor_role="system",
        outcome=outcome,
        occurred_at=closed_at,
        correlation_id=item.correlation_id,
        reason=report.failure,
        details={
            "status": status,
            "attempt": report.attempt,
            **_served(item, report),
            "amount_micros": cost.amount_micros,
            "usd_micros": cost.usd_micros,
            "estimated": cost.estimated,
            "price_version": item.quote.price_version,
            "exchange_rate_version": item.quote.exchange_rate_version,
            "images": len(report.images),
            "sha256": report.images[0].sha256 if report.images else None,
        },
    )
