"""Azure OpenAI batches against the simulator: what is sent, and what each end of a line means."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.azure_cost_export import AzureCostExport
from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.azure_openai_batches import METADATA_KEY, AzureOpenAIBatches
from shared.adapters.providers.azure_openai_connection import AzureOpenAIConnection
from shared.domain.attempts import (
    Billed,
    Delivered,
    Failure,
    NotDelivered,
    ProviderOutcome,
    Unknown,
    Usage,
)
from shared.domain.ids import Partition, operation_id, row_generation_id
from shared.domain.images import sniff_image
from shared.domain.provider_batches import BatchJob, BatchLine, custom_id_of
from shared.errors import Unavailable
from tests.contract.image_orders import bytes_of, order
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

SCOPE = "https://cognitiveservices.azure.com/.default"
DEPLOYMENT = "gpt-image-2-batch"
DAY_S = 24 * 3600.0
DELAY_S = 0.02
LOW_OUTPUT_USD_MICROS = 196 * 15  # half of 30 for each token
PATHS = "/openai/v1"


@dataclass
class Service:
    """The simulators with the adapter under test."""

    running: RunningSimulators
    batches: AzureOpenAIBatches

    async def submit(self, *prompts: str, key: str = "key-1", **fields: Any) -> str:
        lines = [line(number, prompt, **fields) for number, prompt in enumerate(prompts, 1)]
        file_id = await self.batches.upload(key, lines)
        assert isinstance(file_id, str), file_id
        job_id = await self.batches.submit(key, file_id)
        assert isinstance(job_id, str), job_id
        return job_id

    async def ended(self, job_id: str) -> BatchJob:
        for _ in range(200):
            job = await self.batches.job(job_id)
            if job.state != "running":
                return job
            await asyncio.sleep(DELAY_S)
        raise AssertionError("the batch did not end")

    async def outcomes(self, job_id: str, count: int = 1) -> dict[str, ProviderOutcome]:
        job = await self.ended(job_id)
        counts = {f"{number:05d}-1": count for number in range(1, 100)}
        return await outcomes_of(self.batches, job, counts)

    async def only(self, prompt: str, **fields: Any) -> ProviderOutcome:
        (outcome,) = (await self.outcomes(await self.submit(prompt, **fields))).values()
        return outcome

    async def billed(self) -> list[tuple[str, int]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.running.origin}/_control/invoice") as answer,
        ):
            return [(x["kind"], x["usd_micros"]) for x in (await answer.json())["lines"]]


async def outcomes_of(
    batches: AzureOpenAIBatches, job: BatchJob, counts: dict[str, int]
) -> dict[str, ProviderOutcome]:
    return {
        found.custom_id: found.outcome
        async for found in batches.results(job, counts)
        if found.outcome is not None
    }


def line(number: int, prompt: str, **fields: Any) -> BatchLine:
    wanted = order("gpt-image-2", prompt, **{"quality": "low", **fields})
    return BatchLine(f"{number:05d}-1", wanted)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    options = SimulatorOptions(tmp_path, port=0, azure_delay_s=DELAY_S, tiny_pictures=True)
    running = await start_simulators(options)
    connection = AzureOpenAIConnection(
        f"{running.origin}/azure-openai/openai/v1/", GivenSecret("any-key"), SCOPE, timeout_s=5
    )
    batches = AzureOpenAIBatches(connection, DEPLOYMENT)
    yield Service(running, batches)
    await batches.aclose()
    await running.stop()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


def scripted(server: ScriptedServer) -> AzureOpenAIBatches:
    connection = AzureOpenAIConnection(
        f"{server.origin}{PATHS}/", GivenSecret("key"), SCOPE, timeout_s=1
    )
    return AzureOpenAIBatches(connection, DEPLOYMENT)


async def test_lines_deliver_pictures_at_half_the_price(service: Service) -> None:
    job_id = await service.submit("A lighthouse at dawn", "A red boat", count=2)
    found = await service.outcomes(job_id, count=2)
    assert sorted(found) == ["00001-1", "00002-1"]
    delivered = found["00001-1"]
    assert isinstance(delivered, Delivered)
    assert delivered.usage == Usage(input_tokens=5, output_tokens=392, images=2)
    pictures = [await bytes_of(image) for image in delivered.images]
    assert len(pictures) == 2
    assert all(sniff_image(picture) for picture in pictures)
    assert await service.billed() == [
        ("batch_image_output", 2 * LOW_OUTPUT_USD_MICROS),
        ("batch_text_input", 13),  # 5 tokens at 2.5, rounded up
        ("batch_image_output", 2 * LOW_OUTPUT_USD_MICROS),
        ("batch_text_input", 8),  # 3 tokens
    ]


async def test_job_runs_then_completes(service: Service) -> None:
    job_id = await service.submit("[[scenario:slow seconds=0.3]] A quay")
    assert (await service.batches.job(job_id)).state == "running"
    ended = await service.ended(job_id)
    assert (ended.state, ended.error_file_id) == ("completed", None)
    assert ended.output_file_id is not None


@pytest.mark.parametrize(
    ("scenario", "failure", "billed", "reason"),
    [
        ("rate_limited", Failure.RATE_LIMITED, Billed.NOTHING, "http_429"),
        ("outage", Failure.TRANSIENT, Billed.NOTHING, "http_503"),
        ("content_filter", Failure.CONTENT_REJECTED, Billed.OUTPUT, "prompt_refused"),
        (
            "content_filter shape=output_filtered",
            Failure.CONTENT_REJECTED,
            Billed.OUTPUT,
            "picture_refused",
        ),
        ("timeout_408", Failure.TIMEOUT, Billed.OUTPUT, "http_408"),
        ("provider_blocked", Failure.PROVIDER_BLOCKED, Billed.NOTHING, "http_403"),
        ("malformed shape=missing_data", Failure.MALFORMED, Billed.USAGE, "malformed_answer"),
        ("malformed shape=invalid_json", Failure.MALFORMED, Billed.MAXIMUM, "malformed_answer"),
        ("not_an_image", Failure.MALFORMED, Billed.USAGE, "no_usable_picture"),
        ("fewer_images", Failure.MALFORMED, Billed.USAGE, "no_usable_picture"),
        ("batch_expires seconds=0.05", Failure.TRANSIENT, Billed.NOTHING, "batch_expired"),
    ],
)
async def test_line_that_fails_says_what_it_costs(
    service: Service, scenario: str, failure: Failure, billed: Billed, reason: str
) -> None:
    outcome = await service.only(f"[[scenario:{scenario}]] A quay")
    assert isinstance(outcome, NotDelivered)
    assert (outcome.failure, outcome.billed, outcome.reason) == (failure, billed, reason)
    cost = sum(usd_micros for _, usd_micros in await service.billed())
    assert (cost > 0) is (billed is not Billed.NOTHING)
    if billed is Billed.OUTPUT:
        assert cost == LOW_OUTPUT_USD_MICROS
    if billed is Billed.USAGE:
        assert outcome.usage is not None
        assert cost == -(-(outcome.usage.output_tokens * 30 + outcome.usage.input_tokens * 5) // 2)


async def test_expired_job_keeps_what_was_done(service: Service) -> None:
    job_id = await service.submit("A quay", "[[scenario:batch_stuck]] A pier")
    await asyncio.sleep(10 * DELAY_S)
    assert (await service.batches.job(job_id)).state == "running"
    service.running.state.clock.advance(DAY_S)
    found = await service.outcomes(job_id)
    assert (await service.batches.job(job_id)).state == "expired"
    assert isinstance(found["00001-1"], Delivered)
    late = NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "batch_expired")
    assert found["00002-1"] == late
    assert len(await service.billed()) == 2


async def test_canceled_job_keeps_what_was_done(service: Service) -> None:
    job_id = await service.submit("A quay", "[[scenario:batch_stuck]] A pier")
    await asyncio.sleep(10 * DELAY_S)
    await service.batches.cancel(job_id)
    found = await service.outcomes(job_id)
    assert (await service.batches.job(job_id)).state == "cancelled"
    assert isinstance(found["00001-1"], Delivered)
    assert found["00002-1"] == NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "batch_cancelled")
    await service.batches.cancel(job_id)  # harmless after its end


async def test_job_that_fails_its_validation_has_no_lines_and_no_bill(service: Service) -> None:
    job_id = await service.submit("[[scenario:batch_rejected]] A quay", "A pier")
    job = await service.ended(job_id)
    assert (job.state, job.reason) == ("failed", "token_limit_exceeded")
    assert await service.outcomes(job_id) == {}
    assert await service.billed() == []


async def test_deployment_that_is_not_for_batches_fails_the_job(service: Service) -> None:
    service.batches._deployment = "gpt-image-2"
    job = await service.ended(await service.submit("A quay"))
    assert (job.state, job.reason) == ("failed", "model_not_found")


async def test_line_that_the_output_lacks_is_left_out(service: Service) -> None:
    job_id = await service.submit("[[scenario:batch_no_line]] A quay", "A pier")
    assert list(await service.outcomes(job_id)) == ["00002-1"]


async def test_job_says_how_many_lines_were_worked_on(service: Service) -> None:
    job_id = await service.submit(
        "[[scenario:batch_no_line]] A quay", "[[scenario:outage]] A pier",
        "[[scenario:batch_expires seconds=0.2]] A boat",
    )  # fmt: skip
    job = await service.ended(job_id)
    assert (job.state, job.worked_on) == ("expired", 2)
    # Lines of others are no less an answer.
    found = [line async for line in service.batches.results(job, {})]
    assert {(line.custom_id, line.is_answered, line.outcome) for line in found} == {
        ("00002-1", True, None),
        ("00003-1", False, None),
    }


async def test_export_names_the_generation_of_a_line_whose_result_nobody_reads(
    service: Service,
) -> None:
    longest_department = Partition("d" * 24, "202611")
    batch_id = operation_id(longest_department, "test", "batch")
    lines = [
        BatchLine(custom_id_of(batch_id, row), order("gpt-image-2", prompt, quality="low"))
        for row, prompt in [(1, "[[scenario:batch_no_line]] A quay"), (50_000, "A pier")]
    ]
    file_id = await service.batches.upload("key-1", lines)
    assert isinstance(file_id, str)
    job_id = await service.batches.submit("key-1", file_id)
    assert isinstance(job_id, str)
    assert (await service.ended(job_id)).state == "completed"
    today = datetime.now(UTC).date()
    export = AzureCostExport(f"{service.running.origin}/azure-cost-export")
    days = await export.read(today - timedelta(days=1), today)
    named = {line.generation_id for day in days.values() for line in day}
    assert named == {row_generation_id(batch_id, 1), row_generation_id(batch_id, 50_000)}


async def test_find_knows_a_job_by_our_key_only(service: Service) -> None:
    now = datetime.now(UTC)
    mine = await service.submit("A quay", key="mine")
    for number in range(3):
        await service.submit("A pier", key=f"other-{number}")
    assert await service.batches.find("mine", now) == mine
    assert await service.batches.find("nobody", now) is None
    assert await service.batches.find("mine", now + timedelta(hours=1)) is None


async def test_find_walks_page_after_page(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.adapters.providers import azure_openai_batches

    monkeypatch.setattr(azure_openai_batches, "PAGE_JOBS", 2)
    now = datetime.now(UTC)
    mine = await service.submit("A quay", key="mine")
    for number in range(4):
        await service.submit("A pier", key=f"other-{number}")
    assert await service.batches.find("mine", now) == mine
    monkeypatch.setattr(azure_openai_batches, "PAGES_MAX", 1)
    with pytest.raises(Unavailable):
        await service.batches.find("mine", now)


async def test_file_is_named_by_our_key_and_holds_a_request_a_line(
    server: ScriptedServer,
) -> None:
    server.answers(f"{PATHS}/files", Answer(body={"id": "file-1", "object": "file"}))
    batches = scripted(server)
    assert await batches.upload("key-7", [line(1, "Möwen"), line(2, "A pier")]) == "file-1"
    (seen,) = server.seen
    assert b'filename="key-7.jsonl"' in seen.body
    assert seen.body.count(b'"custom_id"') == 2
    assert b'"model":"gpt-image-2-batch"' in seen.body
    await batches.aclose()


BATCH = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/images/generations",
    "completion_window": "24h", "created_at": 1, "input_file_id": "file-1", "status": "validating",
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(body=BATCH), "batch_1"),
        (Answer(500, {"error": {"code": "InternalServerError"}}), Unknown("http_500")),
        (Answer(502, b"<html>"), Unknown("http_502")),
        (Answer(408, {"error": {"code": "Timeout"}}), Unknown("http_408")),
        (Answer(body=BATCH, ending="reset"), Unknown("connection_lost")),
        (
            Answer(404, {"error": {"code": "DeploymentNotFound"}}),
            NotDelivered(Failure.AUTH_OR_CONFIG, Billed.NOTHING, "http_404"),
        ),
        (
            Answer(429, {"error": {"code": "429"}}, {"retry-after": "3"}),
            NotDelivered(Failure.RATE_LIMITED, Billed.NOTHING, "http_429", retry_after_s=3.0),
        ),
    ],
)
async def test_submit_tells_not_taken_from_not_known(
    server: ScriptedServer, answer: Answer, expected: object
) -> None:
    server.answers(f"{PATHS}/batches", answer)
    batches = scripted(server)
    assert await batches.submit("key-1", "file-1") == expected
    (seen,) = server.seen  # sent once, whatever came back
    assert seen.json()["metadata"] == {METADATA_KEY: "key-1"}
    await batches.aclose()


async def test_submit_that_never_left_is_not_taken(server: ScriptedServer) -> None:
    connection = AzureOpenAIConnection(
        "http://127.0.0.1:9/openai/v1/", GivenSecret("key"), SCOPE, timeout_s=1
    )
    batches = AzureOpenAIBatches(connection, DEPLOYMENT)
    expected = NotDelivered(Failure.TRANSIENT, Billed.NOTHING, "never_sent")
    assert await batches.submit("key-1", "file-1") == expected
    await batches.aclose()


async def test_questions_of_a_silent_service_are_unavailable(server: ScriptedServer) -> None:
    batches = scripted(server)
    job = BatchJob("batch_1", "completed", "file-9")
    asked = [
        batches.job("batch_1"),
        batches.cancel("batch_1"),
        batches.find("key", datetime.now(UTC)),
        anext(aiter(batches.results(replace(job), {}))),
    ]
    for question in asked:
        with pytest.raises(Unavailable):
            await question
    await batches.aclose()
