"""Rehydrations: pictures on their way back from the archive, and what that costs.

    asked ──► pending ──► available ──► ended          a new one may follow the last three
      └─────► refused

A picture has one record, which counts its rehydrations. The record stands before anything is
charged and names the period that pays; so whoever carries it out, it is charged once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from shared.domain.adjustments import Adjustment
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.blob_paths import PictureName
from shared.domain.budget_policies import policy_partition
from shared.domain.budgets import Charge
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.legal_holds import picture_of
from shared.domain.revisions import revision_document
from shared.domain.storage_prices import Priority

TYPE: Final = "rehydration"
SYSTEM_ACTOR: Final = "system:rehydrations"
RehydrationStatus = Literal["asked", "pending", "available", "ended", "refused"]
OPEN: Final = frozenset({"asked", "pending", "available"})  # what the sweep looks after
UNDER_WAY: Final = frozenset({"asked", "pending"})
# What Azure promises: hours until a picture can be read, at most.
HOURS_MAX: Final[Mapping[Priority, int]] = {"standard": 15, "high": 1}


@dataclass(frozen=True)
class Rehydration:
    """The latest rehydration of one picture; `number` counts them, `revision` every change."""

    image_id: str
    number: int
    revision: int
    status: RehydrationStatus
    priority: Priority
    size_bytes: int
    amount_micros: int
    usd_micros: int
    price_version: str
    exchange_rate_version: str
    tenant_id: str
    charge: Charge
    period: str  # of the department's budget that pays
    online_days: int
    asked_by: str
    asked_role: str
    asked_at: str
    changed_at: str
    change_id: str
    correlation_id: str
    available_at: str | None = None
    online_until: str | None = None
    reason: str | None = None  # why it was refused, or how it ended

    @property
    def rehydration_id(self) -> str:
        return f"{self.image_id}.r{self.number}"

    @property
    def picture(self) -> PictureName:
        return picture_of(self.image_id)

    @property
    def partition(self) -> Partition:
        """Beside the department's policies, whose outbox is looked at however old a picture is."""
        return policy_partition(self.picture.partition.department_id)

    def event(self, verb: str, outcome: Outcome = "success") -> AuditEvent:
        """The audit event of the change that led to this revision."""
        asked = verb == "asked"
        return AuditEvent(
            action=f"rehydration.{verb}.{self.revision}",
            object_id=self.image_id,
            actor=self.asked_by if asked else SYSTEM_ACTOR,
            actor_role=self.asked_role if asked else "system",
            outcome=outcome,
            occurred_at=self.changed_at,
            correlation_id=self.correlation_id,
            reason=self.reason,
            details={
                "rehydration": self.number,
                "priority": self.priority,
                "amount_micros": self.amount_micros,
                "price_version": self.price_version,
            },
        )

    def adjustment(self, booked_at: str) -> Adjustment:
        """The entry that charges it; the same whenever it is booked."""
        event = AuditEvent(
            action="rehydration.charged",
            object_id=self.rehydration_id,
            actor=self.asked_by,
            actor_role=self.asked_role,
            outcome="success",
            occurred_at=booked_at,
            correlation_id=self.correlation_id,
            details={
                "amount_micros": self.amount_micros,
                "price_version": self.price_version,
                "exchange_rate_version": self.exchange_rate_version,
            },
        )
        return Adjustment(
            adjustment_id=self.rehydration_id,
            partition=Partition(self.charge.department_id, self.period),
            kind="rehydration",
            amount_micros=self.amount_micros,
            usd_micros=self.usd_micros,
            tenant_id=self.tenant_id,
            charge=self.charge,
            reason=f"Retrieved from the archive, priority {self.priority}",
            actor=self.asked_by,
            booked_at=booked_at,
            event=event,
            refers_to=self.picture.generation_id,
        )


def rehydration_document_id(image_id: str) -> str:
    return f"rehydration:{image_id}"


def rehydration_document(rehydration: Rehydration) -> Document:
    return revision_document(
        rehydration.partition,
        rehydration_document_id(rehydration.image_id),
        TYPE,
        asdict(rehydration),
        open=rehydration.status in OPEN,
    )


def read_rehydration(document: Mapping[str, Any]) -> Rehydration:
    body = document["body"]
    return Rehydration(**{**body, "charge": Charge(**body["charge"])})
