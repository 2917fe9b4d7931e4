"""Simulators behind a proxy: what they say of themselves begins with its address."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.local_settings import home_tenant_id, simulated_settings
from devhost.simulators.adobe_firefly import SIGN_IN_PATH
from devhost.simulators.server import start_simulators
from devhost.simulators.state import SimulatorOptions

ORIGIN = "https://simulators.example"


@pytest.fixture
async def ask(tmp_path: Path) -> AsyncIterator[Any]:
    running = await start_simulators(SimulatorOptions(tmp_path, port=0, public_origin=ORIGIN))
    address = f"http://127.0.0.1:{running.state.options.port}"

    async def answer(
        method: str, path: str, *, headers: dict[str, str] | None = None, **given: Any
    ) -> tuple[int, Any]:
        sent = {"Host": "simulators.example", "Authorization": "Bearer any"} | (headers or {})
        async with session.request(method, address + path, headers=sent, **given) as found:
            return found.status, await found.json()

    async with aiohttp.ClientSession() as session:
        yield answer
    await running.stop()


async def test_issuer_is_the_one_that_a_deployed_app_is_told_to_trust(ask: Any) -> None:
    issuer = simulated_settings(ORIGIN)["EIG_TOKEN_ISSUER"]
    path = issuer.removeprefix(ORIGIN) + "/.well-known/openid-configuration"
    status, found = await ask("GET", path)
    assert (status, found["issuer"]) == (200, issuer)
    assert found["jwks_uri"] == f"{ORIGIN}/{home_tenant_id()}/discovery/v2.0/keys"


async def test_predictions_are_found_where_they_say(ask: Any) -> None:
    path = "/replicate/v1/models/black-forest-labs/flux-schnell/predictions"
    status, made = await ask("POST", path, json={"input": {"prompt": "A harbour"}})
    assert status == 201
    assert made["urls"]["get"].startswith(f"{ORIGIN}/replicate/v1/")
    status, _ = await ask("GET", made["urls"]["get"].removeprefix(ORIGIN))
    assert status == 200


async def test_firefly_jobs_are_found_by_the_host_of_the_proxy(ask: Any) -> None:
    form = {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s"}
    _, signed_in = await ask("POST", SIGN_IN_PATH, data=form | {"scope": "firefly_api"})
    sent = {"authorization": f"Bearer {signed_in['access_token']}", "x-api-key": "c"}
    path = "/adobe-firefly/v3/images/generate-async"
    status, made = await ask("POST", path, json={"prompt": "A harbour"}, headers=sent)
    assert status == 202
    assert made["statusUrl"].startswith(f"{ORIGIN}/adobe-firefly/")
    status, _ = await ask("GET", made["statusUrl"].removeprefix(ORIGIN), headers=sent)
    assert status == 200
