"""What providers say they bill: the adapters against the simulated exports, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.simulators.server import start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.azure_cost_export import AzureCostExport
from shared.adapters.given_secret import GivenSecret
from shared.adapters.replicate_usage import ReplicateUsage
from shared.domain.models import MODELS
from shared.errors import InvariantBroken, Unavailable
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server
from tests.fakes.secrets import FakeSecret

GENERATION = "202611-marketing-0123456789abcdef0123456789abcdef"


@dataclass
class Providers:
    """The simulated providers, and what they are asked to make and to bill."""

    origin: str
    session: aiohttp.ClientSession

    @property
    def azure(self) -> AzureCostExport:
        return AzureCostExport(f"{self.origin}/azure-cost-export?sv=2025-01-05&sig=local")

    @property
    def replicate(self) -> ReplicateUsage:
        return ReplicateUsage(f"{self.origin}/replicate/v1", GivenSecret("token"))

    async def azure_picture(self, client_id: str, quality: str = "low") -> str:
        url = f"{self.origin}/azure-openai/openai/v1/images/generations"
        body = {"model": "gpt-image-2", "prompt": "a quay", "quality": quality}
        headers = {"api-key": "key", "x-ms-client-request-id": client_id}
        async with self.session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200
            return answer.headers["apim-request-id"]

    async def prediction(self, model: str = "sdxl", **values: Any) -> str:
        body: dict[str, Any] = {"input": {"prompt": "a quay", **values}}
        path = f"/models/{MODELS[model].provider_model}/predictions"
        if model == "sdxl":
            path = "/predictions"
            body["version"] = MODELS[model].provider_model
        headers = {"Authorization": "Bearer token", "Prefer": "wait"}
        url = f"{self.origin}/replicate/v1{path}"
        async with self.session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 201
            return str((await answer.json())["id"])

    async def control(self, what: str, body: object) -> None:
        async with self.session.post(f"{self.origin}/_control/{what}", json=body) as answer:
            assert answer.status < 300, await answer.text()


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    options = SimulatorOptions(
        tmp_path, 0, azure_delay_s=0, replicate_delay_s=0, tiny_pictures=True
    )
    simulators = await start_simulators(options)
    async with aiohttp.ClientSession() as session:
        yield Providers(simulators.origin, session)
    await simulators.stop()


def today() -> date:
    return datetime.now(UTC).date()


async def test_azure_names_each_request_with_each_of_its_charges(providers: Providers) -> None:
    request_id = await providers.azure_picture(f"{GENERATION}:1")
    days = await providers.azure.read(today(), today())
    lines = days[today()]
    assert {line.item for line in lines} == {"gpt-image-2 image_output", "gpt-image-2 text_input"}
    assert {line.request_id for line in lines} == {request_id}
    assert {line.generation_id for line in lines} == {GENERATION}
    assert {line.model for line in lines} == {"gpt-image-2"}
    assert all(line.is_priced for line in lines)
    assert sum(line.usd_micros or 0 for line in lines) == 196 * 30 + 2 * 5


async def test_azure_reads_the_days_asked_for_and_leaves_out_days_to_come(
    providers: Providers,
) -> None:
    await providers.azure_picture("anything")
    tomorrow = today() + timedelta(days=1)
    days = await providers.azure.read(today() - timedelta(days=1), tomorrow)
    assert set(days) == {today() - timedelta(days=1), today()}
    assert [len(lines) for _, lines in sorted(days.items())] == [0, 2]
    assert {line.generation_id for line in days[today()]} == {None}


async def test_azure_bills_otherwise_when_told_to(providers: Providers) -> None:
    await providers.azure_picture(f"{GENERATION}:1")
    await providers.control("exports", {"model": "gpt-image-2", "permille": 1500})
    lines = (await providers.azure.read(today(), today()))[today()]
    assert sum(line.usd_micros or 0 for line in lines) == (196 * 30 + 2 * 5) * 3 // 2


async def test_azure_meter_that_we_do_not_know_is_unpriced_but_keeps_its_model(
    providers: Providers,
) -> None:
    await providers.azure_picture(f"{GENERATION}:1")
    await providers.control("exports", {"model": "gpt-image-2", "item": "gpt-image-2 hd"})
    lines = (await providers.azure.read(today(), today()))[today()]
    assert {(line.model, line.is_priced) for line in lines} == {("gpt-image-2", False)}


async def test_azure_export_without_ids_is_a_daily_sum(providers: Providers) -> None:
    await providers.azure_picture(f"{GENERATION}:1")
    await providers.control("exports", {"model": "gpt-image-2", "without_ids": True})
    lines = (await providers.azure.read(today(), today()))[today()]
    assert {line.reference for line in lines} == {None}


async def test_replicate_lists_runs_with_their_usage(providers: Providers) -> None:
    timed = await providers.prediction("sdxl")
    counted = await providers.prediction("flux-schnell", num_outputs=2)
    lines = {
        line.job_id: line for line in (await providers.replicate.read(today(), today()))[today()]
    }
    assert set(lines) == {timed, counted}
    seconds, pictures = lines[timed].usage, lines[counted].usage
    assert seconds is not None and Decimal("1.2") <= seconds.seconds <= Decimal(3)
    assert pictures is not None and pictures.images == 2
    assert {line.usd_micros for line in lines.values()} == {None}
    assert (lines[timed].model, lines[counted].model) == ("sdxl", "flux-schnell")


async def test_replicate_no_longer_knows_the_number_of_deleted_pictures(
    providers: Providers,
) -> None:
    job_id = await providers.prediction("flux-schnell")
    await providers.control("clock/advance", {"seconds": 3_700})
    days = await providers.replicate.read(today() - timedelta(days=1), today())
    lines = [line for day in days.values() for line in day]
    assert [(line.job_id, line.usage) for line in lines] == [(job_id, None)]


async def test_replicate_reads_every_page(providers: Providers) -> None:
    made = {await providers.prediction("sdxl", seed=n) for n in range(103)}
    lines = (await providers.replicate.read(today(), today()))[today()]
    assert {line.job_id for line in lines} == made
    assert len(lines) == len(made)


async def test_replicate_bills_a_failed_run_and_not_one_that_never_started(
    providers: Providers,
) -> None:
    failed = await providers.prediction("sdxl", prompt="[[scenario:failed]] a quay")
    await providers.prediction("sdxl", prompt="[[scenario:aborted]] a quay")
    lines = (await providers.replicate.read(today(), today()))[today()]
    assert [line.job_id for line in lines] == [failed]


@pytest.fixture
async def script() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


def month() -> str:
    first = today().replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return f"/export/{first:%Y%m%d}-{last:%Y%m%d}"


def manifest(*names: str) -> Answer:
    run = {"startDate": f"{today()}T00:00:00", "endDate": f"{today()}T00:00:00"}
    return Answer(body={"runInfo": run, "blobs": [{"blobName": name} for name in names]})


HEADER = "ChargePeriodStart,ChargeCategory,x_BilledCostInUsd,x_SkuMeterName\n"


@pytest.mark.parametrize(
    "rows",
    [
        "today,Usage,1,gpt-image-2 image_output\n",
        "0001-01-01T00:00:00+14:00,Usage,1,gpt-image-2 image_output\n",
        "{day}T00:00:00Z,Usage,much,gpt-image-2 image_output\n",
        "{day}T00:00:00Z,Usage,-1,gpt-image-2 image_output\n",
        "{day}T00:00:00Z,Usage,NaN,gpt-image-2 image_output\n",
        "{day}T00:00:00Z\n",
    ],
)
async def test_azure_export_that_is_none_is_refused(script: ScriptedServer, rows: str) -> None:
    script.answers(f"{month()}/manifest.json", manifest("x/y/part_0_0001.csv"))
    text = HEADER + rows.replace("{day}", str(today()))
    script.answers(f"{month()}/part_0_0001.csv", Answer(body=text.encode()))
    with pytest.raises(InvariantBroken):
        await AzureCostExport(f"{script.origin}/export").read(today(), today())


@pytest.mark.parametrize("name", ["../../secrets.csv", "part.txt", "a b.csv", "..", ""])
async def test_azure_manifest_names_no_file_outside_its_folder(
    script: ScriptedServer, name: str
) -> None:
    script.answers(f"{month()}/manifest.json", manifest(name))
    export = AzureCostExport(f"{script.origin}/export")
    with pytest.raises((InvariantBroken, Unavailable)):
        await export.read(today(), today())
    assert {seen.path.rpartition("/")[0] for seen in script.seen} == {month()}


@pytest.mark.parametrize("status", [302, 401, 500, 503])
async def test_export_that_does_not_answer_is_unavailable(
    script: ScriptedServer, status: int
) -> None:
    answer = Answer(status, headers={"location": "/elsewhere"})
    script.answers(f"{month()}/manifest.json", answer)
    script.answers("/v1/predictions", answer)
    with pytest.raises(Unavailable):
        await AzureCostExport(f"{script.origin}/export").read(today(), today())
    with pytest.raises(Unavailable):
        await ReplicateUsage(f"{script.origin}/v1", GivenSecret("token")).read(today(), today())


async def test_replicate_list_is_asked_for_again_with_a_token_that_was_rotated(
    script: ScriptedServer,
) -> None:
    refused, page = Answer(401, {"title": "no"}), Answer(body={"next": None, "results": []})
    script.answers("/v1/predictions", refused, page)
    secret = FakeSecret(["first", "second", "third"])
    assert await ReplicateUsage(f"{script.origin}/v1", secret).read(today(), today())
    script.answers("/v1/predictions", refused)
    with pytest.raises(Unavailable):
        await ReplicateUsage(f"{script.origin}/v1", FakeSecret(["wrong"])).read(today(), today())
    shown = [seen.headers["authorization"] for seen in script.seen]
    assert shown == ["Bearer first", "Bearer second", "Bearer wrong"]


async def test_replicate_list_that_goes_on_elsewhere_gets_no_token(
    script: ScriptedServer,
) -> None:
    now = datetime.now(UTC).isoformat()
    ended = {"id": "a", "status": "aborted", "created_at": now, "completed_at": now}
    script.answers(
        "/v1/predictions", Answer(body={"next": "http://127.0.0.1:1/v1/x", "results": [ended]})
    )
    with pytest.raises(InvariantBroken):
        await ReplicateUsage(f"{script.origin}/v1", GivenSecret("token")).read(today(), today())
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    "prediction",
    [
        {},
        {"id": "a", "status": "succeeded", "created_at": "{now}"},
        {"id": "a", "status": "succeeded", "created_at": "{now}", "completed_at": 7},
        {"status": "starting", "created_at": "0001-01-01T00:00:00+14:00"},
        {
            "id": "a",
            "status": "succeeded",
            "created_at": "{now}",
            "completed_at": "{now}",
            "metrics": {"predict_time": -1},
        },
        "prediction",
    ],
)
async def test_replicate_list_that_cannot_be_read_is_refused(
    script: ScriptedServer, prediction: Any
) -> None:
    now = datetime.now(UTC).isoformat()
    if isinstance(prediction, dict):
        prediction = {
            name: now if value == "{now}" else value for name, value in prediction.items()
        }
    script.answers("/v1/predictions", Answer(body={"next": None, "results": [prediction]}))
    with pytest.raises(InvariantBroken):
        await ReplicateUsage(f"{script.origin}/v1", GivenSecret("token")).read(today(), today())
