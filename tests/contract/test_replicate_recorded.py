"""Recorded exchanges with Replicate, played by a server on loopback to our provider.

Pictures were cut from the recordings; one of ours stands in their place. Where a run's last look
was not recorded, that of another run is played.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered
from tests.contract.image_orders import Recorder, b64, bytes_of, order, png
from tests.contract.replicate_server import SUBMIT
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server
from tests.contract.vendor_specs import document

PICTURE = "/pbxt/out-0.png"
INLINE = f"data:image/png;base64,{b64(png())}"
OLD_VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
ORDERED = order(
    "sdxl",
    "a studio photo of a rainbow colored corgi",
    provider_model=OLD_VERSION,
    provider_size="512x512",
    seed=42069,
)
Exchange = dict[str, Any]


def exchanges(cassette: str) -> list[Exchange]:
    recorded = document("replicate-recorded-exchanges.json")["exchanges"]
    return [each for each in recorded if each["cassette"] == cassette]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers(PICTURE, Answer(body=png()))
        yield server


def answer_of(server: ScriptedServer, exchange: Exchange, **changes: Any) -> Answer:
    """A recorded answer, its picture replaced by ours."""
    response = exchange["response"]
    body = {**response["body"], **changes}
    if body.get("output"):
        inline = str(body["output"][0]).startswith("data:")
        body["output"] = [INLINE if inline else server.origin + PICTURE]
    headers = {
        name: value for name, value in response["headers"].items() if name != "content-length"
    }
    return Answer(response["status"], body, headers)


def provider_of(server: ScriptedServer, wait_s: int = 0) -> ReplicateProvider:
    hosts = frozenset({server.origin.removeprefix("http://")})
    return ReplicateProvider(
        f"{server.origin}/v1", GivenSecret("r8_token"), hosts, poll_interval_s=0.01, wait_s=wait_s
    )


async def test_recorded_run_is_followed_from_start_to_picture(server: ScriptedServer) -> None:
    created, *looks = exchanges("run.yaml")
    job = created["response"]["body"]["id"]
    server.answers(SUBMIT, answer_of(server, created))
    server.answers(f"/v1/predictions/{job}", *(answer_of(server, each) for each in looks))
    provider, recorder = provider_of(server), Recorder()
    outcome = await provider.generate(ORDERED, recorder)
    await provider.aclose()
    assert isinstance(outcome, Delivered) and outcome.usage is not None
    assert await bytes_of(outcome.images[0]) == png()
    assert outcome.usage.seconds == Decimal("5.524512")
    assert outcome.images[0].seed == 42069
    assert recorder.jobs == [job]
    assert server.seen[0].json() == created["request"]["body"]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("cassette", ["False-10", "False-True"])
async def test_recorded_held_answer_is_done_with_the_pictures_inside(
    cassette: str, number: int, server: ScriptedServer
) -> None:
    created = exchanges(f"test_predictions_create_blocking[{cassette}].yaml")[number]
    *_, last = exchanges("run.yaml")
    job = created["response"]["body"]["id"]
    assert created["response"]["body"]["status"] == "processing"
    server.answers(SUBMIT, answer_of(server, created))
    server.answers(f"/v1/predictions/{job}", answer_of(server, last, id=job))
    provider = provider_of(server, wait_s=10)
    outcome = await provider.generate(ORDERED, Recorder())
    await provider.aclose()
    assert isinstance(outcome, Delivered) and outcome.usage is not None
    assert await bytes_of(outcome.images[0]) == png()
    assert outcome.usage.seconds == Decimal("5.524512")
    assert server.seen[0].headers["prefer"] == "wait=10"
    assert PICTURE not in {seen.path for seen in server.seen}  # it was there already


async def test_recorded_cancellation_costs_the_time_it_ran(server: ScriptedServer) -> None:
    created, canceled = exchanges("predictions-cancel.yaml")
    job = created["response"]["body"]["id"]
    server.answers(SUBMIT, answer_of(server, created))
    server.answers(f"/v1/predictions/{job}", answer_of(server, canceled))
    provider = provider_of(server)
    outcome = await provider.generate(ORDERED, Recorder())
    await provider.aclose()
    assert isinstance(outcome, NotDelivered) and outcome.usage is not None
    assert (outcome.failure, outcome.billed) == (Failure.CANCELED, Billed.USAGE)
    assert outcome.usage.seconds == Decimal("0.128148")


async def test_recorded_run_is_resumed_by_its_id(server: ScriptedServer) -> None:
    (look,) = exchanges("predictions-get.yaml")
    job = look["response"]["body"]["id"]
    server.answers(f"/v1/predictions/{job}", answer_of(server, look))
    provider = provider_of(server)
    outcome = await provider.resume(ORDERED, job)
    await provider.aclose()
    assert isinstance(outcome, Delivered) and outcome.usage is not None
    assert outcome.usage.seconds == Decimal("3.804328")
    assert server.count("POST") == 0


async def test_recorded_refusal_of_a_token_is_ours_to_mend(server: ScriptedServer) -> None:
    (refused,) = exchanges("run__invalid-token.yaml")
    server.answers(SUBMIT, answer_of(server, refused))
    provider = provider_of(server)
    outcome = await provider.generate(ORDERED, Recorder())
    await provider.aclose()
    assert outcome == NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "http_401")
