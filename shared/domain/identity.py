"""Who is calling and what they may see: roles ordered by power, reach by ownership."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from shared.domain.budgets import Charge
from shared.errors import NotFound


class Role(IntEnum):
    """The five roles, ordered: a higher number may do all that a lower one may."""

    STANDARD_USER = 1
    POWER_USER = 2
    DEPT_MANAGER = 3
    ORG_ADMIN = 4
    SUPER_ADMIN = 5


ROLE_BY_CLAIM: Final = {
    "StandardUser": Role.STANDARD_USER,
    "PowerUser": Role.POWER_USER,
    "DeptManager": Role.DEPT_MANAGER,
    "OrgAdmin": Role.ORG_ADMIN,
    "SuperAdmin": Role.SUPER_ADMIN,
}
CLAIM_BY_ROLE: Final = {role: claim for claim, role in ROLE_BY_CLAIM.items()}


@dataclass(frozen=True)
class Principal:
    """A verified access token; the identity key is (tenant_id, object_id), never a name."""

    tenant_id: str
    object_id: str
    role: Role

    @property
    def key(self) -> str:
        return f"{self.tenant_id}.{self.object_id}"


@dataclass(frozen=True)
class Caller:
    """A principal that our directory knows, with the department that pays for what they do."""

    principal: Principal
    department_id: str
    cost_centre_id: str | None = None  # charged unless a request names another

    @property
    def tenant_id(self) -> str:
        return self.principal.tenant_id

    @property
    def role(self) -> Role:
        return self.principal.role

    @property
    def key(self) -> str:
        return self.principal.key

    def charge(self, project_id: str | None = None, cost_centre_id: str | None = None) -> Charge:
        """Who pays for what this caller asks for."""
        return Charge(
            self.department_id, self.key, project_id, cost_centre_id or self.cost_centre_id
        )


@dataclass(frozen=True)
class Ownership:
    """Whose object something is: read from the stored record, never from the request."""

    tenant_id: str
    department_id: str
    user_key: str


def may_see(caller: Caller, owner: Ownership) -> bool:
    """Own things; the whole department from Dept Manager; the whole tenant from Org Admin."""
    if caller.tenant_id != owner.tenant_id:
        return False
    if caller.role >= Role.ORG_ADMIN:
        return True
    if caller.role >= Role.DEPT_MANAGER and caller.department_id == owner.department_id:
        return True
    return caller.key == owner.user_key


def require_sight(caller: Caller, owner: Ownership, what: str) -> None:
    """Raise NotFound, the same answer as for an unknown id, unless the caller may see it."""
    if not may_see(caller, owner):
        raise NotFound(f"There is no such {what}.")
