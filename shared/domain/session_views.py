"""Browser sessions as the API shows them."""

from datetime import datetime

from pydantic import Field

from shared.domain.identity import Caller
from shared.domain.sessions import Session, SessionPolicy
from shared.domain.views import View


class SessionView(View):
    """One session in the list of a person's devices."""

    id: str
    is_current: bool = Field(description="the one that this request came with")
    device: str
    network: str | None = Field(description="the address without its last part")
    created_at: datetime
    seen_at: datetime = Field(description="exact to a minute")
    ends_at: datetime = Field(description="if it is not used any more")


class SessionList(View):
    """A person's sessions, the last used first."""

    items: tuple[SessionView, ...]


class CurrentSessionView(View):
    """What a page needs to know of the session that it has."""

    session: SessionView
    csrf_token: str = Field(description="for the header X-CSRF-Token of unsafe requests")
    tenant_id: str
    object_id: str
    department_id: str
    role: str


class SignedOutView(View):
    """The session has ended; the issuer's may go on until the browser has been there."""

    sign_out_url: str


class RevokedView(View):
    """How many sessions ended."""

    ended: int


def session_view(session: Session, policy: SessionPolicy, current: str | None) -> SessionView:
    return SessionView(
        id=session.public_id,
        is_current=session.family_id == current,
        device=session.device.label,
        network=session.device.address_prefix or None,
        created_at=session.created_at,
        seen_at=session.seen_at,
        ends_at=session.ends_at(policy),
    )


def current_session_view(
    session: Session, policy: SessionPolicy, caller: Caller
) -> CurrentSessionView:
    return CurrentSessionView(
        session=session_view(session, policy, session.family_id),
        csrf_token=session.csrf_token,
        tenant_id=caller.tenant_id,
        object_id=caller.principal.object_id,
        department_id=caller.department_id,
        role=caller.role_id,
    )
