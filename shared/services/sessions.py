"""Browser sessions: opened by a cookie, renewed on the way, ended by people, time and theft."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.identity import Caller
from shared.domain.session_rules import (
    Decision,
    EndReason,
    Fresh,
    checked,
    ended,
    events_of,
    expired,
    is_of_before,
    present,
    started,
)
from shared.domain.sessions import (
    Device,
    PersonSessions,
    Session,
    SessionPolicy,
    SessionToken,
    read_token,
    sha256_hex,
)
from shared.errors import EigError, InvariantBroken, NotFound, Unauthenticated, Unavailable
from shared.ports import Clock
from shared.ports.sessions import SessionStore, SignedIn
from shared.services.session_checks import CheckOutcome, SessionChecks

CHANGE_TRIES_MAX: Final = 6  # of one person's sessions by requests side by side
CHECK_AFTER: Final = timedelta(minutes=15)  # the issuer is asked on the next renewal after that
CHECK_AGE_MAX: Final = timedelta(minutes=60)  # an access token would live as long unasked

Decide = Callable[[PersonSessions, Fresh], Decision]
logger = logging.getLogger("eig.sessions")


@dataclass(frozen=True)
class OpenSession:
    """A session that a request has opened; `token` is what the browser must keep from now on."""

    tenant_id: str
    object_id: str
    session: Session
    token: SessionToken | None = None


@dataclass(frozen=True)
class Sessions:
    """A person's sessions are one document: each change is decided on what stands, or again."""

    store: SessionStore
    checks: SessionChecks
    policy: SessionPolicy
    clock: Clock
    new_secret: Callable[[], bytes]
    count_copied: Callable[[], None]  # operators are called by this figure: logs are sampled

    async def start(
        self,
        who: SignedIn,
        device: Device,
        correlation_id: str,
        replaces: str | None = None,
        inactive_at: datetime | None = None,
    ) -> OpenSession:
        """Open a session for a sign-in: always a new family with a new secret."""
        now = self.clock.now()
        family_id, secret = self.new_secret()[:16].hex(), self.new_secret()
        session = Session(
            family_id=family_id,
            device=device,
            created_at=now,
            seen_at=now,
            rotated_at=now,
            secret_sha256=sha256_hex(secret),
            previous_sha256=None,
            successor_salt=self.new_secret().hex(),
            csrf_salt=self.new_secret().hex(),
            authentication=who.authentication,
            checked_at=now,
            refresh_token=await self.checks.sealed(who, family_id),
        )
        token = SessionToken(who.tenant_id, who.object_id, family_id, secret)

        def decide(person: PersonSessions, fresh: Fresh) -> Decision:
            if person.find(family_id):  # committed, though its answer was lost
                return Decision(session=person.find(family_id))
            return started(
                person,
                session,
                now=now,
                policy=self.policy,
                fresh=fresh,
                replaces=replaces,
                inactive_at=inactive_at,
            )

        decision = await self._change(who.tenant_id, who.object_id, decide, correlation_id)
        if decision.session is None:
            raise InvariantBroken("A session that was opened is not there.")
        return OpenSession(who.tenant_id, who.object_id, decision.session, token)

    async def open(
        self, text: str, device: Device, correlation_id: str, *, wants_rotation: bool = False
    ) -> OpenSession:
        """Raise Unauthenticated unless the cookie's token opens a session that lives."""
        token = read_token(text)
        if token is None:
            raise _ended()

        def decide(person: PersonSessions, fresh: Fresh) -> Decision:
            return present(
                person,
                token,
                device,
                now=self.clock.now(),
                policy=self.policy,
                fresh=fresh,
                wants_rotation=wants_rotation,
            )

        decision = await self._change(token.tenant_id, token.object_id, decide, correlation_id)
        if decision.session is None:
            raise _ended()
        opened = OpenSession(token.tenant_id, token.object_id, decision.session, decision.token)
        if decision.rotated:  # one request of those side by side, so the issuer is asked once
            await self._check_account(opened, correlation_id)
        return opened

    async def check_begun_after(
        self, opened: OpenSession, inactive_at: datetime | None, correlation_id: str
    ) -> None:
        """End a session, and raise Unauthenticated, if its person was shut out since it began."""
        if is_of_before(opened.session, inactive_at):
            await self.end_own(opened, "disabled", correlation_id)
            raise _ended()

    async def end_own(self, opened: OpenSession, reason: EndReason, correlation_id: str) -> None:
        """End the session that a request came with."""
        await self._end(
            opened.tenant_id,
            opened.object_id,
            lambda each: each.family_id == opened.session.family_id,
            reason,
            correlation_id=correlation_id,
        )

    async def listed(self, caller: Caller) -> Sequence[Session]:
        """The caller's own sessions that live, the last used first."""
        now = self.clock.now()
        person = await self.store.find(caller.tenant_id, caller.principal.object_id)
        alive = [each for each in person.sessions if expired(each, now, self.policy) is None]
        return sorted(alive, key=lambda each: each.seen_at, reverse=True)

    async def revoke_one(self, caller: Caller, public_id: str, correlation_id: str) -> None:
        """End one of the caller's own sessions."""
        gone = await self._end(
            caller.tenant_id,
            caller.principal.object_id,
            lambda each: each.public_id == public_id,
            "revoked",
            correlation_id=correlation_id,
        )
        if not gone:
            raise NotFound("There is no such session.")

    async def revoke_all(
        self,
        tenant_id: str,
        object_id: str,
        correlation_id: str,
        reason: EndReason = "revoked",
        actor: tuple[str, str] | None = None,
    ) -> int:
        """End all sessions of a person; returns how many there were."""
        return await self._end(
            tenant_id,
            object_id,
            lambda _: True,
            reason,
            correlation_id=correlation_id,
            actor=actor,
        )

    async def _check_account(self, opened: OpenSession, correlation_id: str) -> None:
        """Ask the issuer from time to time whether the account may still sign in."""
        session = opened.session
        age = self.clock.now() - session.checked_at
        if age < CHECK_AFTER:
            return
        outcome = await self._asked(opened, correlation_id)
        if outcome.is_refused or (age >= CHECK_AGE_MAX and not outcome.is_confirmed):
            reason: EndReason = "refused_by_issuer" if outcome.is_refused else "unconfirmed"
            await self.end_own(opened, reason, correlation_id)
            raise _ended()

    async def _asked(self, opened: OpenSession, correlation_id: str) -> CheckOutcome:
        """No failure here may cost the browser the token that it has just been given."""
        session, now = opened.session, self.clock.now()
        try:
            outcome = await self.checks.check(opened.tenant_id, opened.object_id, session)
            if outcome.is_confirmed:
                await self._change(
                    opened.tenant_id,
                    opened.object_id,
                    lambda person, fresh: checked(
                        person, session.family_id, now, outcome.refresh_token, fresh
                    ),
                    correlation_id,
                )
        except EigError:
            logger.warning("an account could not be checked", exc_info=True)
            return CheckOutcome()
        return outcome

    async def _end(
        self,
        tenant_id: str,
        object_id: str,
        which: Callable[[Session], bool],
        reason: EndReason,
        *,
        correlation_id: str,
        actor: tuple[str, str] | None = None,
    ) -> int:
        decision = await self._change(
            tenant_id,
            object_id,
            lambda person, fresh: ended(person, which, reason, fresh),
            correlation_id,
            actor,
        )
        return len(decision.ended)

    async def _change(
        self,
        tenant_id: str,
        object_id: str,
        decide: Decide,
        correlation_id: str,
        actor: tuple[str, str] | None = None,
    ) -> Decision:
        """Decide on what stands and write that; if it no longer stands, decide again."""
        for _ in range(CHANGE_TRIES_MAX):
            person = await self.store.find(tenant_id, object_id)
            decision = decide(person, Fresh(self.new_secret(), self.clock.new_id()))
            if decision.after is None:
                return decision
            events = events_of(decision, person, self.clock.now(), correlation_id, actor)
            if await self.store.write(decision.after, events):
                self._raise_alarm(decision)
                return decision
        raise Unavailable("Too many requests of one session at once.", retry_after_s=1)

    def _raise_alarm(self, decision: Decision) -> None:
        """What alert rules watch for: a copied token was used."""
        for session, reason in decision.ended:
            if reason == "reuse":
                place = f"session:{session.public_id}"
                logger.error("session token used twice", extra={"code": place})
                self.count_copied()


def _ended() -> Unauthenticated:
    return Unauthenticated("Your session has ended; sign in again.", code="session_ended")
