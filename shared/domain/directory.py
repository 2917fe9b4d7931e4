"""The directory's documents: where they lie, and what one change of them commits together.

A tenant's people, departments, roles and rules share one partition, so that a change, its line of
history and its audit event are one transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.audit_events import AuditEvent, Outcome, outbox_document
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import equal, has_no

ALL_TENANTS: Final = "departments"  # partition with one entry per department, for timers
PEOPLE_PER_PAGE_MAX: Final = 100
HISTORY_PER_PAGE_MAX: Final = 50  # changes of one object


@dataclass(frozen=True)
class TenantPartition(Partition):
    """A tenant's directory: the key is the tenant's id alone, which no other partition has."""

    @property
    def key(self) -> str:
        return self.department_id


def directory_partition(tenant_id: str) -> TenantPartition:
    return TenantPartition(tenant_id, "")


@dataclass(frozen=True)
class PeopleFilter:
    """Which people are wanted: every condition that is given must hold."""

    department_id: str | None = None
    role_id: str | None = None
    status: str | None = None
    kind: str | None = None
    search_keys: tuple[str, ...] = ()  # each must be among a person's
    user_name_key: str | None = None  # keyed hash of the sign-in name
    external_id: str | None = None
    with_deleted: bool = False


@dataclass(frozen=True)
class Actor:
    """Who changes the directory: a caller, or a machine such as the identity provider."""

    key: str
    role: str
    correlation_id: str


@dataclass(frozen=True)
class Change:
    """One revision of an object of the directory, as history and audit tell of it."""

    object_id: str  # the id of its document
    revision: int
    action: str
    changed_at: str
    details: Mapping[str, str | int | bool | None]
    reason: str | None = None


def change_event(change: Change, actor: Actor, outcome: Outcome = "success") -> AuditEvent:
    """The audit event of a change; details name fields and values, never names or addresses."""
    return AuditEvent(
        action=f"{change.action}.{change.revision}",
        object_id=change.object_id,
        actor=actor.key,
        actor_role=actor.role,
        outcome=outcome,
        occurred_at=change.changed_at,
        correlation_id=actor.correlation_id,
        reason=change.reason,
        details=dict(change.details),
    )


def noted(tenant_id: str, change: Change, actor: Actor) -> list[Operation]:
    """The line of history and the audit event that commit with a change."""
    partition = directory_partition(tenant_id)
    line = {
        "id": history_id(change.object_id, change.revision),
        "pk": partition.key,
        "type": "change",
        "object_id": change.object_id,
        "revision": change.revision,
        "action": change.action,
        "actor": actor.key,
        "actor_role": actor.role,
        "changed_at": change.changed_at,
        "reason": change.reason,
        "details": dict(change.details),
    }
    return [Create(line), Create(outbox_document(partition, change_event(change, actor)))]


def history_id(object_id: str, revision: int) -> str:
    """Ids of one object sort by revision."""
    return f"change:{object_id}:{revision:08d}"


def put_document(
    document: Document, name: str, state: Document, revision: int, *, exists: bool
) -> Operation:
    """Create the document, or replace its `name` part where the revision before stands.

    A document of before revisions has none: there the first change is revision 1.
    """
    if not exists:
        return Create({**document, "revision": revision, name: state})
    steps = (
        {"op": "set", "path": f"/{name}", "value": state},
        {"op": "set", "path": "/revision", "value": revision},
        {"op": "set", "path": "/schema_version", "value": document["schema_version"]},
    )
    standing = equal({"revision": revision - 1}) if revision > 1 else has_no("revision")
    return Patch(document["id"], steps, standing)


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """`before.x` and `after.x` of what changed, for values that are plain."""
    shown: dict[str, Any] = {}
    for name, value in after.items():
        was = before.get(name) if before else None
        if value != was:
            if before is not None:
                shown[f"before.{name}"] = was
            shown[f"after.{name}"] = value
    return shown
