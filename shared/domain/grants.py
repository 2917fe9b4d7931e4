"""Grants: a temporary increase or an emergency override raises limits inside one period.

A grant is one document; creating it raises every named limit in the same transaction, ending it
takes the same amount back, once. The surcharge of an override is an entry of its own that stays,
and the limits keep the raise that paid for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from shared.domain.adjustments import Adjustment, adjust_operations
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import Budget, Charge, Scope
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch, partition_for
from shared.domain.limit_changes import lower_limit, raise_limit
from shared.domain.money import checked_micros
from shared.domain.predicates import has_status
from shared.errors import IdempotencyKeyReused, InvariantBroken

GRANT_MICROS_MAX: Final = 10**13  # ten million AUD: far below where a JSON double loses digits
GRANT_SCOPES_MAX: Final = 10  # budgets in one transaction; people name one or two
OVERRIDE_TIME_MAX: Final = timedelta(hours=72)
REASON_CHARS_MIN: Final = 10
REASON_CHARS_MAX: Final = 500

GrantKind = Literal["increase", "override"]
GrantStatus = Literal["active", "ended"]


@dataclass(frozen=True)
class Grant:
    """Money added to some limits of one department, until `ends_at`; times are ISO 8601 in UTC."""

    grant_id: str
    kind: GrantKind
    scopes: tuple[Scope, ...]
    amount_micros: int
    ends_at: str
    reason: str
    tenant_id: str
    granted_by: str
    created_at: str
    request_hash: str
    requested_by: str | None = None  # who asked for it, if the grantor says so
    surcharge_percent: int = 0
    surcharge_micros: int = 0
    status: GrantStatus = "active"
    ended_at: str | None = None
    ended_by: str | None = None

    @property
    def document_id(self) -> str:
        return grant_document_id(self.grant_id)

    @property
    def partition(self) -> Partition:
        return partition_for(self.grant_id)

    @property
    def raised_micros(self) -> int:
        """What each limit rises by: the surcharge takes nothing away from the amount."""
        return self.amount_micros + self.surcharge_micros

    @property
    def charge(self) -> Charge:
        """Who pays the surcharge: the department, and what the grant names inside it."""
        named = {scope.kind: scope.scope_id for scope in self.scopes}
        return Charge(
            self.partition.department_id,
            named.get("user"),
            named.get("project"),
            named.get("cost_centre"),
        )

    @property
    def touched(self) -> tuple[Scope, ...]:
        """Every budget that the grant changes; a surcharge is always charged to the department."""
        paying = self.charge.scopes() if self.surcharge_micros else ()
        return (*self.scopes, *(scope for scope in paying if scope not in self.scopes))


def grant_document_id(grant_id: str) -> str:
    return f"grant:{grant_id}"


def surcharge_micros(amount_micros: int, percent: int) -> int:
    """So many percent of an amount, rounded up to a whole micro."""
    return -(-checked_micros(amount_micros, "amount_micros") * percent // 100)


def check_same(standing: Grant, request_hash: str) -> None:
    """Raise IdempotencyKeyReused if a key stands for another grant."""
    if standing.request_hash != request_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for another grant; send a new key."
        )


def grant_operations(
    grant: Grant, budgets: Mapping[Scope, Budget], events: Sequence[AuditEvent]
) -> list[Operation]:
    """The transaction of a grant: operation 0 is the grant, then one per touched budget."""
    if not grant.scopes or not 0 < grant.amount_micros <= GRANT_MICROS_MAX:
        raise InvariantBroken("A grant raises at least one limit, and not without bound.")
    entry = adjust_operations(surcharge_of(grant, events[-1])) if grant.surcharge_micros else []
    patches = {scope: _raise(grant, budgets[scope]) for scope in grant.scopes}
    paid_elsewhere = [
        operation
        for operation in entry
        if isinstance(operation, Patch)
        and operation.item_id not in {scope.document_id for scope in grant.scopes}
    ]
    return [
        Create(grant_document(grant)),
        *patches.values(),
        *paid_elsewhere,
        *entry[:1],
        *(Create(outbox_document(grant.partition, event)) for event in events),
    ]


def surcharge_of(grant: Grant, event: AuditEvent) -> Adjustment:
    """The entry of an override's surcharge; no provider bills it, so its micro-USD are 0."""
    return Adjustment(
        adjustment_id=grant.grant_id,
        partition=grant.partition,
        kind="surcharge",
        amount_micros=grant.surcharge_micros,
        usd_micros=0,
        tenant_id=grant.tenant_id,
        charge=grant.charge,
        reason=grant.reason,
        actor=grant.granted_by,
        booked_at=grant.created_at,
        event=event,
    )


def end_operations(
    grant: Grant, budgets: Mapping[Scope, Budget], ended_at: str, ended_by: str, event: AuditEvent
) -> list[Operation]:
    """The transaction that takes a grant back: operation 0 closes it, so that it happens once."""
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": value}
        for name, value in (("status", "ended"), ("ended_at", ended_at), ("ended_by", ended_by))
    )
    return [
        Patch(grant.document_id, steps, has_status("active")),
        *(lower_limit(budgets[scope], grant.amount_micros) for scope in grant.scopes),
        Create(outbox_document(grant.partition, event)),
    ]


def grant_document(grant: Grant) -> Document:
    return {
        "id": grant.document_id,
        "pk": grant.partition.key,
        "type": "grant",
        "department_id": grant.partition.department_id,
        "period": grant.partition.period,
        **vars(grant),
        "scopes": [{"kind": s.kind, "scope_id": s.scope_id} for s in grant.scopes],
    }


def read_grant(document: Mapping[str, Any]) -> Grant:
    return Grant(
        grant_id=document["grant_id"],
        kind=document["kind"],
        scopes=tuple(Scope(s["kind"], s["scope_id"]) for s in document["scopes"]),
        amount_micros=checked_micros(int(document["amount_micros"]), "amount_micros"),
        ends_at=document["ends_at"],
        reason=document["reason"],
        tenant_id=document["tenant_id"],
        granted_by=document["granted_by"],
        created_at=document["created_at"],
        request_hash=document["request_hash"],
        requested_by=document["requested_by"],
        surcharge_percent=int(document["surcharge_percent"]),
        surcharge_micros=checked_micros(int(document["surcharge_micros"]), "surcharge_micros"),
        status=document["status"],
        ended_at=document["ended_at"],
        ended_by=document["ended_by"],
    )


def _raise(grant: Grant, budget: Budget) -> Patch:
    return raise_limit(budget, grant.raised_micros, spent_micros=grant.surcharge_micros)
