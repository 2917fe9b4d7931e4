"""Who is calling, and what the directory knows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.identity import Principal
from shared.domain.ledger import Document


class TokenVerifier(Protocol):
    """Turns a bearer token into a verified principal."""

    async def verify(self, token: str) -> Principal:
        """Raise Unauthenticated for every token that is not exactly right."""
        ...


@dataclass(frozen=True)
class DirectoryUser:
    """A person as our directory knows them."""

    department_id: str
    cost_centre_id: str | None = None  # charged unless a request names another


class Directory(Protocol):
    """Departments and people of a tenant."""

    async def user(self, principal: Principal) -> DirectoryUser | None: ...

    async def has_department(self, tenant_id: str, department_id: str) -> bool: ...

    async def tenant_of(self, department_id: str) -> str | None:
        """The tenant of a department; ids are unique over all tenants."""
        ...

    async def departments(self) -> Sequence[str]:
        """The ids of all departments of all tenants."""
        ...

    async def put(self, documents: Sequence[Document]) -> int:
        """Create documents that are missing; returns how many were."""
        ...
