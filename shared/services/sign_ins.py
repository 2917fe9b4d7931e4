"""Signing in and out in a browser: to the issuer, back with a code, into a session."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shared.domain.access_tokens import Authentication, StepUpTerms, claims_parameter, unmet_claims
from shared.domain.audit_events import AuditEvent
from shared.domain.browsers import BrowserRequest, is_device_secret
from shared.domain.identity import Principal
from shared.domain.sessions import read_token
from shared.domain.sign_ins import PendingSignIn, base64url, is_return_path, read_pending
from shared.domain.users import caller_of
from shared.errors import Invalid, PolicyDenied, Unauthenticated, Unavailable
from shared.ports import Clock, Directory
from shared.ports.sessions import AuthorizationRequest, SignIn
from shared.services.sessions import OpenSession, Sessions

HOME: Final = "/"


@dataclass(frozen=True)
class SignInWish:
    """What a browser asks for."""

    return_to: str = HOME
    steps_up: bool = False
    session_text: str | None = None  # the cookie of the session that steps up


@dataclass(frozen=True)
class Completed:
    """A session that has just been opened, and what the browser gets for it."""

    opened: OpenSession
    device_secret: str = field(repr=False)
    return_to: str

    @property
    def token_text(self) -> str:
        return self.opened.token.text() if self.opened.token else ""


@dataclass(frozen=True)
class SignIns:
    """The authorization code flow; the browser never sees a token of the issuer."""

    sign_in: SignIn
    sessions: Sessions
    directory: Directory
    terms: StepUpTerms
    tenant_id: str
    clock: Clock
    new_secret: Callable[[], bytes]

    async def begin(self, wish: SignInWish) -> tuple[str, PendingSignIn]:
        """Where to send the browser, and what it keeps meanwhile."""
        if not is_return_path(wish.return_to):
            raise Invalid("return_to must be a path of this site.", code="invalid_return_to")
        old = read_token(wish.session_text or "")
        pending = PendingSignIn(
            secret=self.new_secret(),
            begun_at=self.clock.now().replace(microsecond=0),
            return_to=wish.return_to,
            replaces=old.family_id if old else None,
        )
        unmet = self._unmet() if wish.steps_up else {}
        request = AuthorizationRequest(
            state=pending.state,
            nonce=pending.nonce,
            code_challenge=pending.code_challenge,
            claims=claims_parameter("id_token", unmet) if unmet else None,
            must_prompt=wish.steps_up and self.terms.age_max is not None,
        )
        return await self.sign_in.authorization_url(request), pending

    async def complete(
        self,
        cookie: str,
        state: str,
        code: str | None,
        request: BrowserRequest,
        *,
        correlation_id: str,
    ) -> Completed:
        """The session, and where the browser wanted to go.

        Raises Unauthenticated for an answer that this browser did not ask for, PolicyDenied for
        people our directory does not let in.
        """
        pending = read_pending(cookie)
        if pending is None or not pending.is_answered_by(state, self.clock.now()) or not code:
            raise Unauthenticated(
                "The sign-in did not succeed; start it again.", code="sign_in_failed"
            )
        who = await self.sign_in.redeem(code, pending.code_verifier, pending.nonce)
        person = Principal(who.tenant_id, who.object_id)
        inactive_at = await self._last_inactive(person, correlation_id)
        known = request.device_secret
        device = known if known and is_device_secret(known) else base64url(self.new_secret())
        opened = await self.sessions.start(
            who,
            replace(request, device_secret=device).device,
            correlation_id,
            pending.replaces,
            inactive_at,
        )
        return Completed(opened, device, pending.return_to)

    async def end(self, opened: OpenSession, correlation_id: str) -> str:
        """End a session; the address at which the browser leaves the issuer, too."""
        await self.sessions.end_own(opened, "signed_out", correlation_id)
        try:
            return await self.sign_in.sign_out_url()
        except Unavailable:  # ours has ended; that is what was asked for
            return HOME

    async def _last_inactive(self, principal: Principal, correlation_id: str) -> datetime | None:
        """When the person was last shut out; for whom the directory does not let in now, raise
        PolicyDenied and note it."""
        user = await self.directory.user(principal)
        try:
            caller_of(principal, user)
        except PolicyDenied as denied:
            event = AuditEvent(
                action="sign_in.denied",
                object_id=f"sign_in:{self.clock.new_id()}",
                actor=principal.key,
                actor_role="none",
                outcome="denied",
                occurred_at=self.clock.now().isoformat(),
                correlation_id=correlation_id,
                reason=denied.problem_code,
            )
            await self.sessions.store.note(principal.tenant_id, principal.object_id, event)
            raise
        return user.inactive_at if user else None

    def _unmet(self) -> dict[str, object]:
        return unmet_claims(self.terms, self.tenant_id, Authentication(), self.clock.now())
