"""Azure OpenAI: what is sent, and what each shape of answer means for the money."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers import azure_openai
from shared.adapters.providers.azure_openai import AzureOpenAIProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown, Usage
from tests.contract.image_orders import GENERATION_ID, Recorder, b64, bytes_of, order, png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

PATH = "/openai/v1/images/generations"
SCOPE = "https://cognitiveservices.azure.com/.default"
USAGE = {"input_tokens": 13, "output_tokens": 1756, "total_tokens": 1769}
ORDER = order("gpt-image-2")


def ok(**changes: Any) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": b64(png())}], "usage": USAGE, **changes}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def provider(server: ScriptedServer) -> AsyncIterator[AzureOpenAIProvider]:
    provider = AzureOpenAIProvider(
        f"{server.origin}/openai/v1/", GivenSecret("the-key"), SCOPE, timeout_s=5
    )
    yield provider
    await provider.aclose()


def test_importing_the_module_loads_no_sdk() -> None:
    code = (
        "import sys, shared.adapters.providers.azure_openai, shared.adapters.providers.replicate;"
        "print([m for m in ('openai', 'aiohttp', 'azure.identity') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_generate_sends_exactly_what_the_service_knows(
    server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    server.answers(PATH, Answer(body=ok()))
    wanted = order("gpt-image-2", count=2, attempt=3, seed=7, negative_prompt="fog")
    assert isinstance(await provider.generate(wanted, Recorder()), Delivered)
    (request,) = server.seen
    assert request.json() == {
        "model": "gpt-image-2",
        "prompt": "A lighthouse at dawn",
        "n": 2,
        "size": "1024x1024",
        "quality": "medium",
        "output_format": "png",
        "user": "5f" * 32,
    }
    assert request.headers["x-ms-client-request-id"] == f"{GENERATION_ID}:3"
    assert request.headers["authorization"] == "Bearer the-key"


async def test_generate_delivers_pictures_usage_and_request_id(
    server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    pictures = [png(8, 8), png(9, 9)]
    data = [{"b64_json": b64(picture)} for picture in pictures]
    server.answers(PATH, Answer(body=ok(data=data), headers={"apim-request-id": "apim-1"}))
    recorder = Recorder()
    outcome = await provider.generate(order("gpt-image-2", count=2), recorder)
    assert isinstance(outcome, Delivered)
    assert outcome.usage == Usage(input_tokens=13, output_tokens=1756, images=2)
    assert (outcome.request_id, outcome.job_id, recorder.jobs) == ("apim-1", None, [])
    assert [await bytes_of(image) for image in outcome.images] == pictures


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"input_tokens": 1}, {"input_tokens": -1, "output_tokens": 1}, "free"],
)
async def test_generate_states_no_usage_when_the_answer_does_not(
    usage: Any, server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    server.answers(PATH, Answer(body=ok(usage=usage)))
    outcome = await provider.generate(ORDER, Recorder())
    assert isinstance(outcome, Delivered) and outcome.usage is None


async def test_generate_delivers_no_more_than_was_ordered(
    server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    server.answers(PATH, Answer(body=ok(data=[{"b64_json": b64(png())}] * 3)))
    outcome = await provider.generate(order("gpt-image-2", count=2), Recorder())
    assert isinstance(outcome, Delivered) and len(outcome.images) == 2


async def test_generate_delivers_the_usable_ones_of_several(
    server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    data = [{"b64_json": "%%%"}, {"url": "https://x"}, None, {"b64_json": b64(png())}]
    server.answers(PATH, Answer(body=ok(data=data)))
    outcome = await provider.generate(order("gpt-image-2", count=4), Recorder())
    assert isinstance(outcome, Delivered) and len(outcome.images) == 1


UNUSABLE: dict[str, Answer] = {
    "no_json": Answer(body=b"<html>"),
    "cut_json": Answer(body=b'{"data": ['),
    "empty": Answer(body=b""),
    "null": Answer(body=None),
    "list": Answer(body=[]),
    "no_data": Answer(body={"created": 1}),
    "data_object": Answer(body=ok(data={"b64_json": "AAAA"})),
    "no_items": Answer(body=ok(data=[])),
    "no_base64": Answer(body=ok(data=[{"b64_json": "not base64!"}])),
    "no_picture": Answer(body=ok(data=[{"b64_json": b64(b"just some text")}])),
    "url_only": Answer(body=ok(data=[{"url": "https://pictures.invalid/1.png"}])),
    "text_type": Answer(body=b"hello", headers={"content-type": "text/plain"}),
}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_generate_books_the_usage_of_an_unusable_answer_or_else_the_maximum(
    kind: str, server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    answer = UNUSABLE[kind]
    server.answers(PATH, answer)
    outcome = await provider.generate(ORDER, Recorder())
    assert isinstance(outcome, NotDelivered)
    is_metered = isinstance(answer.body, dict) and "usage" in answer.body
    billed = Billed.USAGE if is_metered else Billed.MAXIMUM
    assert (outcome.failure, outcome.billed) == (Failure.MALFORMED, billed)
    assert (outcome.usage is not None) is is_metered
    assert server.count("POST") == 1


@pytest.mark.parametrize(("usage", "billed"), [(USAGE, Billed.USAGE), (None, Billed.MAXIMUM)])
async def test_generate_books_the_usage_of_pictures_that_were_filtered(
    usage: Any, billed: Billed, server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    server.answers(PATH, Answer(body=ok(data=[{"content_filter_results": FILTERS}], usage=usage)))
    outcome = await provider.generate(ORDER, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.reason) == (Failure.CONTENT_REJECTED, "picture_refused")
    assert (outcome.billed, outcome.categories) == (billed, ("violence",))
    assert outcome.usage == (Usage(13, 1756, images=1) if usage else None)


async def test_generate_books_the_maximum_for_an_answer_over_the_cap(
    server: ScriptedServer, provider: AzureOpenAIProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_openai, "ANSWER_BYTES_MAX", 100)
    server.answers(PATH, Answer(body=ok()))
    outcome = await provider.generate(ORDER, Recorder())
    assert isinstance(outcome, NotDelivered) and outcome.billed is Billed.MAXIMUM


def error(code: object, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


FILTERS = {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False}}
INNER = {"code": "ResponsibleAIPolicyViolation", "content_filter_results": FILTERS}
REFUSALS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "content_filter": (
        {
            **error("contentFilter", "Your task failed as a result of our safety system."),
            "created": 1,
        },
        "prompt_refused",
        (),
    ),
    "output_filter": (
        error("contentFilter", "Generated image was filtered as a result of our safety system."),
        "picture_refused",
        (),
    ),
    "inner_error": (
        error("content_policy_violation", "Refused.", inner_error=INNER),
        "prompt_refused",
        ("violence",),
    ),
    "innererror": (
        error("other", "Refused.", innererror=INNER),
        "prompt_refused",
        ("violence",),
    ),
    "moderation_blocked": (
        error(
            "moderation_blocked",
            "Your request was rejected by the safety system. safety_violations=[violence,hate].",
            type="image_generation_user_error",
        ),
        "prompt_refused",
        ("hate", "violence"),
    ),
    "moderation_details": (
        error("moderation_blocked", "", moderation_details={"categories": ["sexual"]}),
        "prompt_refused",
        ("sexual",),
    ),
    "text_only": (
        error("400", "Your request was rejected as a result of our safety system."),
        "prompt_refused",
        (),
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_generate_bills_the_output_for_a_refusal(
    kind: str, server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    body, reason, categories = REFUSALS[kind]
    server.answers(PATH, Answer(400, body, {"apim-request-id": "apim-2"}))
    assert await provider.generate(ORDER, Recorder()) == NotDelivered(
        Failure.CONTENT_REJECTED,
        Billed.OUTPUT,
        reason,
        categories=categories,
        request_id="apim-2",
    )


BLOCKED = "Your resource has been temporarily blocked because we detected behavior that may ..."
CALL_RATE = "Requests have exceeded call rate limit. Please retry after 9 seconds."
ERRORS: dict[str, tuple[Answer, Failure, Billed, float | None]] = {
    "bad_size": (
        Answer(400, error("InvalidPayload", "Invalid size.", param="size")),
        Failure.INVALID_REQUEST,
        Billed.NOTHING,
        None,
    ),
    "bare_400": (Answer(400, b"Bad request"), Failure.INVALID_REQUEST, Billed.NOTHING, None),
    "unauthorized": (
        Answer(401, error("401", "Access denied due to invalid subscription key.")),
        Failure.AUTH_OR_CONFIG,
        Billed.NOTHING,
        None,
    ),
    "forbidden": (
        Answer(403, error("Forbidden", "Public access is disabled.")),
        Failure.AUTH_OR_CONFIG,
        Billed.NOTHING,
        None,
    ),
    "blocked": (
        Answer(403, error("Forbidden", BLOCKED)),
        Failure.PROVIDER_BLOCKED,
        Billed.NOTHING,
        None,
    ),
    "retired_deployment": (
        Answer(404, error("DeploymentNotFound", "The deployment does not exist.")),
        Failure.AUTH_OR_CONFIG,
        Billed.NOTHING,
        None,
    ),
    "timeout": (
        Answer(408, error("Timeout", "The operation was timeout.")),
        Failure.TIMEOUT,
        Billed.OUTPUT,
        None,
    ),
    "rate_ms": (
        Answer(429, error("429", CALL_RATE), {"retry-after-ms": "1500", "retry-after": "2"}),
        Failure.RATE_LIMITED,
        Billed.NOTHING,
        1.5,
    ),
    "rate_seconds": (
        Answer(429, error("429", CALL_RATE), {"retry-after": "4"}),
        Failure.RATE_LIMITED,
        Billed.NOTHING,
        4.0,
    ),
    "rate_date": (
        Answer(
            429,
            error("429", CALL_RATE),
            {
                "date": "Sun, 22 Nov 2026 09:00:00 GMT",
                "retry-after": "Sun, 22 Nov 2026 09:02:00 GMT",
            },
        ),
        Failure.RATE_LIMITED,
        Billed.NOTHING,
        120.0,
    ),
    "rate_text": (
        Answer(429, error("429", CALL_RATE)),
        Failure.RATE_LIMITED,
        Billed.NOTHING,
        9.0,
    ),
    "quota": (
        Answer(429, error("insufficient_quota", "You exceeded your current quota.")),
        Failure.QUOTA_EXHAUSTED,
        Billed.NOTHING,
        None,
    ),
    "server_error": (
        Answer(500, error("InternalServerError", "The server had an error.")),
        Failure.TRANSIENT,
        Billed.NOTHING,
        None,
    ),
    "outage": (
        Answer(503, error("ServiceUnavailable", "Busy."), {"retry-after": "3"}),
        Failure.TRANSIENT,
        Billed.NOTHING,
        3.0,
    ),
    "redirect": (
        Answer(307, b"", {"location": "/openai/v1/elsewhere"}),
        Failure.AUTH_OR_CONFIG,
        Billed.NOTHING,
        None,
    ),
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_generate_maps_each_error_and_never_asks_twice(
    kind: str, server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    answer, failure, billed, retry_after_s = ERRORS[kind]
    server.answers(PATH, answer)
    outcome = await provider.generate(ORDER, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, billed)
    assert outcome.retry_after_s == retry_after_s
    assert outcome.reason == f"http_{answer.status}"
    assert len(server.seen) == 1


UNKNOWN: dict[str, tuple[Answer, str]] = {
    "reset": (Answer(ending="reset"), "connection_lost"),
    "cut_off": (Answer(body=ok(), ending="cut_off"), "answer_cut_off"),
    "html_502": (Answer(502, b"<html>Bad gateway</html>"), "gateway_error"),
    "gateway_timeout": (Answer(504, error("GatewayTimeout", "...")), "gateway_error"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
async def test_generate_is_unknown_when_the_work_may_have_been_done(
    kind: str, server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    answer, reason = UNKNOWN[kind]
    server.answers(PATH, answer)
    assert await provider.generate(ORDER, Recorder()) == Unknown(reason)
    assert len(server.seen) == 1


async def test_generate_is_unknown_when_no_answer_comes_in_time(server: ScriptedServer) -> None:
    server.answers(PATH, Answer(ending="hang"))
    provider = AzureOpenAIProvider(
        f"{server.origin}/openai/v1/", GivenSecret("the-key"), SCOPE, timeout_s=0.2
    )
    assert await provider.generate(ORDER, Recorder()) == Unknown("no_answer_in_time")
    assert len(server.seen) == 1
    await provider.aclose()


async def test_generate_is_unknown_when_cancelled_in_flight(
    server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    arrived = asyncio.Event()
    server.on_request = lambda _: arrived.set()
    server.answers(PATH, Answer(ending="hang"))
    task = asyncio.create_task(provider.generate(ORDER, Recorder()))
    await arrived.wait()
    task.cancel()
    assert await task == Unknown("cancelled_in_flight")


async def test_generate_was_never_sent_when_no_connection_opens() -> None:
    provider = AzureOpenAIProvider(
        "http://127.0.0.1:1/openai/v1/", GivenSecret("the-key"), SCOPE, timeout_s=5
    )
    outcome = await provider.generate(ORDER, Recorder())
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
    await provider.aclose()


async def test_resume_never_sends_anything(
    server: ScriptedServer, provider: AzureOpenAIProvider
) -> None:
    assert await provider.resume(ORDER, "job") == Unknown("provider_has_no_jobs", "job")
    assert server.seen == []
