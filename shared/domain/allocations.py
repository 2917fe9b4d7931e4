"""Allocations as data: how money moves between an organisation's cap and its departments.

No transaction spans partitions, so a transfer is a few transactions in a fixed order: its document
and the cap stand in the organisation's partition, an entry ("leg") in each department's.

    ask     create the transfer; if the organisation pays, `incr allocated` of the cap (it fits)
    take    create the source's leg, `incr allocated -amount` (what is promised stays covered)
    give    create the target's leg, `incr allocated +amount`
    finish  mark the transfer; if the organisation is paid, `incr allocated -amount` of the cap

Taking comes first and giving last, so whatever prefix was carried out:

A1  ceiling <= allocated and reserved + spent <= allocated of every department under the cap.
A2  the allocated of all departments add up to no more than the allocated of the cap.
A4  allocated of a department is the sum of its legs.   A5  of the cap: of its transfers.

A leg is created once, by whoever comes first: with the amount, or void, which refuses it for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import CURRENCY, Budget, Scope, ceiling_of
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.money import checked_micros
from shared.domain.organisation_policies import CAP_ID, cap_partition
from shared.domain.predicates import (
    Sum,
    at_least,
    compare,
    equal,
    every,
    has_no,
    has_status,
)
from shared.errors import InvariantBroken

TransferKind = Literal["open", "adopt", "allocate", "return", "move", "release"]
OpenStatus = Literal["asked", "granted"]
EndStatus = Literal["done", "refused", "returned"]
LegKind = Literal["taken", "given", "void"]
OPEN_STATUSES: Final = ("asked", "granted")
_FAILURES: Final = ("refused", "returned", "take_refused", "give_refused")


@dataclass(frozen=True)
class Cut:
    """How a release lowers the limit of a period that has ended, so that the rest can go."""

    limit_before_micros: int
    limit_after_micros: int


@dataclass(frozen=True)
class Transfer:
    """One movement of allocation; no source or no target means the organisation itself.

    `asked`: the source has not given yet. `granted`: the cap has been charged. `done`, `refused`
    (the source could not give) and `returned` (the target could not take; the organisation has
    the amount) are ends.
    """

    transfer_id: str
    tenant_id: str
    period: str  # of the organisation's calendar
    kind: TransferKind
    amount_micros: int
    source: Partition | None
    target: Partition | None
    reason: str | None
    actor: str
    actor_role: str
    correlation_id: str
    request_hash: str
    created_at: str
    status: OpenStatus | EndStatus = "asked"
    completed_at: str | None = None
    cut: Cut | None = None  # of a release
    opened_micros: int | None = None  # of an adoption: what was given before the budget was capped

    @property
    def partition(self) -> Partition:
        return cap_partition(self.tenant_id, self.period)

    @property
    def document_id(self) -> str:
        return f"t:{self.transfer_id}"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES


@dataclass(frozen=True)
class Leg:
    """A department's entry of one transfer; its signed amount is what `allocated` changed by."""

    kind: LegKind
    amount_micros: int


def asked(transfer: Transfer) -> Transfer:
    """A transfer as it is first recorded; what the organisation pays is granted at once."""
    checked_micros(transfer.amount_micros, "amount_micros")
    if transfer.amount_micros == 0 and transfer.kind not in ("open", "adopt"):
        raise InvariantBroken("A transfer moves something.")
    if transfer.source == transfer.target:  # also when both are the organisation
        raise InvariantBroken("A transfer has two different ends.")
    return replace(transfer, status="asked" if transfer.source else "granted")


def ask_operations(transfer: Transfer) -> list[Operation]:
    """Record a transfer: operation 0 is its document, operation 1 the cap, if it is charged."""
    charged: list[Operation] = []
    if transfer.source is None and transfer.amount_micros > 0:
        amount = transfer.amount_micros
        fits = compare(Sum(("allocated_micros",), amount), "<=", Sum(("limit_micros",)))
        charged = [Patch(CAP_ID, (_incr(amount),), fits)]
    return [
        Create(_transfer_document(transfer)),
        *charged,
        _event(transfer, transfer.partition, transfer.status, transfer.created_at),
    ]


def take_operations(transfer: Transfer, at: str) -> list[Operation]:
    """Take the amount out of the source: operation 0 is its leg, operation 1 its budget."""
    source, amount = _side(transfer.source), transfer.amount_micros
    return [
        Create(_leg_document(transfer, source, Leg("taken", -amount), at)),
        _release_patch(transfer, transfer.cut) if transfer.cut else _take_patch(transfer),
        _event(transfer, source, "taken", at),
    ]


def give_operations(transfer: Transfer, at: str) -> list[Operation]:
    """Give the amount to the target: operation 0 is its leg, operation 1 its budget.

    The leg that opens a period stands before the budget, which is then created with that amount.
    """
    target, amount = _side(transfer.target), transfer.amount_micros
    budget: list[Operation] = []
    if transfer.opened_micros is not None:
        budget = [_adopt_patch(target, transfer.opened_micros + amount)]
    elif transfer.kind != "open":
        is_capped = at_least({"allocated_micros": 0})
        budget = [Patch(_budget_id(target), (_incr(amount),), is_capped)]
    return [
        Create(_leg_document(transfer, target, Leg("given", amount), at)),
        *budget,
        _event(transfer, target, "given", at),
    ]


def void_operations(transfer: Transfer, side: Partition, at: str) -> list[Operation]:
    """Refuse a leg for ever, so that a late request cannot carry it out after all."""
    action = "take_refused" if side == transfer.source else "give_refused"
    return [
        Create(_leg_document(transfer, side, Leg("void", 0), at)),
        _event(transfer, side, action, at),
    ]


def finish_operations(transfer: Transfer, status: EndStatus, at: str) -> list[Operation]:
    """Mark a transfer as ended, once; what no department has is the organisation's again."""
    patches = (
        {"op": "set", "path": "/status", "value": status},
        {"op": "set", "path": "/completed_at", "value": at},
        {"op": "set", "path": "/applied_micros", "value": applied_micros(transfer, status)},
    )
    standing: OpenStatus = "asked" if transfer.source else "granted"
    operations: list[Operation] = [Patch(transfer.document_id, patches, has_status(standing))]
    back = applied_micros(transfer, standing) - applied_micros(transfer, status)
    if back > 0:
        operations.append(Patch(CAP_ID, (_incr(-back),), at_least({"allocated_micros": back})))
    return [*operations, _event(transfer, transfer.partition, status, at)]


def applied_micros(transfer: Transfer, status: OpenStatus | EndStatus) -> int:
    """By how much a transfer has changed `allocated` of the cap, in a status (A5)."""
    if status in ("asked", "refused"):
        return 0
    before = 0 if transfer.source else transfer.amount_micros
    is_paid_back = status == "returned" or (status == "done" and transfer.target is None)
    return before - transfer.amount_micros if is_paid_back else before


def wanted_micros(budget: Budget) -> int:
    """What a department needs allocated; under a cap, one that only warns is held to its limit."""
    return checked_micros(budget.limit_micros + budget.overdraft_micros, "wanted_micros")


def under_cap(budget: Budget, allocated_micros: int) -> Budget:
    """A department's budget, before it is created, cut to what was allocated (A1)."""
    overdraft = min(budget.overdraft_micros, allocated_micros)
    limit = min(budget.limit_micros, allocated_micros - overdraft)
    mode = "hard" if budget.mode == "warn" else budget.mode
    ceiling = ceiling_of(mode, limit, overdraft)
    return replace(
        budget,
        mode=mode,
        limit_micros=limit,
        overdraft_micros=overdraft,
        base_micros=min(budget.base_micros, limit),
        ceiling_micros=ceiling,
        high_micros=ceiling,
        allocated_micros=allocated_micros,
    )


def read_transfer(document: Mapping[str, Any]) -> Transfer:
    cut, opened = document["cut"], document["opened_micros"]
    return Transfer(
        transfer_id=document["transfer_id"],
        tenant_id=document["tenant_id"],
        period=document["period"],
        kind=document["kind"],
        amount_micros=checked_micros(int(document["amount_micros"]), "amount_micros"),
        source=_read_side(document["source"]),
        target=_read_side(document["target"]),
        reason=document["reason"],
        actor=document["actor"],
        actor_role=document["actor_role"],
        correlation_id=document["correlation_id"],
        request_hash=document["request_hash"],
        created_at=document["created_at"],
        status=document["status"],
        completed_at=document["completed_at"],
        cut=Cut(**{name: int(value) for name, value in cut.items()}) if cut else None,
        opened_micros=None if opened is None else int(opened),
    )


def read_leg(document: Mapping[str, Any]) -> Leg:
    return Leg(document["kind"], int(document["amount_micros"]))


def _transfer_document(transfer: Transfer) -> Document:
    return {
        "id": transfer.document_id,
        "pk": transfer.partition.key,
        "type": "transfer",
        "transfer_id": transfer.transfer_id,
        "tenant_id": transfer.tenant_id,
        "period": transfer.period,
        "kind": transfer.kind,
        "currency": CURRENCY,
        "amount_micros": transfer.amount_micros,
        "applied_micros": applied_micros(transfer, transfer.status),
        "source": vars(transfer.source) if transfer.source else None,
        "target": vars(transfer.target) if transfer.target else None,
        "cut": vars(transfer.cut) if transfer.cut else None,
        "opened_micros": transfer.opened_micros,
        "status": transfer.status,
        "reason": transfer.reason,
        "actor": transfer.actor,
        "actor_role": transfer.actor_role,
        "correlation_id": transfer.correlation_id,
        "request_hash": transfer.request_hash,
        "created_at": transfer.created_at,
        "completed_at": None,
    }


def _leg_document(transfer: Transfer, side: Partition, leg: Leg, at: str) -> Document:
    return {
        "id": transfer.document_id,
        "pk": side.key,
        "type": "leg",
        "transfer_id": transfer.transfer_id,
        "organisation": transfer.partition.key,
        "kind": leg.kind,
        "amount_micros": leg.amount_micros,
        "booked_at": at,
    }


def _take_patch(transfer: Transfer) -> Patch:
    """What the limit promises and what is committed stay covered (A1)."""
    source, amount = _side(transfer.source), transfer.amount_micros
    allocated = Sum(("allocated_micros",))
    covered = every(
        compare(Sum(("ceiling_micros",), amount), "<=", allocated),
        compare(Sum(("reserved_micros", "spent_micros"), amount), "<=", allocated),
    )
    return Patch(_budget_id(source), (_incr(-amount),), covered)


def _release_patch(transfer: Transfer, cut: Cut) -> Patch:
    """Take out of a period that has ended: its limit comes down to what is committed."""
    source, amount = _side(transfer.source), transfer.amount_micros
    allocated = Sum(("allocated_micros",))
    covered = every(
        compare(Sum(("reserved_micros", "spent_micros"), amount), "<=", allocated),
        compare(Sum((), amount + cut.limit_after_micros), "<=", allocated),
        equal({"limit_micros": cut.limit_before_micros}),
    )
    steps = (
        _incr(-amount),
        {"op": "set", "path": "/limit_micros", "value": cut.limit_after_micros},
        {"op": "set", "path": "/overdraft_micros", "value": 0},
        {"op": "set", "path": "/ceiling_micros", "value": cut.limit_after_micros},
    )
    return Patch(_budget_id(source), steps, covered)


def _adopt_patch(target: Partition, allocated_micros: int) -> Patch:
    """Bring a budget that was opened without a cap under it, with all that was given to it."""
    covered = every(
        has_no("allocated_micros"),
        compare(Sum(("ceiling_micros",)), "<=", Sum((), allocated_micros)),
        compare(Sum(("reserved_micros", "spent_micros")), "<=", Sum((), allocated_micros)),
    )
    step = {"op": "set", "path": "/allocated_micros", "value": allocated_micros}
    return Patch(_budget_id(target), (step,), covered)


def _event(transfer: Transfer, partition: Partition, action: str, at: str) -> Create:
    cut = vars(transfer.cut) if transfer.cut else {}
    event = AuditEvent(
        action=f"allocation.{action}",
        object_id=transfer.transfer_id,
        actor=transfer.actor,
        actor_role=transfer.actor_role,
        outcome="failure" if action in _FAILURES else "success",
        occurred_at=at,
        correlation_id=transfer.correlation_id,
        reason=transfer.reason,
        details={
            "kind": transfer.kind,
            "amount_micros": transfer.amount_micros,
            "from": transfer.source.key if transfer.source else None,
            "to": transfer.target.key if transfer.target else None,
            **cut,
        },
    )
    return Create(outbox_document(partition, event))


def _side(side: Partition | None) -> Partition:
    if side is None:
        raise InvariantBroken("This side of the transfer is the organisation.")
    return side


def _read_side(value: Mapping[str, str] | None) -> Partition | None:
    return Partition(**value) if value else None


def _budget_id(side: Partition) -> str:
    return Scope("department", side.department_id).document_id


def _incr(value: int) -> Mapping[str, Any]:
    return {"op": "incr", "path": "/allocated_micros", "value": value}
