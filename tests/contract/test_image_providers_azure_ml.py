"""Our own endpoint on Azure Machine Learning: the scoring contract, its endings and its time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.azure_ml import AzureMlProvider, ScoringTerms, request_body
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    NotDelivered,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.domain.images import image_dimensions
from shared.errors import Unavailable
from tests.contract.azure_providers_bench import AzureProvidersBench, azure_providers, scoring
from tests.contract.image_orders import Recorder, b64, bytes_of, order, png
from tests.contract.scripted_server import Answer, scripted_server

MODEL = "sdxl-sovereign"
PATH = "/azure-ml/score"
RUN_S_MAX = 20  # of the test orders


@pytest.fixture
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AzureProvidersBench]:
    async for each in azure_providers(tmp_path_factory.mktemp("simulators")):
        yield each


async def scripted(*answers: Answer) -> ProviderOutcome:
    """What comes of an order when the endpoint answers like this."""
    async with scripted_server() as server:
        server.answers(PATH, *answers)
        provider = scoring(server.origin)
        outcome = await provider.generate(order(MODEL), Recorder())
        await provider.aclose()
        assert server.count("POST") == 1
        return outcome


def picture_answer(**changes: Any) -> dict[str, Any]:
    answer = {"model_version": "sdxl:3", "seconds": "3.250"}
    return {**answer, "images": [{"b64_json": b64(png()), "seed": 9}], **changes}


async def test_request_is_that_of_the_scoring_contract() -> None:
    async with scripted_server() as server:
        server.answers(PATH, Answer(body=picture_answer()))
        provider = scoring(server.origin)
        wanted = order(MODEL, seed=7, negative_prompt="blurry", count=2)
        await provider.generate(wanted, Recorder())
        await provider.aclose()
    (seen,) = server.seen
    assert seen.headers["authorization"] == "Bearer local"
    assert seen.headers["azureml-model-deployment"] == "blue"
    assert seen.json() == {
        "model": "stable-diffusion-xl-base-1.0",
        "prompt": "A lighthouse at dawn",
        "negative_prompt": "blurry",
        "width": 1024,
        "height": 1024,
        "count": 2,
        "seed": 7,
        "output_format": "png",
        "seconds_max": RUN_S_MAX,
    }


async def test_request_without_a_deployment_leaves_it_to_the_traffic_rules() -> None:
    async with scripted_server() as server:
        server.answers(PATH, Answer(body=picture_answer()))
        provider = scoring(server.origin, deployment=None)
        await provider.generate(order(MODEL), Recorder())
        await provider.aclose()
    assert "azureml-model-deployment" not in server.seen[0].headers
    assert not {"seed", "negative_prompt"} & set(request_body(order(MODEL)))


async def test_delivers_pictures_with_their_seeds_and_the_time_that_is_billed(
    bench: AzureProvidersBench,
) -> None:
    outcome = await bench.scoring.generate(order(MODEL, count=2, seed=41), Recorder())
    assert isinstance(outcome, Delivered) and outcome.usage is not None
    assert [image.seed for image in outcome.images] == [41, 42]
    assert image_dimensions(await bytes_of(outcome.images[0])) == (1024, 1024)
    assert outcome.model_version == "stable-diffusion-xl-base-1.0:1"
    (line,) = bench.billed()
    assert line[:2] == ("machine_time", int(outcome.usage.seconds * 1000))


@pytest.mark.parametrize(
    ("scenario", "failure", "billed", "reason"),
    [
        ("model_error", Failure.MALFORMED, Billed.USAGE, "run_failed"),
        ("out_of_memory", Failure.TRANSIENT, Billed.USAGE, "out_of_memory"),
        ("run_too_long", Failure.TIMEOUT, Billed.USAGE, "run_too_long"),
        ("timeout_408", Failure.TIMEOUT, Billed.MAXIMUM, "http_408"),
        ("provider_blocked", Failure.AUTH_OR_CONFIG, Billed.NOTHING, "http_403"),
        ("rate_limited retry_after_s=4", Failure.RATE_LIMITED, Billed.NOTHING, "http_429"),
    ],
)
async def test_every_ending_without_a_picture_and_what_it_costs(
    scenario: str, failure: Failure, billed: Billed, reason: str, bench: AzureProvidersBench
) -> None:
    prompt = f"[[scenario:{scenario}]] A pier"
    outcome = await bench.scoring.generate(order(MODEL, prompt), Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.reason) == (failure, billed, reason)
    assert outcome.retry_after_s == (4 if "rate_limited" in scenario else None)
    billed_ms = sum(quantity for _, quantity, _ in bench.billed())
    if billed is Billed.MAXIMUM:
        assert billed_ms == RUN_S_MAX * 1_000
    elif outcome.usage is not None:
        assert billed_ms == int(outcome.usage.seconds * 1_000) > 0
    else:
        assert billed_ms == 0


async def test_gateway_timeout_is_unknown_for_the_run_may_go_on(bench: AzureProvidersBench) -> None:
    wanted = order(MODEL, "[[scenario:gateway_timeout]] A pier")
    assert await bench.scoring.generate(wanted, Recorder()) == Unknown("gateway_error")
    assert bench.billed() != []


async def test_what_the_script_refuses_costs_nothing(bench: AzureProvidersBench) -> None:
    outcome = await bench.scoring.generate(order(MODEL, provider_size="1001x1001"), Recorder())
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.INVALID_REQUEST, Billed.NOTHING)
    assert bench.billed() == []


async def test_unknown_deployment_is_our_mistake(bench: AzureProvidersBench) -> None:
    provider = scoring(bench.server.origin, deployment="green")
    outcome = await provider.generate(order(MODEL), Recorder())
    await provider.aclose()
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)


MODEL_STATUS = "ms-azureml-model-error-statuscode"


@pytest.mark.parametrize(
    ("answer", "failure", "billed"),
    [
        (Answer(424, b"<html>", {MODEL_STATUS: "500"}), Failure.MALFORMED, Billed.MAXIMUM),
        (
            Answer(424, {"error": "x"}, {MODEL_STATUS: "400"}),
            Failure.INVALID_REQUEST,
            Billed.NOTHING,
        ),
        (Answer(424, b"<html>", {MODEL_STATUS: "504"}), Failure.TIMEOUT, Billed.MAXIMUM),
        (Answer(424, b"<html>", {MODEL_STATUS: "507"}), Failure.TRANSIENT, Billed.MAXIMUM),
        (Answer(424, {"seconds": "99999"}), Failure.MALFORMED, Billed.MAXIMUM),
        (Answer(401, {"error": {"code": "x"}}), Failure.AUTH_OR_CONFIG, Billed.NOTHING),
        (Answer(404, {"error": {"code": "x"}}), Failure.AUTH_OR_CONFIG, Billed.NOTHING),
        (Answer(413, b"too long"), Failure.INVALID_REQUEST, Billed.NOTHING),
        (Answer(503, {"error": {"code": "x"}}), Failure.TRANSIENT, Billed.NOTHING),
    ],
)
async def test_errors_of_gateway_and_container(
    answer: Answer, failure: Failure, billed: Billed
) -> None:
    outcome = await scripted(answer)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, billed)


@pytest.mark.parametrize(
    "seconds", [None, 3, "x", "-1", "NaN", "Infinity", "20.001", "1e99", ["3"]]
)
async def test_time_that_cannot_be_is_booked_at_the_maximum(seconds: object) -> None:
    outcome = await scripted(Answer(body=picture_answer(seconds=seconds)))
    assert isinstance(outcome, Delivered) and outcome.usage is None


@pytest.mark.parametrize("images", ["x", None, {}])
async def test_answer_without_pictures_is_booked_at_the_maximum(images: object) -> None:
    outcome = await scripted(Answer(body=picture_answer(images=images)))
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.MALFORMED, Billed.MAXIMUM)


@pytest.mark.parametrize("images", [[], [None], [{"b64_json": b64(b"<html>")}], [{"seed": 1}]])
async def test_answer_with_nothing_usable_is_booked_for_its_time(images: object) -> None:
    outcome = await scripted(Answer(body=picture_answer(images=images)))
    assert isinstance(outcome, NotDelivered)
    assert outcome.usage is not None and outcome.usage.seconds == Decimal("3.25")
    assert outcome.billed is Billed.USAGE


async def test_more_pictures_than_ordered_and_odd_seeds_are_left() -> None:
    item = {"b64_json": b64(png()), "seed": -4}
    outcome = await scripted(Answer(body=picture_answer(images=[item] * 3)))
    assert isinstance(outcome, Delivered)
    assert outcome.usage == Usage(seconds=Decimal("3.25"), images=1)
    assert [image.seed for image in outcome.images] == [None]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(504, {"error": {"code": "x"}}), "gateway_error"),
        (Answer(502, b"<html>"), "gateway_error"),
        (Answer(ending="reset"), "connection_lost"),
        (Answer(body=picture_answer(), ending="cut_off"), "connection_lost"),
    ],
)
async def test_lost_answers_leave_it_unknown(answer: Answer, reason: str) -> None:
    assert await scripted(answer) == Unknown(reason)


async def test_resume_asks_nobody() -> None:
    provider: AzureMlProvider = scoring("http://127.0.0.1:1")
    assert await provider.resume(order(MODEL), "job") == Unknown("provider_has_no_jobs", "job")


@pytest.mark.parametrize("address", ["not an address", "http://", "https://[::1"])
async def test_address_that_is_none_is_our_mistake_and_costs_nothing(address: str) -> None:
    provider = AzureMlProvider(ScoringTerms(address, GivenSecret("local"), "scope", None))
    outcome = await provider.generate(order(MODEL), Recorder())
    await provider.aclose()
    assert outcome == NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "malformed_address")


@dataclass
class RotatingSecret:
    """Its value is the newest one only after it was refused."""

    values: list[str]

    async def value(self) -> str:
        return self.values[0]

    async def renewed(self, refused: str) -> str | None:
        if self.values[0] == refused and len(self.values) > 1:
            self.values.pop(0)
        return self.values[0] if self.values[0] != refused else None


@pytest.mark.parametrize(("values", "posts"), [(["old", "new"], 2), (["wrong"], 1)])
async def test_refused_key_is_replaced_once_if_there_is_a_newer_one(
    values: list[str], posts: int
) -> None:
    async with scripted_server() as server:
        refused = Answer(401, {"error": {"code": "key_auth_access_denied"}})
        answers = [refused, Answer(body=picture_answer())][:posts]
        server.answers(PATH, *answers)
        secret = RotatingSecret(values)
        provider = AzureMlProvider(ScoringTerms(server.origin + PATH, secret, "scope", None))
        outcome = await provider.generate(order(MODEL), Recorder())
        await provider.aclose()
    sent = [seen.headers["authorization"] for seen in server.seen]
    assert sent == ["Bearer old", "Bearer new"][:posts] or sent == ["Bearer wrong"]
    assert isinstance(outcome, Delivered if posts == 2 else NotDelivered)


class UnreadableSecret:
    """A vault that does not answer."""

    async def value(self) -> str:
        raise Unavailable("The vault does not answer.")

    async def renewed(self, refused: str) -> str | None:
        raise AssertionError("nothing was refused")


async def test_key_that_cannot_be_read_sends_nothing() -> None:
    async with scripted_server() as server:
        terms = ScoringTerms(server.origin + PATH, UnreadableSecret(), "scope", None)
        outcome = await AzureMlProvider(terms).generate(order(MODEL), Recorder())
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "credential_unavailable")
    assert server.seen == []
