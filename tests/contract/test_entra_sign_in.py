"""The SignIn port against the demo issuer, and against one that answers what it should not."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from devhost.local_settings import home_tenant_id, people
from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.entra_keys import DOCUMENT_BYTES_MAX, EntraKeys
from shared.adapters.entra_sign_in import EntraSignIn, WebClient
from shared.adapters.given_secret import GivenSecret
from shared.adapters.system_clock import SystemClock
from shared.domain.sign_ins import PendingSignIn
from shared.errors import Unauthenticated, Unavailable
from shared.ports.sessions import AuthorizationRequest
from tests.contract.local_issuer import (
    OBJECT_ID,
    TENANT_ID,
    LocalIssuer,
    SetClock,
    new_key,
    signed_token,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CALLBACK = "http://127.0.0.1:7071/api/v1/auth/callback"
PENDING = PendingSignIn(bytes(32), NOW, "/")
WEB = people()["web"]


# The demo issuer


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSimulators]:
    server = await start_simulators(SimulatorOptions(tmp_path_factory.mktemp("issuer"), 0))
    yield server
    await server.stop()


def client_of(server: RunningSimulators, **changes: Any) -> EntraSignIn:
    issuer = f"{server.origin}/{home_tenant_id()}/v2.0"
    values: dict[str, Any] = {
        "issuer": issuer,
        "tenant_id": home_tenant_id(),
        "client_id": WEB["client_id"],
        "client_secret": GivenSecret(WEB["client_secret"]),
        "redirect_uri": CALLBACK,
    }
    client = WebClient(**(values | changes))
    return EntraSignIn(client, EntraKeys(issuer, home_tenant_id(), SystemClock()), SystemClock())


async def picked(url: str, username: str) -> dict[str, str]:
    """What the issuer sends back through the browser of a person."""
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as page:
            assert page.status == 200, await page.text()
            found = re.findall(r'name="(\w+)" value="([^"]*)">', await page.text())
        form = {unescape(k): unescape(v) for k, v in found if k != "username"}
        form["username"] = username
        async with session.post(url.partition("?")[0], data=form, allow_redirects=False) as answer:
            query = urlsplit(answer.headers["Location"]).query
    return {name: values[0] for name, values in parse_qs(query).items()}


def request(**changes: Any) -> AuthorizationRequest:
    values = {
        "state": PENDING.state,
        "nonce": PENDING.nonce,
        "code_challenge": PENDING.code_challenge,
    }
    return AuthorizationRequest(**(values | changes))


async def test_code_is_redeemed_once_for_the_person_who_signed_in(
    server: RunningSimulators,
) -> None:
    sign_in = client_of(server)
    claims = '{"id_token":{"acrs":{"essential":true,"value":"c1"}}}'
    back = await picked(await sign_in.authorization_url(request(claims=claims)), "ava")
    assert back["state"] == PENDING.state
    who = await sign_in.redeem(back["code"], PENDING.code_verifier, PENDING.nonce)
    assert (who.tenant_id, who.object_id) == (home_tenant_id(), people()["users"][0]["oid"])
    assert who.authentication.contexts == {"c1"}
    assert who.authentication.signed_in_at is not None
    with pytest.raises(Unauthenticated):
        await sign_in.redeem(back["code"], PENDING.code_verifier, PENDING.nonce)
    assert who.refresh_token is not None and who.refresh_token not in repr(who)
    again = await sign_in.renew(who.refresh_token)
    assert again is not None and again.object_id == who.object_id
    assert await sign_in.renew("made up") is None
    assert "/logout?" in await sign_in.sign_out_url()


async def test_code_of_another_browser_is_refused(server: RunningSimulators) -> None:
    sign_in = client_of(server)
    for verifier, nonce in (("x" * 43, PENDING.nonce), (PENDING.code_verifier, "x" * 43)):
        back = await picked(await sign_in.authorization_url(request()), "ava")
        with pytest.raises(Unauthenticated):
            await sign_in.redeem(back["code"], verifier, nonce)


async def test_wrong_client_secret_is_our_fault_and_nobodys_else(
    server: RunningSimulators,
) -> None:
    with pytest.raises(Unavailable):
        await client_of(server, client_secret=GivenSecret("wrong")).renew("x")
    with pytest.raises(Unavailable):
        await client_of(server, client_secret=None).redeem("x", "y", "z")


class Rotated:
    """A client secret that was replaced a moment ago."""

    async def value(self) -> str:
        return "old"

    async def renewed(self, refused: str) -> str | None:
        assert refused == "old"
        return str(WEB["client_secret"])


async def test_rotated_client_secret_is_tried_before_giving_up(server: RunningSimulators) -> None:
    assert await client_of(server, client_secret=Rotated()).renew("made up") is None


# An issuer that answers what it should not


class HostileIssuer(LocalIssuer):
    """Its token endpoint answers what a test says."""

    answer: Callable[["HostileIssuer"], web.StreamResponse]

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/token", self._token)
        return app

    def started_at(self, port: int) -> None:
        super().started_at(port)
        origin = f"http://127.0.0.1:{port}"
        self.discovery |= {
            "token_endpoint": f"{origin}/token",
            "authorization_endpoint": f"{origin}/authorize",
        }

    async def _token(self, _: web.Request) -> web.StreamResponse:
        return self.answer(self)

    def id_token(self, **changes: Any) -> str:
        values = {"aud": WEB["client_id"], "nonce": PENDING.nonce, "scp": None, "azp": None}
        return signed_token(self.key, self.header(), self.claims(**(values | changes)))


@pytest.fixture(scope="module")
async def hostile() -> AsyncIterator[HostileIssuer]:
    issuer = HostileIssuer(SetClock(NOW), new_key())
    runner = web.AppRunner(issuer.app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.started_at(runner.addresses[0][1])
    yield issuer
    await runner.cleanup()


@pytest.fixture
def sign_in(hostile: HostileIssuer) -> EntraSignIn:
    client = WebClient(hostile.url, TENANT_ID, WEB["client_id"], None, CALLBACK)
    return EntraSignIn(client, EntraKeys(hostile.url, TENANT_ID, hostile.clock), hostile.clock)


async def redeemed(sign_in: EntraSignIn) -> Any:
    return await sign_in.redeem("code", PENDING.code_verifier, PENDING.nonce)


async def test_right_answer_is_taken(hostile: HostileIssuer, sign_in: EntraSignIn) -> None:
    hostile.answer = lambda i: web.json_response({"id_token": i.id_token()})
    who = await redeemed(sign_in)
    assert (who.object_id, who.refresh_token) == (OBJECT_ID, None)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": None},
        {"nonce": "other"},
        {"nonce": [PENDING.nonce]},
        {"nonce": "\ud800"},
        {"aud": "7d0a2f4e-5b1c-4c39-9e57-0c6f1a2b3d40"},
        {"aud": [WEB["client_id"]]},
        {"tid": "22222222-aaaa-4bbb-8ccc-000000000002"},
        {"iss": "https://login.attacker.invalid/v2.0"},
        {"exp": int(NOW.timestamp()) - 61},
        {"nbf": int(NOW.timestamp()) + 61},
        {"ver": "1.0"},
        {"oid": None},
        {"oid": "ava@contoso.example"},
        {"scp": "Images.Generate"},
        {"acrs": "c1"},
        {"auth_time": "now"},
        {"auth_time": int(NOW.timestamp()) + 61},
    ],
)
async def test_id_token_that_is_not_exactly_right_signs_nobody_in(
    claims: dict[str, Any], hostile: HostileIssuer, sign_in: EntraSignIn
) -> None:
    hostile.answer = lambda i: web.json_response({"id_token": i.id_token(**claims)})
    with pytest.raises(Unauthenticated) as refused:
        await redeemed(sign_in)
    assert refused.value.problem_code == "sign_in_failed"


@pytest.mark.parametrize("token", [None, "", 7, "a.b.c", ["x"]])
async def test_answer_without_an_id_token_signs_nobody_in(
    token: Any, hostile: HostileIssuer, sign_in: EntraSignIn
) -> None:
    hostile.answer = lambda _: web.json_response({"id_token": token})
    with pytest.raises(Unauthenticated):
        await redeemed(sign_in)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(status=500),
        lambda _: web.Response(status=200, text="not json"),
        lambda _: web.Response(status=200, text="[1]"),
        lambda _: web.Response(status=200, text="x" * (DOCUMENT_BYTES_MAX + 1)),
        lambda _: web.Response(status=302, headers={"Location": "/keys"}),
        lambda _: web.Response(status=400, text="not json"),
        lambda _: web.json_response({"error": "unauthorized_client"}, status=400),
        lambda _: web.json_response({"error": ["invalid_grant"]}, status=400),
        lambda _: web.json_response({"error": "invalid_client"}, status=401),
    ],
)
async def test_answer_that_says_nothing_of_the_person_means_unavailable(
    answer: Any, hostile: HostileIssuer, sign_in: EntraSignIn
) -> None:
    hostile.answer = answer
    with pytest.raises(Unavailable):
        await redeemed(sign_in)
    with pytest.raises(Unavailable):
        await sign_in.renew("token")


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "login_required"])
async def test_refusal_of_the_person_is_a_no(
    error: str, hostile: HostileIssuer, sign_in: EntraSignIn
) -> None:
    hostile.answer = lambda _: web.json_response({"error": error}, status=400)
    assert await sign_in.renew("token") is None
    with pytest.raises(Unauthenticated):
        await redeemed(sign_in)


async def test_logs_hold_no_code_and_no_token(
    hostile: HostileIssuer, sign_in: EntraSignIn, caplog: pytest.LogCaptureFixture
) -> None:
    words = ("CANARYCODE", "CANARYVERIFIER", "CANARYREFRESH")
    answers = (
        lambda _: web.json_response(
            {"error": "invalid_grant", "error_description": words[0]}, status=400
        ),
        lambda _: web.Response(status=500, text=words[2]),
        lambda i: web.json_response({"id_token": i.id_token(nonce=words[1])}),
    )
    with caplog.at_level("DEBUG"):
        for answer in answers:
            hostile.answer = answer
            for call in (sign_in.redeem(words[0], words[1], "n"), sign_in.renew(words[2])):
                await asyncio.gather(call, return_exceptions=True)
    ours = "\n".join(
        record.getMessage() + str(record.exc_info) + str(vars(record).get("code"))
        for record in caplog.records
        if record.name.startswith("eig")
    )
    assert not [word for word in words if word in ours]
