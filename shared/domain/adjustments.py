"""Adjustments: entries that no generation stands for, such as a surcharge or a corrected invoice.

An entry is never edited: what was booked wrong is put right by another entry, up or down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from shared.domain.audit_events import AuditEvent, outbox_document
from shared.domain.budgets import Budget, Charge, Scope
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.limit_steps import increments, lowering
from shared.domain.money import checked_micros
from shared.domain.predicates import Sum, at_least, compare, every, unsealed
from shared.errors import InvariantBroken

NOTHING_RAISED: Final[Mapping[Scope, Budget]] = MappingProxyType({})
AdjustmentKind = Literal["surcharge", "reconciliation", "late", "rehydration"]


@dataclass(frozen=True)
class Adjustment:
    """One signed entry; micro-AUD and micro-USD, above zero for what is charged in addition.

    `user_key` None charges the department alone (and a project or cost centre, if named).
    """

    adjustment_id: str
    partition: Partition
    kind: AdjustmentKind
    amount_micros: int
    usd_micros: int
    tenant_id: str
    charge: Charge
    reason: str
    actor: str
    booked_at: str
    event: AuditEvent
    model: str | None = None
    provider: str | None = None
    refers_to: str | None = None  # the generation it corrects


def adjustment_document_id(adjustment_id: str) -> str:
    return f"j:{adjustment_id}"


def adjust_operations(
    adjustment: Adjustment, raised: Mapping[Scope, Budget] = NOTHING_RAISED
) -> list[Operation]:
    """The transaction that books an adjustment: operation 0 is the entry, then one per scope.

    What is given back of work that was approved leaves the limits `raised` for it, as they were
    read: nobody spends what was approved for something else.
    """
    amount = adjustment.amount_micros
    checked_micros(abs(amount), "amount_micros")
    checked_micros(abs(adjustment.usd_micros), "usd_micros")
    if amount == 0:
        raise InvariantBroken("An adjustment of nothing is no entry.")
    if amount > 0:  # also what really happened may not pass a ceiling unseen: raise the limit first
        committed = Sum(("reserved_micros", "spent_micros"), constant=amount)
        allowed = compare(committed, "<=", Sum(("ceiling_micros",)))
    else:
        allowed = at_least({"spent_micros": -amount})
    allowed = every(allowed, unsealed())  # a closed period is corrected in the present one
    patches = []
    for scope in adjustment.charge.scopes():
        changes, fits = {"spent_micros": amount}, allowed
        if amount < 0 and scope in raised:
            lowered, stands = lowering(raised[scope], -amount)
            changes, fits = changes | lowered, every(allowed, stands)
        patches.append(Patch(scope.document_id, increments(changes), fits))
    return [
        Create(_document(adjustment)),
        *patches,
        Create(outbox_document(adjustment.partition, adjustment.event)),
    ]


def _document(adjustment: Adjustment) -> Document:
    charge = adjustment.charge
    return {
        "id": adjustment_document_id(adjustment.adjustment_id),
        "pk": adjustment.partition.key,
        "type": "adjustment",
        "adjustment_id": adjustment.adjustment_id,
        "kind": adjustment.kind,
        "amount_micros": adjustment.amount_micros,
        "usd_micros": adjustment.usd_micros,
        "tenant_id": adjustment.tenant_id,
        "department_id": charge.department_id,
        "user_key": charge.user_key,
        "project_id": charge.project_id,
        "cost_centre_id": charge.cost_centre_id,
        "model": adjustment.model,
        "provider": adjustment.provider,
        "refers_to": adjustment.refers_to,
        "reason": adjustment.reason,
        "actor": adjustment.actor,
        "booked_at": adjustment.booked_at,
    }
