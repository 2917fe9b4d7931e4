"""People and pipelines of the directory: what is stored of them, and what that makes of a caller.

Names and addresses stand here sealed, beside keyed hashes by which they can be found. Who may do
what is decided from object id, role, department and status alone.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self

from shared.domain.document_versions import current_version
from shared.domain.identity import Caller, Principal, PrincipalKind, Rights
from shared.domain.ledger import Document
from shared.domain.model_rules import NO_RULES, ModelRules, read_model_rules
from shared.domain.permissions import Role
from shared.errors import PolicyDenied

UserStatus = Literal["active", "disabled", "deleted"]
Tier = Literal["free", "standard", "enterprise"]
ShutOutBy = Literal["department", "organisation"]
UserSource = Literal["seed", "api", "csv", "scim"]
DEFAULT_TIER: Final[Tier] = "standard"
DEFAULT_ROLE: Final = "StandardUser"


@dataclass(frozen=True)
class DirectoryUser:
    """What the directory says of somebody who calls, as of this moment."""

    department_id: str
    cost_centre_id: str | None = None  # charged unless a request names another
    role: Role = Role.STANDARD_USER  # the rank
    status: UserStatus = "active"
    kind: PrincipalKind = "person"
    tier: Tier = DEFAULT_TIER
    rights: Rights | None = None  # None: those of the built-in role
    inactive_at: datetime | None = None  # when it was last not active: older sessions are over
    left: Mapping[str, str] = field(default_factory=dict)  # as in User


def caller_of(principal: Principal, user: DirectoryUser | None) -> Caller:
    """Who a verified principal is to us, if we let them in.

    Raises PolicyDenied for people we do not know, or no longer let in, and for a pipeline's token
    that names a person or the other way round.
    """
    caller = known_caller(principal, user)
    if user is None or caller is None:
        raise PolicyDenied(
            "Your account is not in the directory; ask an administrator to add it.",
            code="unknown_user",
        )
    if user.status == "disabled":
        raise PolicyDenied(
            "Your account is disabled; ask an administrator.", code="account_disabled"
        )
    return caller


def known_caller(principal: Principal, user: DirectoryUser | None) -> Caller | None:
    """Who a verified principal is to us, let in or not; no role that a token claims counts."""
    if user is None or user.status == "deleted" or user.kind != principal.kind:
        return None
    return Caller(
        replace(principal, role=user.role),
        user.department_id,
        user.cost_centre_id,
        user.rights,
        user.tier,
        left=user.left,
    )


@dataclass(frozen=True)
class Personal:
    """What is known of a person by name, in clear; it is sealed wherever it is stored."""

    user_name: str | None = None  # the sign-in name, as the identity provider writes it
    display_name: str | None = None
    email: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return {
            "user_name": self.user_name,
            "display_name": self.display_name,
            "email": self.email,
        }


NOBODY: Final = Personal()
LEFT_KEPT: Final = timedelta(days=367)  # the longest budget period, and a day
LEFT_MAX: Final = 10  # former departments; each costs a repeat under a key one more look
NAME_CHARS_MAX: Final = 256  # as many as Entra gives a display name
# C0 and C1 controls, and halves of surrogate pairs, which no store takes. What only looks blank
# is part of names: U+3000 of Japanese ones, U+200C of Persian ones.
NOT_IN_NAMES: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class User:
    """A person or pipeline as stored; every change is a revision."""

    tenant_id: str
    object_id: str
    department_id: str
    kind: PrincipalKind = "person"
    role_id: str = DEFAULT_ROLE  # the claim of a built-in role, or "custom:<id>"
    status: UserStatus = "active"
    tier: Tier = DEFAULT_TIER
    cost_centre_id: str | None = None
    rules: ModelRules = NO_RULES
    external_id: str | None = None  # the identity provider's own name for this account
    sealed: Mapping[str, Any] | None = None  # an envelope with the Personal, as JSON
    lookups: Mapping[str, str] = field(default_factory=dict)  # field -> keyed hash
    search_keys: tuple[str, ...] = ()  # keyed hashes of the words of names and addresses
    source: UserSource = "api"
    created_at: str = ""
    changed_at: str = ""
    inactive_at: str | None = None  # when it was last known not to be active; None: never
    shut_out_by: ShutOutBy | None = None  # whose decision it is that they are; None: let in
    left: Mapping[str, str] = field(default_factory=dict)  # former department -> ISO 8601, UTC
    revision: int = 1
    change_id: str = ""  # of the request that wrote this revision: tells a repeat from a rival

    @property
    def key(self) -> str:
        return f"{self.tenant_id}.{self.object_id}"

    @property
    def document_id(self) -> str:
        return user_document_id(self.object_id)

    def with_status(self, status: UserStatus, decided_by: ShutOutBy) -> Self:
        """The next status; what the organisation decided stays so until it lets them in."""
        if status == "active":
            return replace(self, status=status, shut_out_by=None)
        kept = "organisation" if self.shut_out_by == "organisation" else decided_by
        return replace(self, status=status, shut_out_by=kept)

    def moved_from(self, department_id: str, at: str) -> Self:
        """After a move: work asked for in a former department is found there under its key."""
        oldest = (datetime.fromisoformat(at) - LEFT_KEPT).isoformat()
        kept = {
            name: left
            for name, left in {**self.left, department_id: at}.items()
            if left > oldest and name != self.department_id
        }
        newest = sorted(kept.items(), key=lambda each: each[1])[-LEFT_MAX:]
        return replace(self, left=dict(newest))

    @property
    def is_present(self) -> bool:
        """Counts as a member of the department: deleted people do not."""
        return self.status != "deleted"

    @property
    def is_acting_super_admin(self) -> bool:
        return self.status == "active" and self.role_id == "SuperAdmin" and self.kind == "person"


def user_document_id(object_id: str) -> str:
    return f"user:{object_id}"


def user_document(user: User) -> Document:
    """What stands around the state of a user, and never changes."""
    return {
        "id": user.document_id,
        "pk": user.tenant_id,
        "type": "user",
        "schema_version": current_version("user"),
        "object_id": user.object_id,
    }


def user_state(user: User) -> Document:
    """What a change replaces."""
    return {
        "kind": user.kind,
        "department_id": user.department_id,
        "role_id": user.role_id,
        "status": user.status,
        "tier": user.tier,
        "cost_centre_id": user.cost_centre_id,
        "rules": user.rules.as_json(),
        "external_id": user.external_id,
        "sealed": dict(user.sealed) if user.sealed else None,
        "lookups": dict(user.lookups),
        "search_keys": list(user.search_keys),
        "source": user.source,
        "created_at": user.created_at,
        "changed_at": user.changed_at,
        "inactive_at": user.inactive_at,
        "shut_out_by": user.shut_out_by,
        "left": dict(user.left),
        "change_id": user.change_id,
    }


def read_user(document: Mapping[str, Any]) -> User:
    """A user as stored, of the newest schema version."""
    state = document["user"]
    return User(
        tenant_id=document["pk"],
        object_id=document["object_id"],
        department_id=state["department_id"],
        kind=state["kind"],
        role_id=state["role_id"],
        status=state["status"],
        tier=state["tier"],
        cost_centre_id=state["cost_centre_id"],
        rules=read_model_rules(state["rules"]),
        external_id=state["external_id"],
        sealed=state["sealed"],
        lookups=state["lookups"],
        search_keys=tuple(state["search_keys"]),
        source=state["source"],
        created_at=state["created_at"],
        changed_at=state["changed_at"],
        inactive_at=state["inactive_at"],
        shut_out_by=state["shut_out_by"],
        left=state["left"],
        revision=int(document["revision"]),
        change_id=state["change_id"],
    )


def audited(user: User) -> dict[str, str | int | bool | None]:
    """What audit events and history show of a user: nothing by which a person is named."""
    return {
        "kind": user.kind,
        "department": user.department_id,
        "role": user.role_id,
        "status": user.status,
        "tier": user.tier,
        "cost_centre": user.cost_centre_id,
        "rules": _digest(user.rules.as_json()),
        "personal": _digest(dict(user.lookups)),
    }


def _digest(value: Mapping[str, Any]) -> str:
    """Tells whether something changed, and not to what."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
