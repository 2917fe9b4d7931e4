"""One change of a person as one transaction, which no rival change and no read can mislead.

    user         created, or replaced where the revision before it stands
    department   its count of arrivals rises, if somebody joins and it is not closed
    super_admins their number rises or falls; it never falls below one
    history, outbox

The last Super Admin stays because the number is a condition of the write, and a department cannot
be closed while somebody arrives because closing it is conditional on the count of arrivals.
"""

from dataclasses import dataclass
from typing import Any, Final

from shared.domain.departments import department_document_id
from shared.domain.directory import (
    Actor,
    Change,
    differences,
    directory_partition,
    noted,
    put_document,
)
from shared.domain.document_versions import current_version
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import at_least, has_no
from shared.domain.users import User, audited, user_document, user_state

SUPER_ADMINS_ID: Final = "super_admins"
SUPER_ADMINS_MIN: Final = 1


@dataclass(frozen=True)
class UserChange:
    """The operations of a change; the places of those whose refusal means something of its own."""

    operations: list[Operation]
    department_at: int | None = None  # refused: the department is closed or unknown
    super_admins_at: int | None = None  # refused: the last one would go, or a rival was faster


def user_change(
    before: User | None,
    after: User,
    actor: Actor,
    *,
    reason: str | None = None,
    super_admins_counted: bool = True,
) -> UserChange:
    """What commits; `super_admins_counted` says whether their number has a document yet."""
    operations = [
        put_document(
            user_document(after),
            "user",
            user_state(after),
            after.revision,
            exists=before is not None,
        )
    ]
    department_at = super_admins_at = None
    if _arrives(before, after):
        department_at = len(operations)
        step = {"op": "incr", "path": "/arrivals", "value": 1}
        department = department_document_id(after.department_id)
        operations.append(Patch(department, (step,), has_no("closed")))
    added = after.is_acting_super_admin - (before is not None and before.is_acting_super_admin)
    if added:
        super_admins_at = len(operations)
        operations.append(_counted(after.tenant_id, added, exists=super_admins_counted))
    change = Change(
        object_id=after.document_id,
        revision=after.revision,
        action=f"user.{_verb(before, after)}",
        changed_at=after.changed_at,
        details=_details(before, after),
        reason=reason,
    )
    operations += noted(after.tenant_id, change, actor)
    return UserChange(operations, department_at, super_admins_at)


def _arrives(before: User | None, after: User) -> bool:
    if not after.is_present:
        return False
    stayed = before is not None and before.is_present
    return not stayed or before is None or before.department_id != after.department_id


def _counted(tenant_id: str, added: int, *, exists: bool) -> Operation:
    if not exists:
        document: Document = {
            "id": SUPER_ADMINS_ID,
            "pk": directory_partition(tenant_id).key,
            "type": "super_admins",
            "schema_version": current_version("super_admins"),
            "acting": added,
        }
        return Create(document)
    step = {"op": "incr", "path": "/acting", "value": added}
    return Patch(SUPER_ADMINS_ID, (step,), at_least({"acting": SUPER_ADMINS_MIN - min(added, 0)}))


def _verb(before: User | None, after: User) -> str:
    if before is None:
        return "created"
    if before.status != after.status:
        return {"active": "enabled", "disabled": "disabled", "deleted": "deleted"}[after.status]
    if before.department_id != after.department_id:
        return "moved"
    return "role_changed" if before.role_id != after.role_id else "changed"


def _details(before: User | None, after: User) -> dict[str, Any]:
    was = audited(before) if before else None
    return {"source": after.source, **differences(was, audited(after))}
