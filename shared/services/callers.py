"""From a bearer token or a session's cookie to the person our directory knows, or a refusal."""

from dataclasses import dataclass, field
from typing import Final

from shared.domain.access_tokens import Authentication
from shared.domain.browsers import BrowserRequest, check_csrf_token, check_origin
from shared.domain.identity import Principal
from shared.domain.users import DirectoryUser, caller_of
from shared.errors import PolicyDenied, Unauthenticated
from shared.ports import Directory, TokenVerifier
from shared.services.sessions import OpenSession, Sessions
from shared.services.step_up import Answering, StepUp

_SCHEME: Final = "bearer "
_NOT_LET_IN: Final = frozenset({"unknown_user", "account_disabled"})


@dataclass(frozen=True)
class Credentials:
    """What a request shows; with an Authorization header its cookies are not looked at."""

    authorization: str | None = field(repr=False)
    browser: BrowserRequest
    session_text: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Demand:
    """What a route wants of its callers beyond being known."""

    lets_apps_in: bool = False
    steps_up: bool = False
    rotates: bool = False  # the session gets a new secret if it may


@dataclass(frozen=True)
class Authenticated:
    """Who it is, proven; whether we know them and let them in is not decided yet."""

    principal: Principal
    authentication: Authentication
    answering: Answering  # what a demand for more proof looks like to this client
    session: OpenSession | None = None  # if it was a cookie that told so


@dataclass(frozen=True)
class Callers:
    """Identifies who is calling; role and department come from the directory, on each request.

    First `authenticate`, then `recognise`, then `admit`: in between, the browser's new secret is
    put on its way, so that no refusal can lose it, and the log is told whom a refusal meets.
    """

    tokens: TokenVerifier
    directory: Directory
    step_up: StepUp
    sessions: Sessions | None  # None: no browser can sign in here
    own_origin: str | None

    async def authenticate(
        self, shown: Credentials, demand: Demand, correlation_id: str
    ) -> Authenticated:
        """Raise Unauthenticated without a valid token or a session that lives."""
        if shown.authorization is None and shown.session_text and self.sessions:
            check_origin(shown.browser, self.own_origin or "")
            opened = await self.sessions.open(
                shown.session_text,
                shown.browser.device,
                correlation_id,
                wants_rotation=demand.rotates,
            )
            principal = Principal(opened.tenant_id, opened.object_id)
            return Authenticated(principal, opened.session.authentication, "sign_in", opened)
        text = shown.authorization or ""
        if not text.lower().startswith(_SCHEME):
            raise Unauthenticated("Send an access token: Authorization: Bearer <token>.")
        token = await self.tokens.verify(text[len(_SCHEME) :].strip())
        answering: Answering = "challenge" if token.takes_challenges else "refusal"
        return Authenticated(token.principal, token.authentication, answering)

    async def recognise(self, who: Authenticated) -> DirectoryUser | None:
        """What the directory says of them; it decides nothing yet."""
        return await self.directory.user(who.principal)

    async def admit(
        self,
        who: Authenticated,
        user: DirectoryUser | None,
        shown: Credentials,
        demand: Demand,
        correlation_id: str,
    ) -> None:
        """Raise PolicyDenied for whom we do not know or let in here, and for forged requests; and
        the challenge of a route that wants more proof."""
        if who.session:
            check_csrf_token(shown.browser, who.session.session.csrf_token)
        if who.principal.kind == "service" and not demand.lets_apps_in:
            raise PolicyDenied("This is for people; an app cannot do it.", code="users_only")
        try:
            caller_of(who.principal, user)
        except PolicyDenied as denied:
            if who.session and self.sessions and denied.problem_code in _NOT_LET_IN:
                key = (who.principal.tenant_id, who.principal.object_id)
                await self.sessions.revoke_all(*key, correlation_id, "disabled")
            raise
        if who.session and self.sessions and user:
            await self.sessions.check_begun_after(who.session, user.inactive_at, correlation_id)
        if demand.steps_up:
            await self.step_up.require(
                who.principal.tenant_id,
                who.authentication,
                who.answering,
            )
