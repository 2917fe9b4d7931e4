"""What happens to a person's sessions: each rule takes what stands and says what stands next.

The rules are pure, so a lost race is simply decided again from what stands then. A token of the
past that comes back from anywhere but a lost answer has been copied: its family ends. So it does
when another browser than the one that signed in would get the next token.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.domain.audit_events import AuditEvent
from shared.domain.sessions import (
    Device,
    PersonSessions,
    Session,
    SessionPolicy,
    SessionToken,
    sha256_hex,
)

GRACE: Final = timedelta(seconds=30)  # for an answer that was lost, and for requests side by side
SEEN_STEP: Final = timedelta(seconds=60)  # how exactly use is noted: a write a minute, not more
SYSTEM: Final = "system:sessions"
EndReason = Literal[
    "signed_out", "revoked", "idle", "too_old", "reuse", "replaced", "too_many", "disabled",
    "refused_by_issuer", "unconfirmed",
]  # fmt: skip
Standing = Literal["current", "previous", "stolen"]


@dataclass(frozen=True)
class Fresh:
    """What a rule may need that must not be known before: random bytes and an id."""

    salt: bytes
    change_id: str


@dataclass(frozen=True)
class Decision:
    """The next state (None: nothing to write), and what the browser gets."""

    after: PersonSessions | None = None
    session: Session | None = None  # the one that was asked for, if it lives
    token: SessionToken | None = None  # that the browser does not have yet
    started: Session | None = None
    rotated: Session | None = None
    ended: tuple[tuple[Session, EndReason], ...] = ()


def present(
    person: PersonSessions,
    token: SessionToken,
    device: Device,
    *,
    now: datetime,
    policy: SessionPolicy,
    fresh: Fresh,
    wants_rotation: bool = False,
) -> Decision:
    """A browser shows a token: it opens its session, perhaps for a newer token, or ends it."""
    session = person.find(token.family_id)
    if session is None:
        return Decision()
    if reason := expired(session, now, policy):
        return ended(person, lambda each: each is session, reason, fresh)
    age = now - session.rotated_at
    is_due = age >= policy.rotate_after or (wants_rotation and age >= GRACE)
    standing = _standing(session, token.secret, device, now, is_due=is_due)
    if standing == "stolen":
        return ended(person, lambda each: each is session, "reuse", fresh)
    if standing == "previous":
        secret = _successor(bytes.fromhex(session.successor_salt), token.secret)
        return Decision(session=session, token=replace(token, secret=secret))
    if is_due:
        return _rotated(person, replace(session, device=device), token, now, fresh)
    if now - session.seen_at >= SEEN_STEP:
        seen = replace(session, seen_at=now)
        return Decision(_with(person, seen, fresh), session=seen)
    return Decision(session=session)


def started(
    person: PersonSessions,
    session: Session,
    *,
    now: datetime,
    policy: SessionPolicy,
    fresh: Fresh,
    replaces: str | None = None,
    inactive_at: datetime | None = None,
) -> Decision:
    """A sign-in: it replaces the session it stepped up from; the oldest make room.

    `inactive_at` is when the person was last shut out: nothing of before lives on.
    """
    ends: list[tuple[Session, EndReason]] = []
    kept: list[Session] = []
    for each in person.sessions:
        reason = expired(each, now, policy)
        if reason is None and is_of_before(each, inactive_at):
            reason = "disabled"
        if reason is None and each.family_id == replaces:
            reason = "replaced"
            # More proof is not a new day: the absolute limit stays where it was.
            session = replace(session, created_at=min(session.created_at, each.created_at))
        if reason is None:
            kept.append(each)
        else:
            ends.append((each, reason))
    kept.sort(key=lambda each: each.created_at)
    while len(kept) >= policy.sessions_max:
        ends.append((kept.pop(0), "too_many"))
    after = person.changed((*kept, session), fresh.change_id)
    return Decision(after, session=session, started=session, ended=tuple(ends))


def ended(
    person: PersonSessions, which: Callable[[Session], bool], reason: EndReason, fresh: Fresh
) -> Decision:
    """Some sessions end."""
    ends = tuple((each, reason) for each in person.sessions if which(each))
    if not ends:
        return Decision()
    kept = tuple(each for each in person.sessions if not which(each))
    return Decision(person.changed(kept, fresh.change_id), ended=ends)


def checked(
    person: PersonSessions,
    family_id: str,
    now: datetime,
    refresh_token: Mapping[str, Any] | None,
    fresh: Fresh,
) -> Decision:
    """The issuer said again that the account may sign in."""
    session = person.find(family_id)
    if session is None:
        return Decision()
    sure = replace(session, checked_at=now, refresh_token=refresh_token)
    return Decision(_with(person, sure, fresh), session=sure)


def is_of_before(session: Session, inactive_at: datetime | None) -> bool:
    """Whether its person has been shut out since it began, even if they are let in again."""
    return inactive_at is not None and session.created_at <= inactive_at


def expired(session: Session, now: datetime, policy: SessionPolicy) -> EndReason | None:
    """Why time has ended a session; None while it lives."""
    if now - session.created_at >= policy.absolute:
        return "too_old"
    return "idle" if now - session.seen_at >= policy.idle else None


def events_of(
    decision: Decision,
    person: PersonSessions,
    now: datetime,
    correlation_id: str,
    actor: tuple[str, str] | None = None,
) -> list[AuditEvent]:
    """One event for each session that starts, ends or gets a new secret; use alone is none.

    `actor` is who did it and their role, if it was not the person.
    """
    own = (person.user_key, "user")

    def event(
        session: Session, action: str, who: tuple[str, str], reason: str | None = None
    ) -> AuditEvent:
        return AuditEvent(
            action=action,
            object_id=f"session:{session.public_id}",
            actor=who[0],
            actor_role=who[1],
            outcome="denied" if reason == "reuse" else "success",
            occurred_at=now.isoformat(),
            correlation_id=correlation_id,
            reason=reason,
            details={"user": person.user_key, "generation": session.generation},
        )

    events = [
        event(session, "session.ended", _ender(reason, actor or own), reason)
        for session, reason in decision.ended
    ]
    if decision.started:
        events.append(event(decision.started, "session.started", own))
    if decision.rotated:
        action = f"session.rotated.{decision.rotated.generation}"
        events.append(event(decision.rotated, action, own))
    return events


def _ender(reason: EndReason, actor: tuple[str, str]) -> tuple[str, str]:
    return actor if reason in ("signed_out", "revoked", "replaced") else (SYSTEM, "system")


def _standing(
    session: Session, secret: bytes, device: Device, now: datetime, *, is_due: bool
) -> Standing:
    """Whose a secret is; a browser that is not the session's gets none when one is due."""
    shown = sha256_hex(secret)
    is_current = hmac.compare_digest(shown, session.secret_sha256)
    is_previous = hmac.compare_digest(shown, session.previous_sha256 or "")
    is_device = hmac.compare_digest(device.secret_sha256, session.device.secret_sha256)
    is_agent = hmac.compare_digest(device.agent_sha256, session.device.agent_sha256)
    if is_current and is_device:
        return "current" if is_agent or not is_due else "stolen"
    is_soon = abs(now - session.rotated_at) <= GRACE
    return "previous" if is_previous and is_device and is_agent and is_soon else "stolen"


def _rotated(
    person: PersonSessions, session: Session, token: SessionToken, now: datetime, fresh: Fresh
) -> Decision:
    secret = _successor(fresh.salt, token.secret)
    following = replace(
        session,
        seen_at=now,
        rotated_at=now,
        secret_sha256=sha256_hex(secret),
        previous_sha256=session.secret_sha256,
        successor_salt=fresh.salt.hex(),
        generation=session.generation + 1,
    )
    return Decision(
        _with(person, following, fresh),
        session=following,
        token=replace(token, secret=secret),
        rotated=following,
    )


def _successor(salt: bytes, secret: bytes) -> bytes:
    """The next secret: a copy of the store does not give it, nor does the old secret alone."""
    return hmac.digest(salt, secret, "sha256")


def _with(person: PersonSessions, session: Session, fresh: Fresh) -> PersonSessions:
    sessions = tuple(
        session if each.family_id == session.family_id else each for each in person.sessions
    )
    return person.changed(sessions, fresh.change_id)
