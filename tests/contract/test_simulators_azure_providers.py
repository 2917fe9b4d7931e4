"""What the simulators of Foundry, Azure ML and Content Safety refuse."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions

FLUX = "/azure-foundry/providers/blackforestlabs/v1/flux-2-pro?api-version=preview"
SCORE = "/azure-ml/score"
TEXT = "/azure-content-safety/contentsafety/text:analyze?api-version=2024-09-01"
IMAGE = "/azure-content-safety/contentsafety/image:analyze?api-version=2024-09-01"
BEARER = {"Authorization": "Bearer local"}
FLUX_BODY = {"model": "flux-2-pro", "prompt": "A pier", "width": 512, "height": 512}
SCORE_BODY = {
    "model": "stable-diffusion-xl-base-1.0",
    "prompt": "A pier",
    "width": 1024,
    "height": 1024,
    "count": 1,
    "output_format": "png",
    "seconds_max": 60,
}


@pytest.fixture(scope="module")
async def simulators(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningSimulators]:
    data_dir = tmp_path_factory.mktemp("simulators")
    server = await start_simulators(
        SimulatorOptions(data_dir, 0, azure_delay_s=0, tiny_pictures=True)
    )
    yield server
    await server.stop()


async def post(
    simulators: RunningSimulators, path: str, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers=BEARER if headers is None else headers) as session,
        session.post(
            simulators.origin + path, data=io.BytesIO(json.dumps(body).encode())
        ) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "FLUX.2-pro"},
        {"prompt": ""},
        {"width": 500},
        {"width": 4096},
        {"output_format": "webp"},
        {"num_images": 2},
        {"seed": -1},
        {"n": 1},
        {"negative_prompt": "x"},
        {"prompt": "[[scenario:nsfw]] A pier"},
    ],
)
async def test_foundry_refuses_what_the_route_does_not_take(
    simulators: RunningSimulators, changes: dict[str, Any]
) -> None:
    status, answer = await post(simulators, FLUX, {**FLUX_BODY, **changes})
    assert (status, answer["error"]["code"]) == (400, "invalid_value")
    assert simulators.state.invoice.as_json("azure_foundry")["lines"] == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (FLUX, {}, 401),
        (FLUX, {"Api-Key": "wrong"}, 401),
        (FLUX.partition("?")[0], BEARER, 404),
        (FLUX.replace("flux-2-pro", "flux-2-max"), BEARER, 404),
        (SCORE, {}, 401),
        (SCORE, {**BEARER, "azureml-model-deployment": "green"}, 404),
        (TEXT, {}, 401),
        (TEXT.partition("?")[0], BEARER, 404),
    ],
)
async def test_wrong_keys_and_addresses_are_refused(
    simulators: RunningSimulators, path: str, headers: dict[str, str], status: int
) -> None:
    body = SCORE_BODY if path == SCORE else FLUX_BODY
    assert (await post(simulators, path, body, headers))[0] == status


async def test_scoring_errors_come_through_the_gateway_as_424(
    simulators: RunningSimulators,
) -> None:
    async with (
        aiohttp.ClientSession(headers=BEARER) as session,
        session.post(simulators.origin + SCORE, json={**SCORE_BODY, "count": 9}) as answer,
    ):
        assert answer.status == 424
        assert answer.headers["ms-azureml-model-error-statuscode"] == "400"
        assert (await answer.json())["seconds"] == "0.000"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (TEXT, {"text": "a" * 10_000}, 200),
        (TEXT, {"text": "a" * 10_001}, 400),
        (TEXT, {"text": ""}, 400),
        (TEXT, {"text": "a", "blocklistNames": ["nobody-made"]}, 404),
        (TEXT, [], 400),
        (IMAGE, {"image": {"content": "?"}}, 400),
        (IMAGE, {"image": {"content": "bm8gcGljdHVyZQ=="}}, 400),
        (IMAGE, {"image": {"content": "iVBORw0KGgo" + "A" * 6_000_001}}, 400),
    ],
)
async def test_content_safety_has_the_limits_of_the_service(
    simulators: RunningSimulators, path: str, body: Any, status: int
) -> None:
    assert (await post(simulators, path, body))[0] == status
