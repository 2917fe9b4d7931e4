"""The issuer that browsers sign in at, in memory."""

from dataclasses import dataclass, field
from typing import Literal

from shared.domain.access_tokens import Authentication
from shared.errors import Unauthenticated, Unavailable
from shared.ports.sessions import AuthorizationRequest, SignedIn

TENANT = "11111111-1111-4111-8111-111111111111"


@dataclass
class FakeSignIn:
    """Implements the SignIn port: codes and refresh tokens are the object ids of people."""

    mood: Literal["confirms", "refuses", "is_silent"] = "confirms"
    authentication: Authentication = field(default_factory=Authentication)
    asked: list[AuthorizationRequest] = field(default_factory=list)
    redeemed: list[tuple[str, str, str]] = field(default_factory=list)
    renewals: int = 0
    gives_refresh_tokens: bool = True

    async def authorization_url(self, request: AuthorizationRequest) -> str:
        self.asked.append(request)
        return f"https://issuer.example/authorize?state={request.state}"

    async def redeem(self, code: str, code_verifier: str, nonce: str) -> SignedIn:
        self.redeemed.append((code, code_verifier, nonce))
        if self.mood == "refuses":
            raise Unauthenticated("The sign-in did not succeed.", code="sign_in_failed")
        return self._person(code)

    async def renew(self, refresh_token: str) -> SignedIn | None:
        self.renewals += 1
        if self.mood == "is_silent":
            raise Unavailable("The issuer does not answer.")
        return None if self.mood == "refuses" else self._person(refresh_token)

    async def sign_out_url(self) -> str:
        if self.mood == "is_silent":
            raise Unavailable("The issuer does not answer.")
        return "https://issuer.example/logout"

    def _person(self, object_id: str) -> SignedIn:
        token = object_id if self.gives_refresh_tokens else None
        return SignedIn(TENANT, object_id, self.authentication, refresh_token=token)
