"""The ledger protocol as data: each step is one transaction, built here and committed elsewhere.

    reserve   create hold, patch every charged budget under a predicate, create record and event
    attempt   create the marker of attempt n before the provider is called
    resolve   create resolution, patch hold and budgets, write record and event
    unknown   write the record and the event; the hold stays as it is

A transaction is a list of operations on one partition that all happen or none. See docs/ledger.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.domain.attempts import AttemptLine, Failure
from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import Budget, Scope
from shared.domain.ids import Partition, partition_of, row_of
from shared.domain.limit_steps import settling
from shared.domain.money import checked_micros
from shared.domain.predicates import Sum, at_least, compare, every, has_status, takes_holds
from shared.errors import InvariantBroken

Document = dict[str, Any]
OPERATIONS_MAX = 100  # Cosmos DB: operations in one transactional batch
RESOLVE_ROWS_MAX = 20  # up to 5 operations a row, beside hold, budgets and batch
RESOLVE_BYTES_MAX = 1_500_000  # Cosmos DB takes 2 MB; long prompts in rare scripts are escaped
PATCH_STEPS_MAX = 10  # Cosmos DB: steps in one patch
_CHANGED = (
    "status",
    "cost",
    "failure",
    "images",
    "warnings",
    "usage",
    "attempts",
    "lines",
    "model",
    "provider",
    "completed_at",
    "unknown_since",
    "provider_refs",
    "prompt_salt",
)
_RECORD_PATCHES = -(-len(_CHANGED) // PATCH_STEPS_MAX)
CHARGE_FIELDS = ("tenant_id", "department_id", "user_key", "project_id", "cost_centre_id")
ATTEMPTS_MAX = 5  # calls to a provider for one generation, each with its own marker

GenerationStatus = Literal["queued", "succeeded", "refused", "failed", "canceled", "indeterminate"]


@dataclass(frozen=True)
class Create:
    """Create a document; fails with a conflict if its id exists."""

    document: Document


@dataclass(frozen=True)
class Patch:
    """Patch a document if it exists and `predicate` (if any) holds."""

    item_id: str
    operations: tuple[Mapping[str, Any], ...]
    predicate: str | None = None


@dataclass(frozen=True)
class Delete:
    """Delete a document; only the outbox, whose events live on in the audit log, is ever cut."""

    item_id: str


Operation = Create | Patch | Delete


@dataclass(frozen=True)
class Hold:
    """Money set aside for one operation: a single generation, or all rows of a batch."""

    operation_id: str
    rows: int
    amount_micros: int
    usd_micros: int
    scopes: tuple[Scope, ...]
    request_hash: str
    tenant_id: str
    user_key: str
    created_at: str
    raised: tuple[Scope, ...] = ()  # whose limits an approval has raised by the amount

    @property
    def document_id(self) -> str:
        return hold_id(self.operation_id)


@dataclass(frozen=True)
class Reservation:
    """Everything that `reserve` commits together: the hold, its record and its audit event."""

    hold: Hold
    record: Document
    event: AuditEvent


@dataclass(frozen=True)
class Cost:
    """What a generation cost: AUD charged to the budgets, USD billed by the provider."""

    amount_micros: int
    usd_micros: int
    estimated: bool = False


@dataclass(frozen=True)
class Resolution:
    """The one end of one generation's share of a hold."""

    generation_id: str
    attempt: int
    status: GenerationStatus
    held_micros: int
    cost: Cost
    model: str
    provider: str
    closed_at: str
    event: AuditEvent
    record: Document  # the generation record as it shall stand
    record_exists: bool  # single generations and indeterminate rows were recorded before
    failure: Failure | None = None
    request_id: str | None = None
    job_id: str | None = None
    cases: tuple[Document, ...] = ()  # the reconciliation cases that it opens
    list_usd_micros: int | None = None  # without the discount of its path; None: no discount
    saved_micros: int = 0  # micro-AUD that this discount was worth
    lines: tuple[AttemptLine, ...] = ()  # what each attempt was booked at
    raised_micros: int = 0  # of what was held: what fallbacks have added to the reservation


def hold_id(operation_id: str) -> str:
    return f"h:{operation_id}"


def generation_document_id(generation_id: str) -> str:
    return f"g:{generation_id}"


def resolution_id(generation_id: str) -> str:
    return f"x:{generation_id}"


def batch_document_id(batch_id: str) -> str:
    return f"batch:{batch_id}"


def partition_for(any_id: str) -> Partition:
    """The partition an id names; ids here come from our own records, so a bad one is our fault."""
    partition = partition_of(any_id)
    if partition is None:
        raise InvariantBroken("An identifier names no ledger partition.")
    return partition


def reserve_operations(reservation: Reservation) -> list[Operation]:
    """The transaction that sets money aside: operation 0 is the hold, then one per scope (I1)."""
    hold = reservation.hold
    partition = partition_for(hold.operation_id)
    amount = checked_micros(hold.amount_micros, "amount_micros")
    if amount == 0 or hold.rows < 1:
        raise InvariantBroken("A hold must reserve something for at least one row.")
    return [
        Create(hold_document(partition, hold)),
        *reserving(amount, hold.scopes),
        Create(reservation.record),
        Create(outbox_document(partition, reservation.event)),
    ]


def resolve_operations(
    operation_id: str,
    scopes: Sequence[Scope],
    resolutions: Sequence[Resolution],
    raised: Mapping[Scope, Budget],
) -> list[Operation]:
    """The transaction that ends generations of the same hold, each exactly once (I5).

    The budgets `raised` for this hold, as they were read, give back what was raised and not spent.
    """
    if not 1 <= len(resolutions) <= RESOLVE_ROWS_MAX:
        raise InvariantBroken("One transaction resolves between 1 and RESOLVE_ROWS_MAX rows.")
    partition = partition_for(operation_id)
    held = sum(checked_micros(r.held_micros, "held_micros") for r in resolutions)
    spent = sum(checked_micros(r.cost.amount_micros, "amount_micros") for r in resolutions)
    for resolution in resolutions:
        if resolution.cost.amount_micros > resolution.held_micros:
            raise InvariantBroken("A settlement may not exceed what was held (I1).")
        if resolution.cost.amount_micros != sum(line.amount_micros for line in resolution.lines):
            raise InvariantBroken("An entry is the sum of its lines.")
    operations: list[Operation] = [
        Create(_resolution_document(partition, operation_id, r)) for r in resolutions
    ]
    operations.append(
        Patch(
            hold_id(operation_id),
            (_incr("remaining_micros", -held), _incr("open_rows", -len(resolutions))),
            at_least({"remaining_micros": held, "open_rows": len(resolutions)}),
        )
    )
    operations += [
        Patch(scope.document_id, *settling(held, spent, raised.get(scope))) for scope in scopes
    ]
    for resolution in resolutions:
        operations += _record_operations(partition, resolution)
    if row_of(resolutions[0].generation_id) is not None:
        operations.append(_progress(operation_id, resolutions, spent))
    if len(operations) > OPERATIONS_MAX:
        raise InvariantBroken("A resolve transaction is over the operation limit of the store.")
    return operations


def rows_that_fit(resolutions: Sequence[Resolution], scopes: int) -> int:
    """How many of these, from the first on, one transaction takes."""
    room = OPERATIONS_MAX - scopes - 2  # the hold and the batch
    for number, resolution in enumerate(resolutions):
        room -= 2 + (_RECORD_PATCHES if resolution.record_exists else 1)
        room -= len(resolution.cases)
        if room < 0:
            return number
    return len(resolutions)


def resolve_groups(resolutions: Sequence[Resolution]) -> Iterator[list[Resolution]]:
    """Cut resolutions into groups that fit one transaction, by number and by size."""
    group: list[Resolution] = []
    size_bytes = 0
    for resolution in resolutions:
        added_bytes = len(json.dumps(resolution.record))
        if group and (
            len(group) == RESOLVE_ROWS_MAX or size_bytes + added_bytes > RESOLVE_BYTES_MAX
        ):
            yield group
            group, size_bytes = [], 0
        group.append(resolution)
        size_bytes += added_bytes
    if group:
        yield group


def unknown_operations(generation_id: str, record: Document, event: AuditEvent) -> list[Operation]:
    """Note that an outcome is unknown; the money stays reserved (I4)."""
    partition = partition_for(generation_id)
    noted = Create(outbox_document(partition, event))
    batch_id = record.get("batch_id")
    if batch_id is None:
        # Only a record that waits may become unknown: a late report must not undo an end.
        return [*_record_patches(record, has_status("queued")), noted]
    counted = Patch(batch_document_id(batch_id), (_incr("counts/indeterminate", 1),))
    return [Create(record), counted, noted]


def read_hold(document: Mapping[str, Any]) -> Hold:
    return Hold(
        operation_id=document["operation_id"],
        rows=document["rows"],
        amount_micros=checked_micros(int(document["amount_micros"]), "amount_micros"),
        usd_micros=checked_micros(int(document["usd_micros"]), "usd_micros"),
        scopes=tuple(Scope(s["kind"], s["scope_id"]) for s in document["scopes"]),
        request_hash=document["request_hash"],
        tenant_id=document["tenant_id"],
        user_key=document["user_key"],
        created_at=document["created_at"],
        raised=tuple(Scope(s["kind"], s["scope_id"]) for s in document["raised"]),
    )


def hold_document(partition: Partition, hold: Hold) -> Document:
    return {
        "id": hold.document_id,
        "pk": partition.key,
        "type": "hold",
        "operation_id": hold.operation_id,
        "rows": hold.rows,
        "amount_micros": hold.amount_micros,
        "usd_micros": checked_micros(hold.usd_micros, "usd_micros"),
        "remaining_micros": hold.amount_micros,
        "open_rows": hold.rows,
        "scopes": [{"kind": s.kind, "scope_id": s.scope_id} for s in hold.scopes],
        "raised": [{"kind": s.kind, "scope_id": s.scope_id} for s in hold.raised],
        "request_hash": hold.request_hash,
        "tenant_id": hold.tenant_id,
        "user_key": hold.user_key,
        "created_at": hold.created_at,
    }


def reserving(amount: int, scopes: Sequence[Scope]) -> list[Operation]:
    """Set an amount aside in every budget, if each of them covers it (I1)."""
    committed = Sum(("reserved_micros", "spent_micros"), constant=amount)
    fits = every(compare(committed, "<=", Sum(("ceiling_micros",))), takes_holds())
    return [Patch(scope.document_id, (_incr("reserved_micros", amount),), fits) for scope in scopes]


def _resolution_document(partition: Partition, operation_id: str, r: Resolution) -> Document:
    return {
        "id": resolution_id(r.generation_id),
        "pk": partition.key,
        "type": "resolution",
        "operation_id": operation_id,
        "generation_id": r.generation_id,
        **{name: r.record[name] for name in CHARGE_FIELDS},
        "row": r.record["row"],
        "item_id": r.record["item_id"],
        "images": len(r.record["images"]),
        "attempt": r.attempt,
        "status": r.status,
        "held_micros": r.held_micros,
        "raised_micros": r.raised_micros,
        "amount_micros": r.cost.amount_micros,
        "usd_micros": checked_micros(r.cost.usd_micros, "usd_micros"),
        "list_usd_micros": _list_usd_micros(r),  # before any discount of the path it took
        "estimated": r.cost.estimated,
        "price_version": r.record["quote"]["price_version"],
        "exchange_rate_version": r.record["quote"]["exchange_rate_version"],
        "aud_per_usd_micros": r.record["quote"]["aud_per_usd_micros"],
        "admitted_at": r.record["created_at"],
        "model": r.model,
        "provider": r.provider,
        "failure": r.failure,
        "request_id": r.request_id,
        "job_id": r.job_id,
        "closed_at": r.closed_at,
        "lines": [line.model_dump(mode="json") for line in r.lines],
        "providers": sorted({line.provider for line in r.lines}),
    }


def _list_usd_micros(r: Resolution) -> int:
    listed = r.cost.usd_micros if r.list_usd_micros is None else r.list_usd_micros
    return checked_micros(listed, "list_usd_micros")


def _record_operations(partition: Partition, r: Resolution) -> list[Operation]:
    return [
        *(_record_patches(r.record) if r.record_exists else [Create(r.record)]),
        Create(outbox_document(partition, r.event)),
        *map(Create, r.cases),
    ]


def _record_patches(record: Document, predicate: str | None = None) -> list[Operation]:
    """Set what changes at the end, in patches as long as the store takes them."""
    sets = [{"op": "set", "path": f"/{name}", "value": record[name]} for name in _CHANGED]
    cuts = range(0, len(sets), PATCH_STEPS_MAX)
    first, *others = (tuple(sets[cut : cut + PATCH_STEPS_MAX]) for cut in cuts)
    # All or nothing: what guards the first of them guards the others.
    return [Patch(record["id"], first, predicate), *(Patch(record["id"], each) for each in others)]


def _progress(batch_id: str, resolutions: Sequence[Resolution], spent: int) -> Patch:
    counts: dict[str, int] = {}
    images = 0
    for resolution in resolutions:
        counts[resolution.status] = counts.get(resolution.status, 0) + 1
        images += len(resolution.record["images"])
        if resolution.record_exists:  # was counted as indeterminate until now
            counts["indeterminate"] = counts.get("indeterminate", 0) - 1
    increments = [_incr(f"counts/{status}", number) for status, number in sorted(counts.items())]
    increments += [_incr("spent_micros", spent), _incr("images", images)]
    saved = sum(resolution.saved_micros for resolution in resolutions)
    if saved:
        increments.append(_incr("saved_micros", saved))
    moved = {"op": "set", "path": "/progress_at", "value": resolutions[-1].closed_at}
    return Patch(batch_document_id(batch_id), (*increments, moved))


def _incr(field_path: str, value: int) -> Mapping[str, Any]:
    return {"op": "incr", "path": f"/{field_path}", "value": value}
