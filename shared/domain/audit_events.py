"""Audit events: who did what to which object, with what outcome; no prompt, no personal data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.domain.ids import Partition

EVENT_SCHEMA_VERSION = 1
Outcome = Literal["success", "denied", "failure"]


@dataclass(frozen=True)
class AuditEvent:
    """One change of state or one denial. `object_id` plus `action` makes the event unique."""

    action: str
    object_id: str
    actor: str  # "{tenant_id}.{object_id}" of a person, or "system:{what}"
    actor_role: str
    outcome: Outcome
    occurred_at: str
    correlation_id: str
    reason: str | None = None
    details: Mapping[str, str | int | bool | None] = field(default_factory=dict)

    @property
    def event_id(self) -> str:
        return f"{self.object_id}:{self.action}"

    def as_json(self) -> dict[str, Any]:
        """The body that is copied, unchanged, into the append-only container."""
        return {
            "schema_version": EVENT_SCHEMA_VERSION,
            "event_id": self.event_id,
            "occurred_at": self.occurred_at,
            "action": self.action,
            "object_id": self.object_id,
            "actor": self.actor,
            "actor_role": self.actor_role,
            "outcome": self.outcome,
            "reason": self.reason,
            "correlation_id": self.correlation_id,
            "details": dict(self.details),
        }


def outbox_document(partition: Partition, event: AuditEvent) -> dict[str, Any]:
    """The outbox item that commits in the same transaction as the change it tells of."""
    return {
        "id": f"e:{event.event_id}",
        "pk": partition.key,
        "type": "outbox",
        "event": event.as_json(),
    }
