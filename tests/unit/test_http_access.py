"""Whom the access log names when a request is refused at the door."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import azure.functions as func
import pytest

from devhost.local_settings import setting_values
from devhost.ports import Ports
from functions import names
from functions.http_auth import CSRF_HEADER, DEVICE_COOKIE, SESSION_COOKIE
from functions.http_support import handle
from shared import wiring
from shared.domain.access_events import policy_version
from shared.domain.access_tokens import AccessToken, StepUpTerms
from shared.domain.identity import Principal
from shared.domain.users import DirectoryUser, known_caller
from shared.errors import Unauthenticated
from shared.services.access_log import AccessLog
from shared.services.callers import Callers
from shared.services.sign_ins import SignInWish
from shared.services.step_up import StepUp
from shared.settings import load_settings
from tests.fakes.audit_log import FakeAuditLog
from tests.fakes.directory import FakeDirectory
from tests.fakes.sign_in import TENANT
from tests.unit.sign_in_world import AVA, BROWSER, World

ORIGIN = "https://eig.example"
PERSON = Principal(TENANT, AVA)
SERVICE = replace(PERSON, kind="service")
KNOWN = DirectoryUser("marketing")
MANY_SECONDS = 3_600


@dataclass
class OneToken:
    """Implements TokenVerifier: the token "good" proves a principal."""

    principal: Principal = PERSON
    takes_challenges: bool = False

    async def verify(self, token: str) -> AccessToken:
        if token != "good":
            raise Unauthenticated("no")
        return AccessToken(self.principal, takes_challenges=self.takes_challenges)

    async def authorization_uri(self, _tenant_id: str) -> str:
        return "https://issuer.example/authorize"


@dataclass
class Door:
    """The HTTP edge over fakes, where every change wants more proof."""

    world: World = field(default_factory=World)
    events: FakeAuditLog = field(default_factory=FakeAuditLog)

    def open(self, user: DirectoryUser | None, tokens: OneToken) -> None:
        users = {f"{TENANT}.{AVA}": user} if user else {}
        services = wiring.Services(load_settings(setting_values(Ports())))
        step_up = StepUp(StepUpTerms({TENANT: "c1"}), tokens, self.world.clock)
        services.__dict__ |= {
            "callers": Callers(tokens, FakeDirectory(users), step_up, self.world.sessions, ORIGIN),
            "access_log": AccessLog(self.events, self.world.clock, b"k" * 32, MANY_SECONDS),
        }
        wiring.install(services)

    async def refused(self, headers: Mapping[str, str]) -> tuple[str, Mapping[str, Any]]:
        """The code of a refused change, and the one event about it."""

        async def act(_: object) -> func.HttpResponse:
            raise AssertionError("it was let in")

        url = f"{ORIGIN}/api/v1/budgets/organisation"
        request = func.HttpRequest("PUT", url, headers=dict(headers), body=b"")
        await handle(request, act, route=names.PUT_BUDGET)
        (event,) = self.events.events.values()
        return str(event["reason"]), event


@pytest.fixture
def door() -> Iterator[Door]:
    yield Door()
    wiring.install(None)


def is_named(event: Mapping[str, Any], principal: Principal, user: DirectoryUser) -> bool:
    caller = known_caller(principal, user)
    assert caller is not None
    return (event["actor"], event["actor_role"], event["details"]["policy_version"]) == (
        caller.key,
        "StandardUser",
        policy_version(caller),
    )


@pytest.mark.parametrize(
    ("principal", "user", "takes_challenges", "code"),
    [
        (PERSON, KNOWN, False, "step_up_required"),
        (PERSON, KNOWN, True, "insufficient_claims"),
        (PERSON, replace(KNOWN, status="disabled"), False, "account_disabled"),
        (SERVICE, replace(KNOWN, kind="service"), False, "users_only"),
    ],
)
async def test_known_person_is_named_whatever_refuses_them(
    door: Door, principal: Principal, user: DirectoryUser, takes_challenges: bool, code: str
) -> None:
    door.open(user, OneToken(principal, takes_challenges))
    reason, event = await door.refused({"Authorization": "Bearer good"})
    assert reason == code
    assert is_named(event, principal, user)


async def test_known_person_is_named_when_a_page_forgets_the_csrf_token(door: Door) -> None:
    _, pending = await door.world.sign_ins.begin(SignInWish())
    browser = replace(BROWSER, device_secret="d" * 43)
    done = await door.world.sign_ins.complete(
        pending.cookie(), pending.state, AVA, browser, correlation_id="c"
    )
    door.open(KNOWN, OneToken())
    reason, event = await door.refused(
        {
            "Cookie": f"{SESSION_COOKIE}={done.token_text}; {DEVICE_COOKIE}={'d' * 43}",
            "User-Agent": BROWSER.agent,
            "Origin": ORIGIN,
            CSRF_HEADER: "another",
        }
    )
    assert reason == "csrf_token_needed"
    assert is_named(event, PERSON, KNOWN)


@pytest.mark.parametrize(
    "user", [None, replace(KNOWN, status="deleted"), replace(KNOWN, kind="service")]
)
async def test_stranger_has_neither_role_nor_policy(door: Door, user: DirectoryUser | None) -> None:
    door.open(user, OneToken())
    reason, event = await door.refused({"Authorization": "Bearer good"})
    assert reason == "unknown_user"
    assert (event["actor"], event["actor_role"]) == (PERSON.key, "none")
    assert event["details"]["policy_version"] is None
