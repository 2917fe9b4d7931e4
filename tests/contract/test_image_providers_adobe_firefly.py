"""Adobe Firefly: what is sent and to whom, and what each answer and ending means for the money."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers import adobe_firefly
from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown, Usage
from shared.errors import Unavailable
from tests.contract.firefly_server import (
    CANCEL,
    IMAGE3,
    IMAGE5,
    JOB,
    LOOK,
    PICTURE,
    RUNNING,
    SIGN_IN,
    SUBMIT,
    SUBMIT_V4,
    accepted,
    firefly_provider,
    firefly_server,
    looks_give,
    sent_to,
    status_url,
    succeeded,
)
from tests.contract.image_orders import Recorder, bytes_of, order, png
from tests.contract.scripted_server import Answer, ScriptedServer, Seen


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with firefly_server() as server:
        yield server


@pytest.fixture
async def provider(server: ScriptedServer) -> AsyncIterator[AdobeFireflyProvider]:
    async with firefly_provider(server) as provider:
        yield provider


async def test_sign_in_and_submission_say_what_adobe_documents(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, succeeded(server, pictures=2))
    wanted = order("firefly-image4-ultra", count=2, seed=7, negative_prompt="fog")
    outcome = await provider.generate(wanted, Recorder())
    assert isinstance(outcome, Delivered)
    signed_in, submitted, looked = server.seen[:3]
    assert signed_in.path == SIGN_IN
    assert b"grant_type=client_credentials" in signed_in.body and b"firefly_api" in signed_in.body
    assert submitted.json() == {
        "prompt": "A lighthouse at dawn",
        "numVariations": 2,
        "size": {"width": 2048, "height": 2048},
        "seeds": [7, 8],
        "negativePrompt": "fog",
    }
    assert submitted.headers["x-model-version"] == "image4_ultra"
    for request in (submitted, looked):
        assert request.headers["authorization"] == "Bearer token-1"
        assert request.headers["x-api-key"] == "client"
    fetched = [seen for seen in server.seen if seen.path == PICTURE]
    assert len(fetched) == 2
    assert not {"authorization", "x-api-key"} & {name for seen in fetched for name in seen.headers}


async def test_image5_goes_by_the_v4_route(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, succeeded(server))
    outcome = await provider.generate(order("firefly-image5", seed=7), Recorder())
    assert isinstance(outcome, Delivered)
    submitted = next(seen for seen in server.seen if seen.path == SUBMIT_V4)
    assert submitted.headers["x-model-version"] == "image5"
    assert submitted.json() == {
        "modelId": "firefly_image",
        "prompt": "A lighthouse at dawn",
        "aspectRatio": "1:1",
        "resolutionLevel": "4MP",
        "numVariations": 1,
        "seeds": [7],
    }


async def test_delivered_pictures_are_the_bytes_that_were_sent(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, RUNNING, succeeded(server, pictures=2, promptHasBlockedArtists=True))
    outcome = await provider.generate(order("firefly-image3", count=2), Recorder())
    assert isinstance(outcome, Delivered)
    assert [await bytes_of(image) for image in outcome.images] == [png(), png()]
    assert [image.seed for image in outcome.images] == [1_842_533_538, 1_842_533_539]
    assert outcome.usage == Usage(images=2)
    assert outcome.warnings == ("prompt_has_blocked_artists",)
    assert outcome.job_id == status_url(server)


async def test_job_is_recorded_before_it_is_looked_at(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    recorder, recorded = Recorder(), []

    def look(seen: Seen) -> None:
        if seen.path == LOOK:
            recorded.append(list(recorder.jobs))

    server.on_request = look
    looks_give(server, RUNNING, succeeded(server))
    await provider.generate(IMAGE3, recorder)
    assert recorded == [[status_url(server)]] * 2


@pytest.mark.parametrize("error", [Unavailable("store down"), asyncio.CancelledError()])
async def test_job_is_handed_back_when_recording_fails(
    error: Exception, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    outcome = await provider.generate(IMAGE3, Recorder(error=error))
    assert outcome == Unknown("job_not_recorded", status_url(server))
    assert sent_to(server, LOOK) == 0


@pytest.mark.parametrize("cancelled", ["cancelled", "canceled"])
async def test_job_that_outlasts_our_deadline_is_cancelled_and_booked(
    cancelled: str, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, RUNNING)

    def end(seen: Seen) -> None:
        if (seen.method, seen.path) == ("PUT", CANCEL):
            looks_give(server, {"status": cancelled, "jobId": JOB})

    server.on_request = end
    outcome = await provider.generate(order("firefly-image3", run_seconds_max=0), Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.TIMEOUT, Billed.MAXIMUM)
    assert outcome.job_id == status_url(server)


async def test_job_that_ends_before_it_is_cancelled_is_delivered(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, {"status": "cancel_pending", "jobId": JOB}, succeeded(server))
    server.answers(CANCEL, Answer(409, {"error_code": "job_completed"}))
    outcome = await provider.generate(order("firefly-image3", run_seconds_max=0), Recorder())
    assert isinstance(outcome, Delivered)


async def test_job_that_does_not_end_stays_open(
    server: ScriptedServer, provider: AdobeFireflyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adobe_firefly, "FOLLOW_GRACE_S", 0.1)
    looks_give(server, RUNNING)
    outcome = await provider.generate(order("firefly-image3", run_seconds_max=0), Recorder())
    assert outcome == Unknown("not_finished_in_time", status_url(server))


ELSEWHERE = [
    "https://firefly-epo.adobe.io.attacker.invalid/v3/status/x",
    "https://attacker.invalid/v3/status/x",
    "http://firefly-epo.adobe.io/v3/status/x",
    "https://user@firefly-epo.adobe.io/v3/status/x",
    "https://firefly-epo.adobe.io:8443/v3/status/x",
    "https://firefly-epo.adobe.io/v3/status/x?next=1",
    "https://firefly-epo.adobe.io/v3/status/x#y",
    "https://firefly-epo.adobe.io/v3/status/../../ims",
    "https://firefly-epo.adobe.io/v3/cancel/x",
    "https://firefly-epo.adobe.io/v3/status/",
    "https://firefly-epo.adobe.io/v3/status/" + "x" * 600,
    "https://[::1/v3/status/x",
    "https://a..adobe.io/v3/status/x",
    f"https://{'a' * 64}.adobe.io/v3/status/x",
    "file:///v3/status/x",
    "",
]


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_our_token_goes_nowhere_else(
    url: str, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    provider._api_hosts = frozenset({"*.adobe.io"})
    server.answers(SUBMIT, Answer(202, {"jobId": JOB, "statusUrl": url, "cancelUrl": url}))
    submitted = await provider.generate(IMAGE3, Recorder())
    assert isinstance(submitted, NotDelivered)
    assert (submitted.failure, submitted.billed) == (Failure.MALFORMED, Billed.MAXIMUM)
    assert submitted.reason == "status_address_not_allowed"
    assert await provider.resume(IMAGE3, url) == Unknown("malformed_job_id", url)
    assert [seen.path for seen in server.seen] == [SIGN_IN, SUBMIT]


def test_shards_of_adobe_are_allowed() -> None:
    addresses = adobe_firefly.FireflyAddresses(
        "https://firefly-api.adobe.io",
        "https://ims-na1.adobelogin.com",
        frozenset({"*.adobe.io"}),
        frozenset(),
    )
    provider = AdobeFireflyProvider(addresses, "client", GivenSecret("secret"), 1)
    assert provider._is_status_url(f"https://firefly-epo854211.adobe.io/v3/status/{JOB}")


async def test_redirected_look_is_not_followed(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(LOOK, Answer(302, b"", {"location": server.origin + "/elsewhere"}))
    outcome = await provider.generate(IMAGE3, Recorder())
    assert outcome == Unknown("poll_http_302", status_url(server))
    assert sent_to(server, "/elsewhere") == 0


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", {"jobId": JOB, "statusUrl": 7}, {"links": []}]
)
async def test_answer_that_names_no_job_is_booked(
    answer: Any, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(SUBMIT, Answer(202, answer))
    outcome = await provider.generate(IMAGE3, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.billed, outcome.reason) == (Billed.MAXIMUM, "malformed_answer")


@pytest.mark.parametrize("answer", [Answer(504, {}), Answer(502, b"<html>"), Answer(499, {})])
async def test_gateway_that_gave_up_leaves_it_open(
    answer: Answer, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(SUBMIT, answer)
    assert await provider.generate(IMAGE3, Recorder()) == Unknown("gateway_error")


@pytest.mark.parametrize("ending", ["reset", "cut_off"])
async def test_lost_answer_to_a_submission_leaves_it_open(
    ending: Any, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(SUBMIT, Answer(202, accepted(server), ending=ending))
    assert await provider.generate(IMAGE3, Recorder()) == Unknown("connection_lost")
    assert sent_to(server, SUBMIT) == 1


async def test_cancelled_attempt_hands_back_its_job(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, RUNNING)
    recorder = Recorder()
    running = asyncio.create_task(provider.generate(IMAGE3, recorder))
    while not recorder.jobs:
        await asyncio.sleep(0.01)
    running.cancel()
    assert await running == Unknown("cancelled_in_flight", status_url(server))


@pytest.mark.parametrize(
    ("looks", "reason"),
    [
        ([Answer(404, {"error_code": "unknown_job_id"})], "poll_http_404"),
        ([Answer(403, {"error_code": "access_error"})], "poll_http_403"),
        ([Answer(200, b"hello")], "unreadable_job"),
    ],
)
async def test_job_that_cannot_be_seen_stays_open(
    looks: list[Answer], reason: str, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(LOOK, *looks)
    outcome = await provider.generate(IMAGE3, Recorder())
    assert outcome == Unknown(reason, status_url(server))


async def test_looks_go_on_through_faults(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(
        LOOK,
        Answer(503, {"error_code": "x"}),
        Answer(429, {"error_code": "rate_limited"}),
        Answer(ending="reset"),
        Answer(200, b"{"),
        Answer(body=succeeded(server)),
    )
    assert isinstance(await provider.generate(IMAGE3, Recorder()), Delivered)


@pytest.mark.parametrize(
    ("job", "failure", "reason"),
    [
        ({"status": "failed", "error_code": "prompt_unsafe"}, "content_rejected", "prompt_refused"),
        ({"status": "failed", "error_code": "image_unsafe"}, "content_rejected", "picture_refused"),
        (
            {"status": "failed", "error_code": "prompt_entity_denied"},
            "content_rejected",
            "prompt_refused",
        ),
        ({"status": "failed", "error_code": ["odd"]}, "malformed", "run_failed"),
        ({"status": "failed"}, "malformed", "run_failed"),
        ({"status": "timeout"}, "timeout", "run_timed_out"),
        ({"status": "succeeded"}, "malformed", "no_usable_picture"),
        ({"status": "succeeded", "result": {"outputs": [7]}}, "malformed", "no_usable_picture"),
    ],
)
async def test_job_without_pictures_costs_the_maximum(
    job: dict[str, Any],
    failure: str,
    reason: str,
    server: ScriptedServer,
    provider: AdobeFireflyProvider,
) -> None:
    looks_give(server, {"jobId": JOB, **job})
    outcome = await provider.generate(IMAGE3, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.reason) == (failure, reason)
    assert outcome.billed is Billed.MAXIMUM


@pytest.mark.parametrize("code", ["prompt_unsafe", "prompt_entity_denied", "legal_error"])
@pytest.mark.parametrize("status", [400, 403, 422, 451])
async def test_refusal_at_submission_is_known_by_its_code_whatever_the_status(
    status: int, code: str, server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    server.answers(SUBMIT_V4, Answer(status, {"error_code": code, "message": "no"}))
    outcome = await provider.generate(IMAGE5, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.CONTENT_REJECTED, Billed.NOTHING)
    assert outcome.categories == (code,)


async def test_picture_that_may_still_be_fetched_keeps_the_job_open(
    server: ScriptedServer, provider: AdobeFireflyProvider
) -> None:
    looks_give(server, succeeded(server))
    server.answers(PICTURE, Answer(503, b""), Answer(body=png()))
    first = await provider.generate(IMAGE3, Recorder())
    assert first == Unknown("output_unreachable", status_url(server))
    assert isinstance(await provider.resume(IMAGE3, status_url(server)), Delivered)
    assert sent_to(server, SUBMIT) == 1
