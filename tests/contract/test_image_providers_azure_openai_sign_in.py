"""Azure OpenAI without a key: the managed identity signs in before anything is paid for."""

from collections.abc import AsyncIterator

import pytest

from shared.adapters.providers import azure_openai_connection
from shared.adapters.providers.azure_openai import AzureOpenAIProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered
from tests.contract.image_orders import Recorder, b64, order, png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

PATH = "/openai/v1/images/generations"
SCOPE = "https://cognitiveservices.azure.com/.default"
ORDER = order("gpt-image-2")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


async def test_generate_needs_a_token_before_anything_is_sent(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    provider = AzureOpenAIProvider(f"{server.origin}/openai/v1/", None, SCOPE, timeout_s=5)
    outcome = await provider.generate(ORDER, Recorder())
    assert outcome == NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "no_access_token")
    assert server.seen == []
    await provider.aclose()


async def test_generate_uses_the_managed_identity_when_there_is_no_key(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.origin}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    token = {"access_token": "entra-token", "expires_on": "4102444800", "resource": "r"}
    server.answers("/identity", Answer(body={**token, "token_type": "Bearer"}))
    server.answers(PATH, Answer(body={"data": [{"b64_json": b64(png())}]}))
    provider = AzureOpenAIProvider(f"{server.origin}/openai/v1/", None, SCOPE, timeout_s=5)
    for _ in range(2):
        assert isinstance(await provider.generate(ORDER, Recorder()), Delivered)
    asked, *paid = server.seen
    assert asked.path == "/identity"
    assert [seen.headers["authorization"] for seen in paid] == ["Bearer entra-token"] * 2
    await provider.aclose()


async def test_generate_can_be_tried_again_when_the_identity_endpoint_is_down(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_openai_connection, "SIGN_IN_TIMEOUT_S", 0.3)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.origin}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    server.answers("/identity", Answer(ending="hang"))
    provider = AzureOpenAIProvider(f"{server.origin}/openai/v1/", None, SCOPE, timeout_s=5)
    outcome = await provider.generate(ORDER, Recorder())
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "identity_unavailable")
    assert {seen.path for seen in server.seen} == {"/identity"}
    await provider.aclose()
