"""Custom roles: named sets of permissions with the rank of a built-in role; who may give what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.domain.document_versions import current_version
from shared.domain.identity import Caller, PrincipalKind, Rights
from shared.domain.ledger import Document
from shared.domain.model_rules import NO_RULES, ModelRules, read_model_rules
from shared.domain.permissions import (
    BUILT_IN,
    ROLE_BY_CLAIM,
    Permission,
    Reach,
    Reaches,
    Role,
    includes,
    narrowed,
)
from shared.errors import PolicyDenied

CUSTOM_PREFIX: Final = "custom:"
ROLE_ID: Final = re.compile(r"custom:[a-z][a-z0-9-]{1,39}")
SERVICE_RANK_MAX: Final = Role.DEPT_MANAGER  # a pipeline's secret leaks more easily than a person's
ROLES_MAX: Final = 200  # custom roles of a tenant: a listing is one answer
MODEL_RULES_ID: Final = "model_rules"
_NONE: Final[Reaches] = {}


@dataclass(frozen=True)
class CustomRole:
    """A named set of permissions; whoever has it counts as of its rank."""

    tenant_id: str
    role_id: str  # with its prefix
    name: str
    rank: Role
    reaches: Reaches
    rules: ModelRules = NO_RULES
    status: Literal["active", "deleted"] = "active"
    created_at: str = ""
    changed_at: str = ""
    revision: int = 1
    change_id: str = ""

    @property
    def document_id(self) -> str:
        return role_document_id(self.role_id)


def role_document_id(role_id: str) -> str:
    return f"role:{role_id}"


def role_document(role: CustomRole) -> Document:
    return {
        "id": role.document_id,
        "pk": role.tenant_id,
        "type": "role",
        "schema_version": current_version("role"),
        "role_id": role.role_id,
    }


def role_state(role: CustomRole) -> Document:
    return {
        "name": role.name,
        "rank": int(role.rank),
        "reaches": {str(name): int(reach) for name, reach in sorted(role.reaches.items())},
        "rules": role.rules.as_json(),
        "status": role.status,
        "created_at": role.created_at,
        "changed_at": role.changed_at,
        "change_id": role.change_id,
    }


def read_role(document: Mapping[str, Any]) -> CustomRole:
    """A custom role; a permission that no longer exists is nothing that it could allow."""
    state = document["role"]
    known = {str(name) for name in Permission}
    return CustomRole(
        tenant_id=document["pk"],
        role_id=document["role_id"],
        name=state["name"],
        rank=Role(state["rank"]),
        reaches={Permission(n): Reach(r) for n, r in state["reaches"].items() if n in known},
        rules=read_model_rules(state["rules"]),
        status=state["status"],
        created_at=state["created_at"],
        changed_at=state["changed_at"],
        revision=int(document["revision"]),
        change_id=state["change_id"],
    )


def rank_and_rights(
    kind: PrincipalKind,
    role_id: str,
    custom: CustomRole | None,
    rules: ModelRules,
    organisation_rules: ModelRules,
) -> tuple[Role, Rights]:
    """What a role makes of somebody; a custom role that is gone allows nothing at all.

    A pipeline whose role became an administrator's while it was given is a manager at most.
    """
    rank, reaches, role_rules = Role.STANDARD_USER, _NONE, NO_RULES
    built_in = ROLE_BY_CLAIM.get(role_id)
    if built_in is not None:
        rank, reaches = built_in, BUILT_IN[built_in]
    elif custom is not None and custom.status == "active":
        rank, reaches, role_rules = custom.rank, custom.reaches, custom.rules
    held = held_rank(kind, rank)
    if held < rank:
        reaches = narrowed(reaches, BUILT_IN[held])
    return held, Rights(role_id, reaches, rules, role_rules, organisation_rules)


def held_rank(kind: PrincipalKind, rank: Role) -> Role:
    """The rank that a role of this rank gives to a person, or to a pipeline."""
    return min(rank, SERVICE_RANK_MAX) if kind == "service" else rank


def check_may_give(giver: Caller, rank: Role, reaches: Reaches) -> None:
    """Nobody gives a role at or above their own, nor what they do not have themselves."""
    if rank >= giver.role:
        raise PolicyDenied("Nobody gives a role at or above their own.", code="role_too_high")
    if not includes(giver.reaches, reaches):
        raise PolicyDenied(
            "The role allows what your own does not; nobody gives what they do not have.",
            code="role_too_wide",
        )


def check_outranks(actor: Caller, rank: Role) -> None:
    """Only somebody of a higher role changes a person; Super Admins may change one another."""
    peers = rank == actor.role == Role.SUPER_ADMIN
    if rank >= actor.role and not peers:
        raise PolicyDenied("This person's role is not below yours.", code="role_too_high")


def model_rules_document(tenant_id: str) -> Document:
    return {
        "id": MODEL_RULES_ID,
        "pk": tenant_id,
        "type": "model_rules",
        "schema_version": current_version("model_rules"),
    }
