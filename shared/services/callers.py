"""From a bearer token to the person our directory knows, or a refusal."""

from dataclasses import dataclass

from shared.domain.identity import Caller
from shared.errors import PolicyDenied, Unauthenticated
from shared.ports import Directory, TokenVerifier

_SCHEME = "bearer "


@dataclass(frozen=True)
class Callers:
    """Identifies who is calling; the department comes from the directory, never from the caller."""

    tokens: TokenVerifier
    directory: Directory

    async def identify(self, authorization: str | None) -> Caller:
        """Raise Unauthenticated without a valid token, PolicyDenied for people we do not know."""
        if not authorization or not authorization.lower().startswith(_SCHEME):
            raise Unauthenticated("Send an access token: Authorization: Bearer <token>.")
        principal = await self.tokens.verify(authorization[len(_SCHEME) :].strip())
        user = await self.directory.user(principal)
        if user is None:
            raise PolicyDenied(
                "Your account is not in the directory; ask an administrator to add it.",
                code="unknown_user",
            )
        return Caller(principal, user.department_id, user.cost_centre_id)
