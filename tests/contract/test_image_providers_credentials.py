"""Credentials that are rotated, missing or slow, for each provider that has one of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider, FireflyAddresses
from shared.adapters.providers.azure_foundry import AzureFoundryProvider, FoundryTerms
from shared.adapters.providers.azure_ml import AzureMlProvider, ScoringTerms
from shared.adapters.providers.azure_openai import AzureOpenAIProvider, DeploymentRoute
from shared.adapters.providers.azure_openai_batches import AzureOpenAIBatches
from shared.adapters.providers.azure_openai_connection import AzureOpenAIConnection
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderOutcome,
)
from shared.domain.provider_batches import BatchJob, BatchLine
from shared.errors import EigError, InvariantBroken, Unavailable
from shared.ports.secrets import Secret
from tests.contract import firefly_server, replicate_server
from tests.contract.image_orders import Recorder, b64, order, png
from tests.contract.provider_bench import ClosableProvider
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server
from tests.fakes.secrets import FakeSecret

SCOPE = "https://cognitiveservices.azure.com/.default"
V1 = "/openai/v1/images/generations"
BY_DEPLOYMENT = "/openai/deployments/gpt-image-2.5-flare/images/generations"
FLUX = "/azure-foundry/providers/blackforestlabs/v1/flux-2-pro"
SCORE = "/azure-ml/score"
REFUSED = Answer(401, {"error": {"code": "401", "message": "Access denied"}, "title": "no"})


@dataclass(frozen=True)
class Case:
    """Where a provider shows its credential, and the answers that make a picture."""

    wanted: ImageOrder
    path: str
    header: str
    make: Callable[[ScriptedServer, Secret | None], ClosableProvider]
    delivers: Callable[[ScriptedServer], Answer]

    def shown(self, server: ScriptedServer) -> list[str]:
        """The credentials that arrived, in order."""
        seen = [each.headers[self.header] for each in server.seen if each.path == self.path]
        return [value.removeprefix("Bearer ") for value in seen]


def _azure(server: ScriptedServer, key: Secret | None) -> ClosableProvider:
    return AzureOpenAIProvider(f"{server.origin}/openai/v1/", key, SCOPE, timeout_s=5)


def _azure_by_deployment(server: ScriptedServer, key: Secret | None) -> ClosableProvider:
    route = DeploymentRoute(f"{server.origin}/openai/deployments/", "2025-04-01-preview")
    base_url = f"{server.origin}/openai/v1/"
    return AzureOpenAIProvider(base_url, key, SCOPE, timeout_s=5, deployment_route=route)


def _replicate(server: ScriptedServer, key: Secret | None) -> ClosableProvider:
    assert key is not None
    hosts = frozenset({server.origin.removeprefix("http://")})
    return ReplicateProvider(f"{server.origin}/v1", key, hosts, poll_interval_s=0.01)


def _foundry(server: ScriptedServer, key: Secret | None) -> ClosableProvider:
    terms = FoundryTerms(f"{server.origin}/azure-foundry", key, SCOPE, 5.0, frozenset())
    return AzureFoundryProvider(terms)


def _scoring(server: ScriptedServer, key: Secret | None) -> ClosableProvider:
    return AzureMlProvider(ScoringTerms(f"{server.origin}{SCORE}", key, SCOPE, None))


def _scored(_: ScriptedServer) -> Answer:
    return Answer(body={"seconds": "1.0", "images": [{"b64_json": b64(png()), "seed": 9}]})


def _azure_picture(_: ScriptedServer) -> Answer:
    return Answer(body={"data": [{"b64_json": b64(png())}]})


def _started(server: ScriptedServer) -> Answer:
    ended = replicate_server.ended(output=[server.origin + replicate_server.PICTURE])
    server.answers(replicate_server.POLL, Answer(body=ended))
    server.answers(replicate_server.PICTURE, Answer(body=png()))
    return Answer(201, replicate_server.STARTING)


CASES = {
    "azure": Case(order("gpt-image-2"), V1, "authorization", _azure, _azure_picture),
    "azure by deployment": Case(
        order("gpt-image-2.5-flare"), BY_DEPLOYMENT, "api-key", _azure_by_deployment, _azure_picture
    ),
    "replicate": Case(
        order("sdxl"), replicate_server.SUBMIT, "authorization", _replicate, _started
    ),
    "foundry": Case(order("foundry-flux-2-pro"), FLUX, "api-key", _foundry, _azure_picture),
    "azure ml": Case(order("sdxl-sovereign"), SCORE, "authorization", _scoring, _scored),
}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.mark.parametrize("name", CASES)
async def test_credential_that_was_rotated_is_read_again_once(
    name: str, server: ScriptedServer
) -> None:
    case, secret = CASES[name], FakeSecret(["first", "second", "third"])
    server.answers(case.path, REFUSED, case.delivers(server))
    provider = case.make(server, secret)
    outcome = await provider.generate(case.wanted, Recorder())
    await provider.aclose()
    assert isinstance(outcome, Delivered)
    assert case.shown(server) == ["first", "second"]


@pytest.mark.parametrize("name", CASES)
async def test_credential_that_is_wrong_is_sent_once(name: str, server: ScriptedServer) -> None:
    case = CASES[name]
    server.answers(case.path, REFUSED)
    provider = case.make(server, FakeSecret(["wrong"]))
    outcome = await provider.generate(case.wanted, Recorder())
    await provider.aclose()
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
    assert case.shown(server) == ["wrong"]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (Unavailable("the vault is silent"), Failure.TRANSIENT),
        (InvariantBroken("no such secret"), Failure.AUTH_OR_CONFIG),
    ],
)
@pytest.mark.parametrize("name", CASES)
async def test_nothing_is_sent_without_a_credential(
    name: str, error: EigError, failure: Failure, server: ScriptedServer
) -> None:
    case = CASES[name]
    provider = case.make(server, FakeSecret(error=error))
    outcome = await provider.generate(case.wanted, Recorder())
    await provider.aclose()
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, Billed.NOTHING)
    assert server.seen == []


@dataclass
class SlowSecret(FakeSecret):
    """A secret of a silent vault: all reads but the first `quick` ones, and all renewals, hang."""

    quick: int = 0
    reads: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def value(self) -> str:
        self.reads += 1
        return await super().value() if self.reads <= self.quick else await self._silence()

    async def renewed(self, refused: str) -> str | None:
        return await self._silence()

    async def _silence(self) -> str:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("name", CASES)
async def test_credential_is_read_once_for_a_submission(name: str, server: ScriptedServer) -> None:
    case, secret = CASES[name], SlowSecret(quick=1 if name != "replicate" else 2)  # and for a poll
    server.answers(case.path, case.delivers(server))
    provider = case.make(server, secret)
    assert isinstance(await provider.generate(case.wanted, Recorder()), Delivered)
    await provider.aclose()
    assert secret.reads == secret.quick


@pytest.mark.parametrize("name", CASES)
async def test_order_cancelled_before_its_credential_is_read_costs_nothing(
    name: str, server: ScriptedServer
) -> None:
    case, secret = CASES[name], SlowSecret()
    provider = case.make(server, secret)
    outcome = await cancelled_at(secret, provider, case.wanted)
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "cancelled_before_sending")
    assert server.seen == []


@pytest.mark.parametrize("name", CASES)
async def test_order_cancelled_after_its_credential_was_refused_costs_nothing(
    name: str, server: ScriptedServer
) -> None:
    case, secret = CASES[name], SlowSecret(quick=1)
    server.answers(case.path, REFUSED)
    provider = case.make(server, secret)
    outcome = await cancelled_at(secret, provider, case.wanted)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
    assert case.shown(server) == ["first"]


async def cancelled_at(
    secret: SlowSecret, provider: ClosableProvider, wanted: ImageOrder
) -> ProviderOutcome:
    """How an order ends that is cancelled while the secret is being read."""
    running = asyncio.create_task(provider.generate(wanted, Recorder()))
    async with asyncio.timeout(5):
        await secret.asked.wait()
        running.cancel()
        outcome = await running
    await provider.aclose()
    return outcome


def _firefly(server: ScriptedServer, secret: Secret) -> AdobeFireflyProvider:
    host = server.origin.removeprefix("http://")
    addresses = FireflyAddresses(
        server.origin,
        server.origin,
        frozenset({host.replace("127.0.0.1", "localhost")}),
        frozenset({host}),
    )
    return AdobeFireflyProvider(addresses, "client", secret, poll_interval_s=0.01)


async def test_firefly_order_cancelled_before_its_secret_is_read_costs_nothing() -> None:
    async with firefly_server.firefly_server() as server:
        secret = SlowSecret()
        outcome = await cancelled_at(secret, _firefly(server, secret), firefly_server.IMAGE3)
        assert outcome == NotDelivered(
            Failure.TRANSIENT, Billed.NOTHING, "cancelled_before_sending"
        )
        assert server.seen == []


async def test_firefly_order_cancelled_after_its_token_was_refused_costs_nothing() -> None:
    async with firefly_server.firefly_server() as server:
        server.answers(firefly_server.SUBMIT, REFUSED)
        secret = SlowSecret(quick=1)
        outcome = await cancelled_at(secret, _firefly(server, secret), firefly_server.IMAGE3)
        assert isinstance(outcome, NotDelivered)
        assert (outcome.failure, outcome.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
        assert len([seen for seen in server.seen if seen.path == firefly_server.SUBMIT]) == 1


async def test_firefly_client_secret_that_was_rotated_is_read_again_once() -> None:
    async with firefly_server.firefly_server() as server:
        refused = Answer(400, {"error": "invalid_client"})
        server.answers(firefly_server.SIGN_IN, refused, Answer(body=firefly_server.TOKEN))
        firefly_server.looks_give(server, firefly_server.succeeded(server))
        provider = _firefly(server, FakeSecret())
        outcome = await provider.generate(firefly_server.IMAGE3, Recorder())
        await provider.aclose()
        assert isinstance(outcome, Delivered)
        tried = [seen.body for seen in server.seen if seen.path == firefly_server.SIGN_IN]
        assert [b"client_secret=first" in tried[0], b"client_secret=second" in tried[1]] == [
            True
        ] * 2
        assert len(tried) == 2


BATCH = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/images/generations",
    "completion_window": "24h", "created_at": 1, "input_file_id": "file-1", "status": "completed",
    "metadata": {"eig_batch": "key"},
}  # fmt: skip
FOUND = Answer(body=BATCH)
DONE = BatchJob("batch_1", "completed", "file-2")


async def _lines(batches: AzureOpenAIBatches) -> list[str]:
    return [line.custom_id async for line in batches.results(DONE, {"1-1": 1})]


BATCH_REQUESTS: dict[str, tuple[Callable[[AzureOpenAIBatches], Awaitable[Any]], str, Answer]] = {
    "upload": (
        lambda batches: batches.upload("key", [BatchLine("1-1", order("gpt-image-2"))]),
        "files",
        Answer(body={"id": "file-1", "object": "file"}),
    ),
    "submit": (lambda batches: batches.submit("key", "file-1"), "batches", FOUND),
    "find": (
        lambda batches: batches.find("key", datetime.fromtimestamp(0, UTC)),
        "batches",
        Answer(body={"data": [BATCH], "has_more": False, "object": "list"}),
    ),
    "job": (lambda batches: batches.job("batch_1"), "batches/batch_1", FOUND),
    "cancel": (lambda batches: batches.cancel("batch_1"), "batches/batch_1/cancel", FOUND),
    "results": (
        _lines,
        "files/file-2/content",
        Answer(body=b'{"custom_id":"1-1","response":{"status_code":200,"body":{}}}\n'),
    ),
}


@pytest.mark.parametrize("name", BATCH_REQUESTS)
async def test_batch_request_is_repeated_once_with_a_key_that_was_rotated(
    name: str, server: ScriptedServer
) -> None:
    ask, path, good = BATCH_REQUESTS[name]
    server.answers(f"/openai/v1/{path}", REFUSED, good)
    secret, wrong = FakeSecret(["first", "second", "third"]), FakeSecret(["wrong"])
    batches = _batches(server, secret)
    answer = await ask(batches)
    await batches.aclose()
    assert not isinstance(answer, NotDelivered)
    assert _shown(server) == ["Bearer first", "Bearer second"]
    assert server.seen[0].body == server.seen[1].body

    server.answers(f"/openai/v1/{path}", REFUSED)
    batches = _batches(server, wrong)
    with suppress(Unavailable):
        answer = await ask(batches)
        assert isinstance(answer, NotDelivered)
        assert (answer.failure, answer.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
    await batches.aclose()
    assert _shown(server)[2:] == ["Bearer wrong"]


def _batches(server: ScriptedServer, key: Secret) -> AzureOpenAIBatches:
    base_url = f"{server.origin}/openai/v1/"
    connection = AzureOpenAIConnection(base_url, key, SCOPE, timeout_s=5)
    return AzureOpenAIBatches(connection, "gpt-image-2-batch")


def _shown(server: ScriptedServer) -> list[str]:
    return [seen.headers["authorization"] for seen in server.seen]


async def test_deployment_route_names_the_deployment_in_the_address_only(
    server: ScriptedServer,
) -> None:
    case = CASES["azure by deployment"]
    server.answers(case.path, case.delivers(server))
    provider = case.make(server, FakeSecret(["the-key"]))
    assert isinstance(await provider.generate(case.wanted, Recorder()), Delivered)
    await provider.aclose()
    (request,) = server.seen
    assert "model" not in request.json()
    assert request.headers["api-key"] == "the-key"
    assert "authorization" not in request.headers
    assert request.headers["x-ms-client-request-id"].endswith(":1")


async def test_deployment_route_takes_the_managed_identity(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.origin}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    token = {"access_token": "entra-token", "expires_on": "4102444800", "resource": "r"}
    server.answers("/identity", Answer(body={**token, "token_type": "Bearer"}))
    case = CASES["azure by deployment"]
    server.answers(case.path, case.delivers(server))
    provider = case.make(server, None)
    assert isinstance(await provider.generate(case.wanted, Recorder()), Delivered)
    await provider.aclose()
    paid = server.seen[-1]
    assert paid.headers["authorization"] == "Bearer entra-token"
    assert "api-key" not in paid.headers
