"""Attempt markers: leave to call a provider once, and the raise that the call may need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import Scope
from shared.domain.ids import operation_of
from shared.domain.ledger import (
    Create,
    Document,
    Operation,
    Patch,
    hold_id,
    partition_for,
    reserving,
)
from shared.domain.limit_steps import increments
from shared.domain.money import checked_micros
from shared.domain.predicates import at_least
from shared.errors import InvariantBroken

RAISED_BY: Final = "system:attempts"
MarkerOwner = Literal["worker", "canceller", "sweeper"]


@dataclass(frozen=True)
class AttemptMarker:
    """Leave to call the provider once. Whoever creates it decides; `holder` is one execution."""

    generation_id: str
    attempt: int
    owner: MarkerOwner
    holder: str
    created_at: str
    job_id: str | None = None
    outcome: Mapping[str, Any] | None = None
    candidate: int = 0  # of the route: who may be called
    raised_micros: int = 0  # committed with this marker, so that the hold covers the call
    held_micros: int | None = None  # for the generation from now on; None: what was reserved
    lines: tuple[Mapping[str, Any], ...] = ()  # of the attempts before this one
    correlation_id: str = ""  # of the request; the event of a raise names it

    @property
    def document_id(self) -> str:
        return f"a:{self.generation_id}:{self.attempt}"


def marker_document(marker: AttemptMarker) -> Document:
    return {
        "id": marker.document_id,
        "pk": partition_for(marker.generation_id).key,
        "type": "attempt",
        "generation_id": marker.generation_id,
        "attempt": marker.attempt,
        "owner": marker.owner,
        "holder": marker.holder,
        "created_at": marker.created_at,
        "job_id": marker.job_id,
        "outcome": dict(marker.outcome) if marker.outcome else None,
        "candidate": marker.candidate,
        "raised_micros": checked_micros(marker.raised_micros, "raised_micros"),
        "held_micros": marker.held_micros,
        "lines": [dict(line) for line in marker.lines],
        "correlation_id": marker.correlation_id,
    }


def read_marker(document: Mapping[str, Any]) -> AttemptMarker:
    return AttemptMarker(
        generation_id=document["generation_id"],
        attempt=document["attempt"],
        owner=document["owner"],
        holder=document["holder"],
        created_at=document["created_at"],
        job_id=document.get("job_id"),
        outcome=document.get("outcome"),
        candidate=document.get("candidate", 0),
        raised_micros=document.get("raised_micros", 0),
        held_micros=document.get("held_micros"),
        lines=tuple(document.get("lines", ())),
        correlation_id=document.get("correlation_id", ""),
    )


def raise_operations(marker: AttemptMarker, scopes: Sequence[Scope]) -> list[Operation]:
    """The transaction that begins an attempt for which more must be held: all of it or nothing.

    Operation 0 is the marker, 1 the hold, then one per scope under the predicate of a reservation,
    then the event.
    """
    amount = checked_micros(marker.raised_micros, "raised_micros")
    if amount == 0:
        raise InvariantBroken("A raise must raise something.")
    more = increments({"amount_micros": amount, "remaining_micros": amount})
    partition = partition_for(marker.generation_id)
    return [
        Create(marker_document(marker)),
        Patch(
            hold_id(operation_of(marker.generation_id)),
            more,
            at_least({"remaining_micros": 0, "open_rows": 1}),
        ),
        *reserving(amount, scopes),
        Create(outbox_document(partition, _raised_event(marker))),
    ]


def _raised_event(marker: AttemptMarker) -> AuditEvent:
    return AuditEvent(
        action=f"generation.raised.{marker.attempt}",
        object_id=marker.generation_id,
        actor=RAISED_BY,
        actor_role="system",
        outcome="success",
        occurred_at=marker.created_at,
        correlation_id=marker.correlation_id,
        details={
            "attempt": marker.attempt,
            "candidate": marker.candidate,
            "raised_micros": marker.raised_micros,
            "held_micros": marker.held_micros,
        },
    )
