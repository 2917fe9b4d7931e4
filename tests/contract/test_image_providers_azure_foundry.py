"""FLUX on Azure AI Foundry: its wire, its endings, its bill."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.adapters.providers.azure_foundry import request_body
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    NotDelivered,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.domain.images import image_dimensions, sniff_image
from tests.contract.azure_providers_bench import AzureProvidersBench, azure_providers, foundry
from tests.contract.image_orders import Recorder, b64, bytes_of, order, png
from tests.contract.scripted_server import Answer, scripted_server

MODEL = "foundry-flux-2-pro"
PATH = "/azure-foundry/providers/blackforestlabs/v1/flux-2-pro"
PRICE = ("output_image", 1, 40_000)


@pytest.fixture
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AzureProvidersBench]:
    async for each in azure_providers(tmp_path_factory.mktemp("simulators")):
        yield each


async def scripted(*answers: Answer, key: str | None = "local") -> ProviderOutcome:
    """What comes of an order when the service answers like this."""
    async with scripted_server() as server:
        server.answers(PATH, *answers)
        provider = foundry(server.origin, key, timeout_s=2.0)
        outcome = await provider.generate(order(MODEL), Recorder())
        await provider.aclose()
        assert server.count("POST") == 1
        return outcome


async def test_request_is_that_of_the_provider_route() -> None:
    async with scripted_server() as server:
        server.answers(PATH, Answer(body={"data": [{"b64_json": b64(png())}]}))
        provider = foundry(server.origin)
        wanted = order(MODEL, seed=7, provider_size="1344x768", output_format="jpeg")
        await provider.generate(wanted, Recorder())
        await provider.aclose()
    (seen,) = server.seen
    assert seen.headers["api-key"] == "local"
    assert seen.headers["x-ms-client-request-id"] == f"{wanted.generation_id}:1"
    assert seen.json() == {
        "model": "flux-2-pro",
        "prompt": "A lighthouse at dawn",
        "width": 1344,
        "height": 768,
        "output_format": "jpeg",
        "seed": 7,
    }


def test_request_without_a_seed_sends_none() -> None:
    assert "seed" not in request_body(order(MODEL))


@pytest.mark.parametrize("tag", ["", "[[scenario:url_answer]] "])
async def test_delivers_inline_and_behind_an_address(tag: str, bench: AzureProvidersBench) -> None:
    outcome = await bench.foundry.generate(order(MODEL, f"{tag}A pier", seed=5), Recorder())
    assert isinstance(outcome, Delivered)
    assert (outcome.usage, outcome.model_version) == (Usage(images=1), "flux-2-pro")
    assert outcome.request_id and outcome.images[0].seed == 5
    data = await bytes_of(outcome.images[0])
    assert image_dimensions(data) == (1024, 1024)
    kind = sniff_image(data)
    assert kind is not None and kind.name == "png"
    assert bench.billed() == [PRICE]


async def test_two_pictures_are_refused_before_anything_is_sent(bench: AzureProvidersBench) -> None:
    outcome = await bench.foundry.generate(order(MODEL, count=2), Recorder())
    assert outcome == NotDelivered(
        Failure.INVALID_REQUEST, Billed.NOTHING, "one_picture_per_request"
    )
    assert bench.submissions("A lighthouse at dawn") == 0


@pytest.mark.parametrize(
    ("scenario", "failure", "billed", "reason"),
    [
        ("request_moderated", Failure.CONTENT_REJECTED, Billed.OUTPUT, "prompt_refused"),
        ("content_moderated", Failure.CONTENT_REJECTED, Billed.OUTPUT, "picture_refused"),
        ("timeout_408", Failure.TIMEOUT, Billed.OUTPUT, "http_408"),
        ("provider_blocked", Failure.PROVIDER_BLOCKED, Billed.NOTHING, "http_403"),
        ("rate_limited retry_after_s=7", Failure.RATE_LIMITED, Billed.NOTHING, "http_429"),
        ("wrong_output_host", Failure.MALFORMED, Billed.MAXIMUM, "no_usable_picture"),
        ("redirect_output", Failure.MALFORMED, Billed.MAXIMUM, "no_usable_picture"),
        ("fewer_images", Failure.MALFORMED, Billed.MAXIMUM, "no_usable_picture"),
    ],
)
async def test_every_ending_without_a_picture_and_what_it_costs(
    scenario: str, failure: Failure, billed: Billed, reason: str, bench: AzureProvidersBench
) -> None:
    outcome = await bench.foundry.generate(
        order(MODEL, f"[[scenario:{scenario}]] A pier"), Recorder()
    )
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.reason) == (failure, billed, reason)
    if "rate_limited" in scenario:
        assert outcome.retry_after_s == 7
    if billed is Billed.NOTHING:
        assert bench.billed() == []
    else:  # never less than what the invoice says
        assert bench.billed() in ([PRICE], [])


ERRORS = [
    (401, {"error": {"code": "401", "message": "denied"}}, Failure.AUTH_OR_CONFIG),
    (403, {"error": {"code": "Forbidden", "message": "no role"}}, Failure.AUTH_OR_CONFIG),
    (404, {"error": {"code": "DeploymentNotFound", "message": "-"}}, Failure.AUTH_OR_CONFIG),
    (400, {"error": {"code": "invalid_value", "message": "width"}}, Failure.INVALID_REQUEST),
    (422, {"detail": [{"msg": "field required"}]}, Failure.INVALID_REQUEST),
    (429, {"error": {"code": "insufficient_quota", "message": "-"}}, Failure.QUOTA_EXHAUSTED),
    (500, {"error": {"code": "InternalServerError", "message": "-"}}, Failure.TRANSIENT),
    (400, {"error": {"code": "content_filter", "message": "-"}}, Failure.CONTENT_REJECTED),
    (422, {"status": "Content Moderated"}, Failure.CONTENT_REJECTED),
    (400, {"error": {"code": "x", "message": "Request Moderated"}}, Failure.CONTENT_REJECTED),
    (301, {"error": {}}, Failure.AUTH_OR_CONFIG),
]


@pytest.mark.parametrize(("status", "body", "failure"), ERRORS)
async def test_errors_of_either_house_are_read(
    status: int, body: dict[str, object], failure: Failure
) -> None:
    outcome = await scripted(Answer(status, body))
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is failure
    assert (outcome.billed is Billed.NOTHING) is (failure is not Failure.CONTENT_REJECTED)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(504, {"error": {"code": "Timeout"}}), "gateway_error"),
        (Answer(502, b"<html>"), "gateway_error"),
        (Answer(200, {"data": []}, ending="cut_off"), "connection_lost"),
        (Answer(ending="reset"), "connection_lost"),
        (Answer(ending="hang"), "no_answer_in_time"),
    ],
)
async def test_lost_answers_leave_it_unknown(answer: Answer, reason: str) -> None:
    assert await scripted(answer) == Unknown(reason)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        {"data": "x"},
        {"data": [None]},
        {"data": [{"b64_json": "?"}]},
        {"data": [{"url": "http://10.0.0.1/picture.png"}]},
        {"data": [{"url": "https://169.254.169.254/metadata"}]},
        {"data": [{"url": "file:///etc/passwd"}]},
    ],
)
async def test_unusable_answers_are_booked_at_the_maximum(body: object) -> None:
    outcome = await scripted(Answer(body=body))
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.MALFORMED, Billed.MAXIMUM)


async def test_only_one_picture_of_many_is_taken() -> None:
    outcome = await scripted(Answer(body={"data": [{"b64_json": b64(png())}] * 3}))
    assert isinstance(outcome, Delivered) and len(outcome.images) == 1


async def test_cancelled_call_is_unknown() -> None:
    async with scripted_server() as server:
        server.answers(PATH, Answer(ending="hang"))
        provider = foundry(server.origin)
        call = asyncio.create_task(provider.generate(order(MODEL), Recorder()))
        while not server.seen:
            await asyncio.sleep(0.01)
        call.cancel()
        assert await call == Unknown("cancelled_in_flight")
        await provider.aclose()


async def test_without_a_key_and_an_identity_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_server() as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.origin}/msi")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        server.answers("/msi", Answer(400, {"error": "no identity"}))
        provider = foundry(server.origin, key=None)
        outcome = await provider.generate(order(MODEL), Recorder())
        await provider.aclose()
        assert isinstance(outcome, NotDelivered)
        assert (outcome.failure, outcome.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
        assert server.count("POST") == 0


async def test_without_a_key_the_identity_signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_server() as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.origin}/msi")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        token = {"access_token": "entra", "expires_on": "4102444800", "resource": "r"}
        server.answers("/msi", Answer(body=token))
        server.answers(PATH, Answer(body={"data": [{"b64_json": b64(png())}]}))
        provider = foundry(server.origin, key=None)
        outcome = await provider.generate(order(MODEL), Recorder())
        await provider.aclose()
        assert isinstance(outcome, Delivered)
        assert server.seen[-1].headers["authorization"] == "Bearer entra"
