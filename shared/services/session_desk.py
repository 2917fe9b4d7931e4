"""What people and administrators do with sessions: look, sign out, end those of lost devices."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.identity import Caller, Ownership, Permission, Principal, require
from shared.domain.roles import check_outranks
from shared.domain.session_views import (
    CurrentSessionView,
    RevokedView,
    SessionList,
    SignedOutView,
    current_session_view,
    session_view,
)
from shared.errors import Conflict, NotFound
from shared.ports import Directory
from shared.services.sessions import OpenSession, Sessions
from shared.services.sign_ins import SignIns

OBJECT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NO_SUCH: Final = "There is no such person."


@dataclass(frozen=True)
class SessionDesk:
    """Own sessions for everybody; those of others for who may revoke sessions."""

    sessions: Sessions
    sign_ins: Callable[[], SignIns]  # asked for only where a session exists, so it is configured
    directory: Directory

    def current(self, caller: Caller, opened: OpenSession | None) -> CurrentSessionView:
        """The session that a request came with."""
        return current_session_view(_required(opened).session, self.sessions.policy, caller)

    async def sign_out(self, opened: OpenSession | None, correlation_id: str) -> SignedOutView:
        """End the session that a request came with."""
        url = await self.sign_ins().end(_required(opened), correlation_id)
        return SignedOutView(sign_out_url=url)

    async def list(self, caller: Caller, opened: OpenSession | None) -> SessionList:
        current = opened.session.family_id if opened else None
        found = await self.sessions.listed(caller)
        policy = self.sessions.policy
        return SessionList(items=tuple(session_view(each, policy, current) for each in found))

    async def revoke(self, caller: Caller, public_id: str, correlation_id: str) -> None:
        await self.sessions.revoke_one(caller, public_id, correlation_id)

    async def revoke_all(self, caller: Caller, object_id: str, correlation_id: str) -> RevokedView:
        """End all sessions of a person, as far as the permission reaches."""
        person = Principal(caller.tenant_id, object_id)
        if person.key != caller.key:
            is_id = OBJECT_ID.fullmatch(object_id) is not None
            user = await self.directory.user(person) if is_id else None
            if user is None:
                raise NotFound(NO_SUCH)
            owner = Ownership(caller.tenant_id, user.department_id, person.key)
            require(caller, Permission.SESSIONS_REVOKE, owner, "person")
            check_outranks(caller, user.role)  # else an administrator could keep the one above out
        ended = await self.sessions.revoke_all(
            caller.tenant_id,
            object_id,
            correlation_id,
            actor=(caller.key, caller.role_id),
        )
        return RevokedView(ended=ended)


def _required(opened: OpenSession | None) -> OpenSession:
    if opened is None:
        raise Conflict("This request came with a token, not with a session.", code="no_session")
    return opened
