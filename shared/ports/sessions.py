"""Where sessions are kept, and the issuer that browsers sign in at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.access_tokens import Authentication
from shared.domain.audit_events import AuditEvent
from shared.domain.sessions import PersonSessions


class SessionStore(Protocol):
    """One document per person."""

    async def find(self, tenant_id: str, object_id: str) -> PersonSessions:
        """What is kept of a person's sessions; revision 0 if nothing is."""
        ...

    async def write(self, after: PersonSessions, events: Sequence[AuditEvent]) -> bool:
        """Write the next revision and its events in one transaction; False if another stands."""
        ...

    async def note(self, tenant_id: str, object_id: str, event: AuditEvent) -> None:
        """Keep an event that changed nothing: a refusal."""
        ...


@dataclass(frozen=True)
class AuthorizationRequest:
    """What the issuer is asked when a browser is sent to it; `claims` as OpenID Connect has it."""

    state: str
    nonce: str
    code_challenge: str
    claims: str | None = None
    must_prompt: bool = False  # the person signs in anew, whatever the issuer remembers


@dataclass(frozen=True)
class SignedIn:
    """Whom the issuer vouches for; the refresh token is the issuer's own."""

    tenant_id: str
    object_id: str
    authentication: Authentication
    refresh_token: str | None = field(default=None, repr=False)


class SignIn(Protocol):
    """The issuer's authorization code flow, as a confidential client with PKCE."""

    async def authorization_url(self, request: AuthorizationRequest) -> str: ...

    async def redeem(self, code: str, code_verifier: str, nonce: str) -> SignedIn:
        """Raise Unauthenticated for a code that is not good, Unavailable without an answer."""
        ...

    async def renew(self, refresh_token: str) -> SignedIn | None:
        """Whether the account may still sign in; None if the issuer says no; or Unavailable."""
        ...

    async def sign_out_url(self) -> str:
        """Where the browser ends its session at the issuer."""
        ...
