"""The demo's sign-in issues tokens that the verifier accepts, and some that it must not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.entra_tokens import EntraTokenVerifier, IssuerRule, verifier_of
from shared.domain.identity import Principal, Role
from shared.errors import Unauthenticated

CONTOSO = "11111111-aaaa-4bbb-8ccc-000000000001"
FABRIKAM = "22222222-aaaa-4bbb-8ccc-000000000002"
API = "7d0a2f4e-5b1c-4c39-9e57-0c6f1a2b3d40"
CLIENT = "3c9e1b7a-8f42-4d05-a6c1-52e0d7b9f811"
PIPELINE = "5e8d0c92-1a6b-4f7e-b3d4-9c2a7f60e115"


class RealClock:
    """The time of this machine, which the demo issuer uses too."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return "0" * 32


@pytest.fixture
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSimulators]:
    server = await start_simulators(SimulatorOptions(tmp_path_factory.mktemp("issuer"), 0))
    yield server
    await server.stop()


@pytest.fixture
def verifier(server: RunningSimulators) -> EntraTokenVerifier:
    rules = {
        f"{server.origin}/{tenant}/v2.0": IssuerRule(
            tenant, API, "Images.Generate", frozenset({CLIENT, PIPELINE}), "Images.Generate.All"
        )
        for tenant in (CONTOSO, FABRIKAM)
    }
    return verifier_of(rules, RealClock())


async def post(server: RunningSimulators, path: str, **options: Any) -> dict[str, Any]:
    url = server.origin + path
    async with aiohttp.ClientSession() as session, session.post(url, **options) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def sign_in(server: RunningSimulators, tenant: str, username: str) -> dict[str, Any]:
    form = {"grant_type": "password", "username": username, "scope": "openid"}
    return await post(server, f"/{tenant}/oauth2/v2.0/token", data=form)


@pytest.mark.parametrize(
    ("tenant", "username", "object_id", "role"),
    [
        (CONTOSO, "ava", "a0000000-0000-4000-8000-000000000001", Role.STANDARD_USER),
        (CONTOSO, "mia", "a0000000-0000-4000-8000-000000000003", Role.DEPT_MANAGER),
        (CONTOSO, "sam", "a0000000-0000-4000-8000-000000000007", Role.SUPER_ADMIN),
        (FABRIKAM, "zoe", "b0000000-0000-4000-8000-000000000001", Role.STANDARD_USER),
    ],
)
async def test_verify_accepts_a_demo_sign_in(
    tenant: str,
    username: str,
    object_id: str,
    role: Role,
    server: RunningSimulators,
    verifier: EntraTokenVerifier,
) -> None:
    token = (await sign_in(server, tenant, username))["access_token"]
    assert (await verifier.verify(token)).principal == Principal(tenant, object_id, role)


async def test_verify_refuses_a_demo_id_token(
    server: RunningSimulators, verifier: EntraTokenVerifier
) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify((await sign_in(server, CONTOSO, "ava"))["id_token"])


async def test_verify_takes_a_demo_pipeline_for_a_service(
    server: RunningSimulators, verifier: EntraTokenVerifier
) -> None:
    form = {"grant_type": "client_credentials", "client_id": PIPELINE}
    answer = await post(server, f"/{CONTOSO}/oauth2/v2.0/token", data=form)
    assert (await verifier.verify(answer["access_token"])).principal.kind == "service"


async def test_verify_follows_a_rotation_of_the_demo_keys(
    server: RunningSimulators, verifier: EntraTokenVerifier
) -> None:
    before = (await sign_in(server, CONTOSO, "ava"))["access_token"]
    await verifier.verify(before)
    await post(server, "/_control/keys/rotate")
    after = (await sign_in(server, CONTOSO, "ava"))["access_token"]
    assert await verifier.verify(after) == await verifier.verify(before)


@pytest.mark.parametrize("key", ["other", "hs256-public", "none"])
async def test_verify_refuses_a_demo_token_with_another_key(
    key: str, server: RunningSimulators, verifier: EntraTokenVerifier
) -> None:
    alg = {"hs256-public": "HS256", "none": "none"}.get(key, "RS256")
    minted = await post(server, "/_control/tokens", json={"key": key, "alg": alg})
    with pytest.raises(Unauthenticated):
        await verifier.verify(minted["token"])
