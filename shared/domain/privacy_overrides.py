"""Overrides of a warning: for a while, data of some classes may leave, for a reason that is kept.

An override's id names its department. Health information needs a second person: until somebody else
has approved it, such an override lets nothing through.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.domain.budget_policies import policy_partition
from shared.domain.identifiers import DataClass
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.predicates import equal

OVERRIDE_TIME_MAX: Final = timedelta(hours=24)  # a longer need is a policy, not an exception
REASON_CHARS_MIN: Final = 10
REASON_CHARS_MAX: Final = 500
OVERRIDES_LISTED_MAX: Final = 100
NEEDS_SECOND_PERSON: Final[frozenset[DataClass]] = frozenset({"health"})
OVERRIDE_ID_PATTERN: Final = rf"(?P<department>{DEPARTMENT_ID_PATTERN})-[0-9a-f]{{32}}"
_OVERRIDE_ID: Final = re.compile(OVERRIDE_ID_PATTERN)

OverrideStatus = Literal["pending", "active", "ended"]


@dataclass(frozen=True)
class PrivacyOverride:
    """One exception: which classes, for whom (None: the whole department), until when, why."""

    override_id: str
    tenant_id: str
    department_id: str
    data_classes: tuple[DataClass, ...]
    reason: str
    granted_by: str
    created_at: str
    ends_at: str
    status: OverrideStatus
    user_key: str | None = None
    approved_by: str | None = None
    ended_by: str | None = None
    revision: int = 1
    change_id: str = ""

    def lets_through(self, data_class: DataClass, user_key: str, now: datetime) -> bool:
        """Whether data of a class may leave at a moment, in a request of this person."""
        return (
            self.status == "active"
            and data_class in self.data_classes
            and self.user_key in (None, user_key)
            and now < datetime.fromisoformat(self.ends_at)
        )

    def profits(self, user_key: str, department_id: str) -> bool:
        """Whether the override lets data of this person through."""
        if self.user_key is None:
            return department_id == self.department_id
        return user_key == self.user_key


def needs_second_person(data_classes: Sequence[DataClass]) -> bool:
    return not NEEDS_SECOND_PERSON.isdisjoint(data_classes)


def department_of_override(override_id: str) -> str | None:
    """The department that an override's id names; None if it is malformed."""
    found = _OVERRIDE_ID.fullmatch(override_id)
    return found["department"] if found else None


def overrides_partition(department_id: str) -> Partition:
    return policy_partition(department_id)


def override_document_id(override_id: str) -> str:
    return f"privacy_override:{override_id}"


def put_operation(override: PrivacyOverride) -> Operation:
    """Write an override if its predecessor stands: revision 1 is created, n replaces n - 1."""
    document = {
        "id": override_document_id(override.override_id),
        "pk": overrides_partition(override.department_id).key,
        "type": "privacy_override",
        "revision": override.revision,
        "override": {**vars(override), "data_classes": list(override.data_classes)},
    }
    if override.revision == 1:
        return Create(document)
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": document[name]}
        for name in ("revision", "override")
    )
    return Patch(str(document["id"]), steps, equal({"revision": override.revision - 1}))


def read_override(document: Mapping[str, Any]) -> PrivacyOverride:
    stored = document["override"]
    return PrivacyOverride(
        **{
            **stored,
            "data_classes": tuple(stored["data_classes"]),
            "revision": int(stored["revision"]),
        }
    )
