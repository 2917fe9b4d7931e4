"""Retention policies: how long the pictures that a department makes from now on are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.domain.audit_events import AuditEvent
from shared.domain.blob_paths import DEFAULT_RETENTION, INDEFINITE
from shared.domain.budget_policies import policy_partition
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.revisions import revision_document

TYPE = "retention"
DOCUMENT_ID = "retention"


@dataclass(frozen=True)
class RetentionPolicy:
    """The class that new pictures of a department are tagged with; revision 0 is the default."""

    department_id: str
    revision: int = 0
    retention: str = DEFAULT_RETENTION
    reason: str | None = None
    actor: str | None = None
    changed_at: str | None = None

    @property
    def partition(self) -> Partition:
        return policy_partition(self.department_id)

    def event(self, before: str, role: str, correlation_id: str) -> AuditEvent:
        return AuditEvent(
            action=f"retention.changed.{self.revision}",
            object_id=f"retention:{self.department_id}",
            actor=str(self.actor),
            actor_role=role,
            outcome="success",
            occurred_at=str(self.changed_at),
            correlation_id=correlation_id,
            details={"before": before, "after": self.retention, "reason": self.reason},
        )


def retention_classes(days: Mapping[str, int]) -> dict[str, int | None]:
    """Every class a department may choose and its days; the last one keeps pictures for good."""
    shortest_first = sorted(days, key=days.__getitem__)
    return {**{each: days[each] for each in shortest_first}, INDEFINITE: None}


def retention_document(policy: RetentionPolicy) -> Document:
    return revision_document(policy.partition, DOCUMENT_ID, TYPE, asdict(policy))


def read_retention(document: Mapping[str, Any]) -> RetentionPolicy:
    return RetentionPolicy(**document["body"])
