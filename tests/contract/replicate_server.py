"""A scripted Replicate: one job, its polls, its picture, and a provider that talks to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.replicate import ReplicateProvider
from tests.contract.image_orders import order, png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

JOB = "hdwst0bb05rgp0cf0p29mzk2am"
SUBMIT = "/v1/predictions"
SUBMIT_FLUX = "/v1/models/black-forest-labs/flux-schnell/predictions"
POLL = f"/v1/predictions/{JOB}"
PICTURE = "/pbxt/out-0.png"
SDXL = order("sdxl")
FLUX = order("flux-schnell")
STARTING = {"id": JOB, "status": "starting", "version": None, "output": None}


def ended(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A prediction in a terminal status, as a poll answers it."""
    prediction = {
        "id": JOB,
        "status": status,
        "version": None,
        "logs": "Using seed: 42069\n",
        "output": None,
        "data_removed": False,
        "error": None,
        "started_at": "2026-11-22T09:00:00Z",
        "metrics": {"predict_time": 5.52, "total_time": 5.6},
    }
    return {**prediction, **changes}


def problem(title: str, detail: str = "") -> dict[str, str]:
    return {"title": title, "detail": detail}


def poll_gives(server: ScriptedServer, *predictions: dict[str, Any]) -> None:
    server.answers(POLL, *(Answer(body=prediction) for prediction in predictions))


@asynccontextmanager
async def replicate_server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers(SUBMIT, Answer(201, STARTING))
        server.answers(SUBMIT_FLUX, Answer(201, STARTING))
        server.answers(PICTURE, Answer(body=png()))
        yield server


@asynccontextmanager
async def replicate_provider(
    server: ScriptedServer, wait_s: int = 0
) -> AsyncIterator[ReplicateProvider]:
    hosts = frozenset({server.origin.removeprefix("http://")})
    provider = ReplicateProvider(
        f"{server.origin}/v1", GivenSecret("r8_token"), hosts, poll_interval_s=0.01, wait_s=wait_s
    )
    yield provider
    await provider.aclose()
