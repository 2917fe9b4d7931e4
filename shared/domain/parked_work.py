"""Work that waits for money: admitted without a hold, until somebody approves or a period starts.

Its id is taken by a document at the place of its hold (`h:{operation}`), so that a repeat of the
same request meets it whichever way the first one went: reserved, waiting for an approval, or moved
to the next period. Such a document reserves nothing; `unpark_operations` makes it a hold, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared.domain.budgets import Budget, Scope
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import (
    Document,
    Hold,
    Operation,
    Patch,
    Reservation,
    batch_document_id,
    generation_document_id,
    hold_document,
    hold_id,
    partition_for,
    read_hold,
)
from shared.domain.limit_changes import raise_limit
from shared.domain.predicates import Sum, compare, every, has_status, takes_holds
from shared.errors import InvariantBroken

OperationKind = Literal["generation", "batch"]
WaitingStatus = Literal["awaiting_approval", "deferred"]

WAITING: Final = frozenset({"awaiting_approval", "deferred"})
_STARTED: Final[Mapping[OperationKind, str]] = {"generation": "queued", "batch": "running"}


@dataclass(frozen=True)
class Parked:
    """A reservation that waits: what will be held, its record, and which kind of work it is."""

    kind: OperationKind
    hold: Hold
    record: Document

    @property
    def operation_id(self) -> str:
        return self.hold.operation_id

    @property
    def partition(self) -> Partition:
        return partition_for(self.operation_id)


@dataclass(frozen=True)
class Move:
    """A request that goes on in the next period under another id; `parked` is what waits there."""

    operation_id: str
    parked: Parked
    due: str  # ISO 8601: when that period starts

    @property
    def partition(self) -> Partition:
        return partition_for(self.operation_id)


def parked(
    kind: OperationKind, reservation: Reservation, status: WaitingStatus, due: str | None
) -> Parked:
    """A reservation that was refused, as it waits; its record says for what, and until when."""
    record = reservation.record | {"status": status, "starts_at": due}
    return Parked(kind, reservation.hold, record)


def moved_id(operation: str, following: Partition) -> str:
    """The id of a request in the next period; the same request always gets the same one."""
    return operation_id(following, "deferred", operation)


def record_id(kind: OperationKind, operation: str) -> str:
    return (
        generation_document_id(operation) if kind == "generation" else batch_document_id(operation)
    )


def parked_document(work: Parked) -> Document:
    """What stands in the place of a hold: nothing is reserved, no row is open."""
    return _place_of(work.hold) | {
        "type": "parked_hold",
        "kind": work.kind,
        "status": "parked",
        "waits_for": work.record["status"],
    }


def move_document(move: Move) -> Document:
    """What stands in the place of the hold in the period that could not pay, and where it went."""
    here = replace(move.parked.hold, operation_id=move.operation_id)
    return _place_of(here) | {
        "type": "moved_hold",
        "status": "moved",
        "moved_to": move.parked.operation_id,
        "due": move.due,
        "kind": move.parked.kind,
        "record": move.parked.record,
    }


def read_move(document: Mapping[str, Any]) -> Move:
    there = replace(read_hold(document), operation_id=document["moved_to"])
    work = Parked(document["kind"], there, dict(document["record"]))
    return Move(document["operation_id"], work, document["due"])


def unpark_operations(
    work: Parked, raised: Mapping[Scope, Budget], started_at: str, changes: Mapping[str, Any]
) -> list[Operation]:
    """Reserve for work that waited: operation 0 makes its place a hold, then one per scope.

    The limits of `raised` rise by exactly what is reserved, and the hold names them, so that its
    settlement takes the rest back; all others must cover it (I1). The record leaves its waiting
    status and takes `changes`.
    """
    hold = work.hold
    amount = hold.amount_micros
    if amount <= 0 or hold.rows < 1 or not set(raised) <= set(hold.scopes):
        raise InvariantBroken("Work that waited must reserve something from its own budgets.")
    committed = Sum(("reserved_micros", "spent_micros"), constant=amount)
    fits = every(compare(committed, "<=", Sum(("ceiling_micros",))), takes_holds())
    step = {"op": "incr", "path": "/reserved_micros", "value": amount}
    lifted = [s for s in hold.scopes if s in raised and raised[s].mode != "warn"]
    budgets = [
        raise_limit(raised[scope], amount, reserved_micros=amount)
        if scope in lifted
        else Patch(scope.document_id, (step,), fits)
        for scope in hold.scopes
    ]
    opened = {
        "type": "hold",
        "status": "open",
        "amount_micros": amount,
        "usd_micros": hold.usd_micros,
        "remaining_micros": amount,
        "rows": hold.rows,
        "open_rows": hold.rows,
        "raised": [{"kind": s.kind, "scope_id": s.scope_id} for s in lifted],
        "created_at": started_at,
    }
    record = {"status": _STARTED[work.kind], **changes}
    return [
        Patch(hold_id(work.operation_id), sets(opened), has_status("parked")),
        *budgets,
        Patch(record_id(work.kind, work.operation_id), sets(record)),
    ]


def place_freed_operations(work: Parked, record: Mapping[str, Any]) -> list[Operation]:
    """End work that waits without reserving: its id stays taken, its record says how it ended."""
    closed = {"status": "closed"}
    return [
        Patch(hold_id(work.operation_id), sets(closed), has_status("parked")),
        Patch(record_id(work.kind, work.operation_id), sets(record)),
    ]


def ended_record(
    kind: OperationKind, code: str, detail: str, ended_at: str, *, canceled: bool = False
) -> dict[str, Any]:
    """How the record of work that never started looks at its end; nothing was charged."""
    ended: dict[str, Any] = {"completed_at": ended_at, "starts_at": None}
    if kind == "generation":
        failure: dict[str, Any] = {"code": code, "reason": None, "detail": detail, "categories": []}
        return ended | {"status": "canceled" if canceled else "failed", "failure": failure}
    problem = {"code": code, "detail": detail, "errors": []}
    return ended | {"status": "canceled" if canceled else "rejected", "problem": problem}


def sets(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Steps of a patch that set fields."""
    return tuple({"op": "set", "path": f"/{name}", "value": v} for name, v in values.items())


def _place_of(hold: Hold) -> Document:
    """The hold's own document with nothing reserved and no row open."""
    return hold_document(partition_for(hold.operation_id), hold) | {
        "remaining_micros": 0,
        "open_rows": 0,
    }
