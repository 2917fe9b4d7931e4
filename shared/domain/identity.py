"""Who is calling and what they may do: a principal, its rights, and whose things are whose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.domain.access_decisions import Decisions, Rule
from shared.domain.budgets import Charge
from shared.domain.model_rules import NO_RULES, ModelRules, refusal_of
from shared.domain.permissions import (
    BUILT_IN,
    CLAIM_BY_ROLE,
    ROLE_BY_CLAIM,
    Permission,
    Reach,
    Reaches,
    Role,
)
from shared.errors import NotFound, PolicyDenied

__all__ = [
    "BUILT_IN",
    "CLAIM_BY_ROLE",
    "ROLE_BY_CLAIM",
    "Caller",
    "Ownership",
    "Permission",
    "Principal",
    "PrincipalKind",
    "Reach",
    "Rights",
    "Role",
    "may",
    "require",
    "require_reach",
]

PrincipalKind = Literal["person", "service"]  # a service is a pipeline with a token of its own


@dataclass(frozen=True)
class Principal:
    """A verified access token; the identity key is (tenant_id, object_id), never a name.

    `role` is what the token claims until the directory has been asked; then it is the rank there.
    """

    tenant_id: str
    object_id: str
    role: Role = Role.STANDARD_USER
    kind: PrincipalKind = "person"

    @property
    def key(self) -> str:
        return f"{self.tenant_id}.{self.object_id}"


@dataclass(frozen=True)
class Rights:
    """What the directory lets somebody do, as of this request; rules nearest first."""

    role_id: str  # of a custom role, or the claim of a built-in one
    reaches: Reaches
    rules: ModelRules = NO_RULES
    role_rules: ModelRules = NO_RULES
    organisation_rules: ModelRules = NO_RULES

    def model_refusal(self, model: str, provider: str) -> str | None:
        """Why a model may not be used, or None when it may."""
        levels = (
            ("your account", self.rules),
            ("your role", self.role_rules),
            ("your organisation", self.organisation_rules),
        )
        return refusal_of(levels, model, provider)


@dataclass(frozen=True)
class Caller:
    """A principal that our directory knows, with the department that pays for what they do."""

    principal: Principal
    department_id: str
    cost_centre_id: str | None = None  # charged unless a request names another
    rights: Rights | None = field(default=None, hash=False)  # None: those of the built-in role
    tier: str = "standard"  # of rate limits
    decisions: Decisions | None = field(default=None, compare=False, repr=False)  # to be logged
    left: Mapping[str, str] = field(default_factory=dict, hash=False)  # as in User

    @property
    def tenant_id(self) -> str:
        return self.principal.tenant_id

    @property
    def role(self) -> Role:
        """The rank: a custom role has that of a built-in one."""
        return self.principal.role

    @property
    def role_id(self) -> str:
        return self.rights.role_id if self.rights else CLAIM_BY_ROLE[self.role]

    @property
    def key(self) -> str:
        return self.principal.key

    @property
    def reaches(self) -> Reaches:
        return self.rights.reaches if self.rights else BUILT_IN[self.role]

    def reach(self, permission: Permission) -> Reach:
        """On whose things this caller may use a permission; NONE without it."""
        reach = self.reaches.get(permission, Reach.NONE)
        if self.decisions is not None:
            self.decisions.weighed(permission, reach)
        return reach

    def model_refusal(self, model: str, provider: str) -> str | None:
        """A reason when this caller may not use a model, else None."""
        return self.rights.model_refusal(model, provider) if self.rights else None

    def charge(self, project_id: str | None = None, cost_centre_id: str | None = None) -> Charge:
        """Who pays for what this caller asks for."""
        return Charge(
            self.department_id, self.key, project_id, cost_centre_id or self.cost_centre_id
        )

    def named_payers(self, charge: Charge) -> tuple[str | None, str | None]:
        """Project and cost centre of a charge, without what the directory adds and may change."""
        is_default = charge.cost_centre_id == self.cost_centre_id
        return charge.project_id, None if is_default else charge.cost_centre_id


@dataclass(frozen=True)
class Ownership:
    """Whose object something is: read from the stored record, never from the request."""

    tenant_id: str
    department_id: str
    user_key: str


def may(caller: Caller, permission: Permission, owner: Ownership) -> bool:
    """The one decision on an object: whether a permission reaches it. Another tenant's: never."""
    rule = _rule(caller, permission, owner)
    if caller.decisions is not None:
        caller.decisions.met(permission, rule)
    return rule != "not_reached"


def _rule(caller: Caller, permission: Permission, owner: Ownership) -> Rule:
    """By which rule a permission reaches an object: the narrowest that does."""
    reach = caller.reach(permission)
    if caller.tenant_id != owner.tenant_id:
        return "not_reached"
    if reach >= Reach.OWN and caller.key == owner.user_key:
        return "own"
    if reach >= Reach.DEPARTMENT and caller.department_id == owner.department_id:
        return "department"
    return "organisation" if reach == Reach.ORGANISATION else "not_reached"


def require(caller: Caller, permission: Permission, owner: Ownership, what: str) -> None:
    """Raise NotFound, the same answer as for an unknown id, unless the permission reaches it."""
    if not may(caller, permission, owner):
        raise NotFound(f"There is no such {what}.")


def require_tenant(caller: Caller, tenant_id: str, what: str) -> None:
    """Raise NotFound, the same answer as for nothing, unless it is of the caller's tenant."""
    if caller.tenant_id != tenant_id:
        raise NotFound(f"There is no such {what}.")


def require_reach(caller: Caller, permission: Permission, least: Reach, refusal: str) -> None:
    """Raise PolicyDenied with this text unless the permission reaches at least so far."""
    if caller.reach(permission) < least:
        raise PolicyDenied(refusal)
