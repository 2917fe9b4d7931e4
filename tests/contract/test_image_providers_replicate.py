"""Replicate: what is sent, and what each answer and ending means for the money."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers import replicate, sessions
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, Unknown, Usage
from shared.domain.models import MODELS
from shared.errors import Unavailable
from tests.contract.image_orders import Recorder, b64, bytes_of, order, png
from tests.contract.replicate_server import (
    FLUX,
    JOB,
    PICTURE,
    POLL,
    SDXL,
    STARTING,
    SUBMIT,
    SUBMIT_FLUX,
    ended,
    poll_gives,
    problem,
    replicate_provider,
    replicate_server,
)
from tests.contract.scripted_server import Answer, ScriptedServer, Seen


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with replicate_server() as server:
        yield server


@pytest.fixture
async def provider(server: ScriptedServer) -> AsyncIterator[ReplicateProvider]:
    async with replicate_provider(server) as provider:
        yield provider


async def test_generate_sends_sdxl_by_version(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended("aborted"))
    wanted = order("sdxl", count=2, seed=7, negative_prompt="fog", run_seconds_max=33)
    await provider.generate(wanted, Recorder())
    submitted = server.seen[0]
    assert submitted.path == SUBMIT
    assert submitted.json() == {
        "version": MODELS["sdxl"].provider_model,
        "input": {
            "prompt": "A lighthouse at dawn",
            "num_outputs": 2,
            "seed": 7,
            "width": 1024,
            "height": 1024,
            "negative_prompt": "fog",
        },
    }
    assert submitted.headers["authorization"] == "Bearer r8_token"
    assert submitted.headers["cancel-after"] == "33s"
    assert "prefer" not in submitted.headers


async def test_generate_sends_flux_by_model_name(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended("aborted"))
    wanted = order("flux-schnell", output_format="jpeg", negative_prompt="fog")
    await provider.generate(wanted, Recorder())
    submitted = server.seen[0]
    assert submitted.path == SUBMIT_FLUX
    assert submitted.json() == {
        "input": {
            "prompt": "A lighthouse at dawn",
            "aspect_ratio": "1:1",
            "output_format": "jpg",
        }
    }


async def test_generate_records_the_job_before_the_first_poll(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    recorder, recorded_at_poll = Recorder(), []

    def look(seen: Seen) -> None:
        if seen.path == POLL:
            recorded_at_poll.append(list(recorder.jobs))

    server.on_request = look
    poll_gives(server, STARTING, {**STARTING, "status": "processing"}, ended("aborted"))
    await provider.generate(SDXL, recorder)
    assert recorded_at_poll == [[JOB]] * 3


@pytest.mark.parametrize("error", [Unavailable("store down"), asyncio.CancelledError()])
async def test_generate_hands_back_the_job_when_recording_fails(
    error: Exception, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    outcome = await provider.generate(SDXL, Recorder(error=error))
    assert outcome == Unknown("job_not_recorded", JOB)
    assert server.count("GET") == 0


async def test_generate_delivers_pictures_usage_and_seed(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    data_uri = f"data:image/png;base64,{b64(png(9, 9))}"
    poll_gives(server, ended(output=[server.origin + PICTURE, data_uri]))
    outcome = await provider.generate(order("sdxl", count=3, seed=1), Recorder())
    assert isinstance(outcome, Delivered)
    assert outcome.usage == Usage(seconds=Decimal("5.52"), images=2)
    assert outcome.job_id == JOB
    assert [image.seed for image in outcome.images] == [42069, 42069]
    assert [await bytes_of(image) for image in outcome.images] == [png(), png(9, 9)]
    download = server.seen[-1]
    assert download.path == PICTURE and "authorization" not in download.headers


async def test_generate_accepts_a_single_output_and_keeps_the_seed_it_sent(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended(output=server.origin + PICTURE, logs=None, metrics={}))
    outcome = await provider.generate(order("flux-schnell", seed=11), Recorder())
    assert isinstance(outcome, Delivered)
    assert outcome.usage == Usage(images=1)
    assert [image.seed for image in outcome.images] == [11]


async def test_generate_states_no_usage_when_a_timed_run_has_no_time(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended(output=[server.origin + PICTURE], metrics=None))
    outcome = await provider.generate(SDXL, Recorder())
    assert isinstance(outcome, Delivered) and outcome.usage is None


NSFW = "NSFW content detected. Try running it again, or try a different prompt."
TIMED = Usage(seconds=Decimal("5.52"))
ENDINGS: dict[str, tuple[dict[str, Any], Failure, Billed, Usage | None]] = {
    "nsfw": (ended("failed", error=NSFW), Failure.CONTENT_REJECTED, Billed.USAGE, TIMED),
    "sensitive": (
        ended("failed", error="The output was flagged as sensitive. (E005)"),
        Failure.CONTENT_REJECTED,
        Billed.USAGE,
        TIMED,
    ),
    "out_of_memory": (
        ended("failed", error="CUDA out of memory. Tried to allocate 2 GiB"),
        Failure.TRANSIENT,
        Billed.USAGE,
        TIMED,
    ),
    "crash": (ended("failed", error="KeyError: 'x'"), Failure.MALFORMED, Billed.USAGE, TIMED),
    "crash_before_start": (
        ended("failed", error="setup failed", started_at=None, metrics={}),
        Failure.MALFORMED,
        Billed.NOTHING,
        None,
    ),
    "crash_without_time": (
        ended("failed", error="killed", metrics={"predict_time": float("nan")}),
        Failure.MALFORMED,
        Billed.MAXIMUM,
        None,
    ),
    "canceled": (ended("canceled"), Failure.CANCELED, Billed.USAGE, TIMED),
    "aborted": (ended("aborted", metrics=None), Failure.TIMEOUT, Billed.NOTHING, None),
    "expired": (
        ended(data_removed=True),
        Failure.MALFORMED,
        Billed.USAGE,
        Usage(seconds=Decimal("5.52"), images=1),
    ),
    "no_output": (
        ended(output=None),
        Failure.MALFORMED,
        Billed.USAGE,
        Usage(seconds=Decimal("5.52"), images=1),
    ),
    "odd_output": (
        ended(output={"a": 1}, metrics={"predict_time": True}),
        Failure.MALFORMED,
        Billed.MAXIMUM,
        None,
    ),
}


@pytest.mark.parametrize("kind", ENDINGS)
async def test_generate_bills_a_timed_run_by_how_it_ended(
    kind: str, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    prediction, failure, billed, usage = ENDINGS[kind]
    poll_gives(server, prediction)
    outcome = await provider.generate(SDXL, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.usage) == (failure, billed, usage)
    assert outcome.job_id == JOB


@pytest.mark.parametrize("kind", ["nsfw", "out_of_memory", "crash", "canceled", "aborted"])
async def test_generate_bills_nothing_for_a_per_picture_run_without_pictures(
    kind: str, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ENDINGS[kind][0])
    outcome = await provider.generate(FLUX, Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.billed, outcome.usage) == (Billed.NOTHING, None)


async def test_generate_bills_the_order_for_per_picture_outputs_that_are_gone(
    server: ScriptedServer, provider: ReplicateProvider
) -> None:
    poll_gives(server, ended(data_removed=True))
    outcome = await provider.generate(order("flux-schnell", count=3), Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.billed, outcome.reason) == (Billed.USAGE, "output_expired")
    assert outcome.usage is not None and outcome.usage.images == 3


REFUSED: dict[str, tuple[Answer, Failure, float | None]] = {
    "bad_token": (Answer(401, problem("Unauthenticated")), Failure.AUTH_OR_CONFIG, None),
    "no_credit": (Answer(402, problem("Insufficient credit")), Failure.QUOTA_EXHAUSTED, None),
    "no_version": (Answer(404, problem("Not found")), Failure.AUTH_OR_CONFIG, None),
    "bad_input": (Answer(422, problem("Input validation failed")), Failure.INVALID_REQUEST, None),
    "throttled": (
        Answer(429, problem("", "Request was throttled. Your rate limit resets in ~30s.")),
        Failure.RATE_LIMITED,
        30.0,
    ),
    "throttled_header": (
        Answer(429, problem(""), {"retry-after": "2"}),
        Failure.RATE_LIMITED,
        2.0,
    ),
    "outage": (Answer(503, problem("Unavailable")), Failure.TRANSIENT, None),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_generate_maps_each_refused_submission(
    kind: str, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    answer, failure, retry_after_s = REFUSED[kind]
    server.answers(SUBMIT, answer)
    recorder = Recorder()
    assert await provider.generate(SDXL, recorder) == NotDelivered(
        failure, Billed.NOTHING, f"http_{answer.status}", retry_after_s=retry_after_s
    )
    assert (len(server.seen), recorder.jobs) == (1, [])


@pytest.mark.parametrize(
    "body", [b"", b"<html>", [], {}, {"id": 5}, {"id": "../models"}, {"id": "a" * 65}]
)
async def test_generate_books_the_maximum_for_an_accepted_job_without_id(
    body: Any, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    server.answers(SUBMIT, Answer(201, body))
    outcome = await provider.generate(SDXL, Recorder())
    assert outcome == NotDelivered(Failure.MALFORMED, Billed.MAXIMUM, "malformed_answer")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(ending="reset"), "connection_lost"),
        (Answer(201, STARTING, ending="cut_off"), "connection_lost"),
        (Answer(502, b"<html>"), "gateway_error"),
        (Answer(504, problem("Gateway timeout")), "gateway_error"),
    ],
)
async def test_generate_is_unknown_when_the_job_may_have_been_made(
    answer: Answer, reason: str, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    server.answers(SUBMIT, answer)
    assert await provider.generate(SDXL, Recorder()) == Unknown(reason)
    assert len(server.seen) == 1


async def test_generate_is_unknown_when_the_submission_is_not_answered(
    server: ScriptedServer, provider: ReplicateProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "REQUEST_TIMEOUT_S", 0.2)
    server.answers(SUBMIT, Answer(ending="hang"))
    assert await provider.generate(SDXL, Recorder()) == Unknown("no_answer_in_time")


@pytest.mark.parametrize(("path", "job"), [(SUBMIT, None), (POLL, JOB)])
async def test_generate_is_unknown_when_cancelled_in_flight(
    path: str, job: str | None, server: ScriptedServer, provider: ReplicateProvider
) -> None:
    arrived = asyncio.Event()
    server.answers(path, Answer(ending="hang"))
    server.on_request = lambda seen: arrived.set() if seen.path == path else None
    task = asyncio.create_task(provider.generate(SDXL, Recorder()))
    await arrived.wait()
    task.cancel()
    assert await task == Unknown("cancelled_in_flight", job)


async def test_generate_was_never_sent_when_no_connection_opens() -> None:
    provider = ReplicateProvider(
        "http://127.0.0.1:1/v1", GivenSecret("t"), frozenset(), poll_interval_s=0.01
    )
    outcome = await provider.generate(SDXL, Recorder())
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
    await provider.aclose()


HELD = {
    **STARTING,
    "status": "processing",
    "logs": "",
    "output": [f"data:image/png;base64,{b64(picture)}" for picture in (png(), png(9, 9))],
}


@pytest.mark.parametrize(
    ("model", "sent", "polled", "recorded"),
    [("flux-schnell", None, 1, 42069), ("flux-schnell", 11, 0, 11), ("sdxl", 11, 1, 42069)],
)
async def test_held_answer_is_followed_for_what_it_does_not_state_yet(
    model: str, sent: int | None, polled: int, recorded: int, server: ScriptedServer
) -> None:
    server.answers(SUBMIT_FLUX, Answer(201, HELD))
    server.answers(SUBMIT, Answer(201, HELD))
    poll_gives(server, ended(output=[server.origin + PICTURE] * 2))
    async with replicate_provider(server, wait_s=5) as provider:
        outcome = await provider.generate(order(model, count=2, seed=sent), Recorder())
    assert isinstance(outcome, Delivered)
    assert [image.seed for image in outcome.images] == [recorded] * 2
    assert server.count("GET") == polled


@pytest.mark.parametrize(
    "look", [Answer(404, problem("Not found")), Answer(body=HELD), Answer(503, b"")]
)
async def test_pictures_of_a_held_answer_do_not_wait_for_a_seed_that_nobody_tells(
    look: Answer, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate, "SEED_TIMEOUT_S", 0.1)
    server.answers(SUBMIT_FLUX, Answer(201, HELD))
    server.answers(POLL, look)
    async with replicate_provider(server, wait_s=5) as provider:
        outcome = await provider.generate(order("flux-schnell", count=2), Recorder())
    assert isinstance(outcome, Delivered)
    assert [image.seed for image in outcome.images] == [None, None]
    assert outcome.usage == Usage(images=2)
