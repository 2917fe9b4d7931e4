"""Who is calling, and what the directory knows of them."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.access_tokens import AccessToken
from shared.domain.identity import Principal
from shared.domain.users import DirectoryUser


class TokenVerifier(Protocol):
    """Turns a bearer token into what it proves."""

    async def verify(self, token: str) -> AccessToken:
        """Raise Unauthenticated for every token that is not exactly right."""
        ...

    async def authorization_uri(self, tenant_id: str) -> str:
        """Where people of a tenant sign in."""
        ...


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
