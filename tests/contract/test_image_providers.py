"""One suite for every image provider: how each ending is reported, with the invoice as witness."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from devhost.simulators.replicate_predictions import settle_due
from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.providers.azure_openai import AzureOpenAIProvider
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    ImageOrder,
    NotDelivered,
    ProviderOutcome,
    Unknown,
)
from shared.domain.images import image_dimensions, sniff_image
from shared.domain.models import MODELS
from tests.contract.image_orders import Recorder, bytes_of, order

SCOPE = "https://cognitiveservices.azure.com/.default"
MODEL_NAMES = ("gpt-image-2", "sdxl", "flux-schnell")
FAST_S = 0.02
LONGEST_RUN_S = 600.0
RETENTION_S = 3_600.0


@dataclass
class Bench:
    """One model behind its provider, next to the simulator that keeps the invoice."""

    model: str
    server: RunningSimulators
    provider: AzureOpenAIProvider | ReplicateProvider
    unreachable: AzureOpenAIProvider | ReplicateProvider
    recorder: Recorder

    @property
    def has_jobs(self) -> bool:
        return MODELS[self.model].provider == "replicate"

    @property
    def billed_by_time(self) -> bool:
        return self.model == "sdxl"

    def order(self, prompt: str = "A lighthouse at dawn", **changes: Any) -> ImageOrder:
        return order(self.model, prompt, **changes)

    async def generate(self, prompt: str, **changes: Any) -> ProviderOutcome:
        return await self.provider.generate(self.order(prompt, **changes), self.recorder)

    async def control(self, path: str) -> Any:
        url = f"{self.server.origin}/_control/{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.json()

    async def quantities(self) -> dict[str, int]:
        """What the provider bills, as {kind: quantity}."""
        lines = (await self.control("invoice"))["lines"]
        return {line["kind"]: line["quantity"] for line in lines}

    async def submissions(self, prompt: str) -> int:
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        listed = (await self.control("stats"))["submissions"]
        return sum(item["submitted"] for item in listed if item["prompt_sha256"] == digest)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSimulators]:
    data_dir = tmp_path_factory.mktemp("simulators")
    options = SimulatorOptions(data_dir, 0, FAST_S, 2 * FAST_S, tiny_pictures=True)
    server = await start_simulators(options)
    yield server
    await server.stop()


@pytest.fixture(params=MODEL_NAMES)
async def bench(request: pytest.FixtureRequest, server: RunningSimulators) -> AsyncIterator[Bench]:
    server.state.clock.advance(LONGEST_RUN_S)  # whatever earlier tests left running has ended
    settle_due(server.state)
    server.state.invoice.reset()
    reachable = _provider(request.param, server.origin)
    unreachable = _provider(request.param, "http://127.0.0.1:1")
    yield Bench(request.param, server, reachable, unreachable, Recorder())
    await reachable.aclose()
    await unreachable.aclose()


def _provider(model: str, origin: str) -> AzureOpenAIProvider | ReplicateProvider:
    if MODELS[model].provider == "azure_openai":
        return AzureOpenAIProvider(f"{origin}/azure-openai/openai/v1/", "key", SCOPE, timeout_s=10)
    hosts = frozenset({origin.removeprefix("http://")})
    return ReplicateProvider(f"{origin}/replicate/v1", "r8_key", hosts, poll_interval_s=FAST_S)


async def test_generate_delivers_the_pictures_and_meters_what_is_billed(bench: Bench) -> None:
    outcome = await bench.generate("A lighthouse at dawn", count=2)
    assert isinstance(outcome, Delivered) and outcome.usage is not None
    for image in outcome.images:
        data = await bytes_of(image)
        kind = sniff_image(data)
        assert kind is not None and kind.name == bench.order().output_format
        assert image_dimensions(data) == (1024, 1024)
    usage, billed = outcome.usage, await bench.quantities()
    assert usage.images == len(outcome.images) == 2
    if bench.model == "gpt-image-2":
        assert billed == {"image_output": usage.output_tokens, "text_input": usage.input_tokens}
    elif bench.billed_by_time:
        assert billed == {"predict_time": int(usage.seconds * 1000)}
    else:
        assert billed == {"output_image": usage.images}
    assert await bench.submissions("A lighthouse at dawn") == 1


async def test_generate_records_the_job_if_there_is_one(bench: Bench) -> None:
    outcome = await bench.generate("A lighthouse at dawn")
    assert isinstance(outcome, Delivered)
    assert bench.recorder.jobs == ([outcome.job_id] if bench.has_jobs else [])
    assert (outcome.job_id is not None) is bench.has_jobs


async def test_generate_honours_the_seed_where_the_model_has_one(bench: Bench) -> None:
    outcome = await bench.generate("A lighthouse at dawn", seed=1234)
    assert isinstance(outcome, Delivered)
    assert outcome.images[0].seed == (1234 if MODELS[bench.model].seed else None)


@pytest.mark.parametrize("size", ["landscape", "portrait"])
async def test_generate_makes_the_size_that_was_ordered(size: str, bench: Bench) -> None:
    sizes = MODELS[bench.model].sizes
    plain = [name for name in sizes if "x" in name]
    wide = {name: tuple(map(int, name.split("x"))) for name in plain}
    wanted = next(n for n, (w, h) in wide.items() if (w > h) is (size == "landscape") and w != h)
    outcome = await bench.generate("A pier", size=wanted, provider_size=sizes[wanted])
    assert isinstance(outcome, Delivered)
    assert image_dimensions(await bytes_of(outcome.images[0])) == wide[wanted]


async def test_generate_delivers_what_came_when_fewer_pictures_came(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:fewer_images missing=1]] A pier", count=3)
    assert isinstance(outcome, Delivered)
    assert len(outcome.images) == 2


async def test_generate_reports_refused_content_and_what_it_costs(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:content_filter]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is Failure.CONTENT_REJECTED
    billed = await bench.quantities()
    assert (outcome.billed is Billed.NOTHING) is (billed == {})
    if bench.billed_by_time:
        assert outcome.usage is not None
        assert billed == {"predict_time": int(outcome.usage.seconds * 1000)}


@pytest.mark.parametrize(
    ("scenario", "failure"),
    [
        ("rate_limited retry_after_s=3", Failure.RATE_LIMITED),
        ("unauthorized", Failure.AUTH_OR_CONFIG),
        ("outage", Failure.TRANSIENT),
        ("outage status=500", Failure.TRANSIENT),
    ],
)
async def test_generate_costs_nothing_when_the_provider_did_not_work(
    scenario: str, failure: Failure, bench: Bench
) -> None:
    prompt = f"[[scenario:{scenario}]] A pier"
    outcome = await bench.generate(prompt)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, Billed.NOTHING)
    assert outcome.retry_after_s == (3.0 if failure is Failure.RATE_LIMITED else None)
    assert await bench.quantities() == {}
    assert await bench.submissions(prompt) == 1
    assert bench.recorder.jobs == []


async def test_generate_is_unknown_when_the_answer_is_lost_after_the_work(bench: Bench) -> None:
    prompt = "[[scenario:timeout_after_work]] A pier"
    outcome = await bench.generate(prompt)
    assert outcome == Unknown("connection_lost")
    assert await bench.submissions(prompt) == 1
    await asyncio.sleep(10 * FAST_S)
    assert await bench.quantities() != {}


async def test_generate_was_never_sent_when_nobody_listens(bench: Bench) -> None:
    outcome = await bench.unreachable.generate(bench.order(), bench.recorder)
    assert outcome == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")


@pytest.mark.parametrize("shape", ["invalid_json", "missing_data", "empty"])
async def test_generate_never_books_less_than_the_bill_for_a_malformed_answer(
    shape: str, bench: Bench
) -> None:
    prompt = f"[[scenario:malformed shape={shape}]] A pier"
    outcome = await bench.generate(prompt, run_seconds_max=5)
    if isinstance(outcome, NotDelivered):
        assert outcome.failure is Failure.MALFORMED
        assert outcome.billed in (Billed.MAXIMUM, Billed.USAGE)
    else:
        assert isinstance(outcome, Unknown)
    assert await bench.submissions(prompt) == 1


async def test_generate_takes_no_text_for_a_picture(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:not_an_image]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is Failure.MALFORMED
    assert outcome.billed in (Billed.MAXIMUM, Billed.USAGE)


async def test_generate_takes_no_picture_over_the_cap(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:oversized mb=51]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert outcome.failure is Failure.MALFORMED
    assert outcome.billed in (Billed.MAXIMUM, Billed.USAGE)


async def test_resume_never_submits(bench: Bench) -> None:
    prompt = "A lighthouse at dawn"
    first = await bench.generate(prompt)
    assert isinstance(first, Delivered)
    bill = await bench.quantities()
    for _ in range(2):
        resumed = await bench.provider.resume(bench.order(prompt), first.job_id or "no-job")
        if bench.has_jobs:
            assert isinstance(resumed, Delivered)
            assert (resumed.usage, resumed.job_id) == (first.usage, first.job_id)
        else:
            assert isinstance(resumed, Unknown)
    assert await bench.submissions(prompt) == 1
    assert await bench.quantities() == bill


async def test_many_orders_at_once_are_each_submitted_once(bench: Bench) -> None:
    prompts = [f"A pier, study {number}" for number in range(8)]
    outcomes = await asyncio.gather(*(bench.generate(prompt) for prompt in prompts))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert [await bench.submissions(prompt) for prompt in prompts] == [1] * len(prompts)


REPLICATE_ONLY = [
    ("nsfw", Failure.CONTENT_REJECTED, "picture_refused"),
    ("failed", Failure.MALFORMED, "run_failed"),
    ("expired_url", Failure.MALFORMED, "output_expired"),
    ("wrong_output_host", Failure.MALFORMED, "no_usable_picture"),
    ("redirect_output", Failure.MALFORMED, "no_usable_picture"),
    ("insufficient_credit", Failure.QUOTA_EXHAUSTED, "http_402"),
]


@pytest.mark.parametrize(("scenario", "failure", "reason"), REPLICATE_ONLY)
@pytest.mark.parametrize("bench", ["sdxl", "flux-schnell"], indirect=True)
async def test_replicate_books_what_is_billed_for_a_run_without_pictures(
    scenario: str, failure: Failure, reason: str, bench: Bench
) -> None:
    outcome = await bench.generate(f"[[scenario:{scenario}]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.reason) == (failure, reason)
    billed = await bench.quantities()
    assert (outcome.billed is Billed.NOTHING) is (billed == {})
    if outcome.usage is not None and bench.billed_by_time:
        assert billed == {"predict_time": int(outcome.usage.seconds * 1000)}
    if outcome.usage is not None and not bench.billed_by_time:
        assert billed == {"output_image": outcome.usage.images}


@pytest.mark.parametrize("bench", ["sdxl", "flux-schnell"], indirect=True)
async def test_replicate_aborted_run_is_free(bench: Bench) -> None:
    outcome = await bench.generate("[[scenario:aborted]] A pier", run_seconds_max=5)
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.TIMEOUT, Billed.NOTHING)
    assert await bench.quantities() == {}


@pytest.mark.parametrize("bench", ["sdxl"], indirect=True)
async def test_replicate_run_is_canceled_by_the_deadline_we_set(bench: Bench) -> None:
    prompt = "[[scenario:slow seconds=8]] A pier"
    running = asyncio.create_task(bench.generate(prompt, run_seconds_max=5))
    while not bench.recorder.jobs:
        await asyncio.sleep(FAST_S)
    bench.server.state.clock.advance(6)
    outcome = await running
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (Failure.CANCELED, Billed.USAGE)
    assert outcome.usage is not None
    assert await bench.quantities() == {"predict_time": int(outcome.usage.seconds * 1000)}


@pytest.mark.parametrize("bench", ["sdxl", "flux-schnell"], indirect=True)
async def test_replicate_outputs_are_gone_after_the_retention_time(bench: Bench) -> None:
    first = await bench.generate("A pier")
    assert isinstance(first, Delivered) and first.job_id is not None
    bench.server.state.clock.advance(RETENTION_S)
    resumed = await bench.provider.resume(bench.order("A pier"), first.job_id)
    assert isinstance(resumed, NotDelivered)
    assert (resumed.billed, resumed.reason) == (Billed.USAGE, "output_expired")
    assert resumed.usage == first.usage


@pytest.mark.parametrize("bench", ["gpt-image-2"], indirect=True)
@pytest.mark.parametrize(
    ("scenario", "failure", "billed"),
    [
        ("provider_blocked", Failure.PROVIDER_BLOCKED, Billed.NOTHING),
        ("timeout_408", Failure.TIMEOUT, Billed.OUTPUT),
        ("content_filter shape=contentFilter", Failure.CONTENT_REJECTED, Billed.OUTPUT),
        ("content_filter shape=innererror", Failure.CONTENT_REJECTED, Billed.OUTPUT),
        ("content_filter shape=output_filtered", Failure.CONTENT_REJECTED, Billed.OUTPUT),
        (
            "content_filter shape=content_policy_violation",
            Failure.CONTENT_REJECTED,
            Billed.OUTPUT,
        ),
    ],
)
async def test_azure_openai_books_the_output_where_azure_bills_it(
    scenario: str, failure: Failure, billed: Billed, bench: Bench
) -> None:
    outcome = await bench.generate(f"[[scenario:{scenario}]] A pier")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed) == (failure, billed)
    assert ((await bench.quantities()) == {}) is (billed is Billed.NOTHING)
