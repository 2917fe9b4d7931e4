"""The simulated Azure OpenAI alone on a free port, with the real SDK's client."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
from aiohttp import web

from devhost.simulators.azure_openai import add_azure_openai
from devhost.simulators.clock import SimulatorClock
from devhost.simulators.database import open_database
from devhost.simulators.invoice import AZURE, Invoice
from devhost.simulators.scenarios import Scenarios
from devhost.simulators.state import SimulatorOptions, SimulatorState

KEY = "local-demo-key"
DEPLOYMENT = "gpt-image-2"
PROMPT = "A lighthouse at dawn"  # 20 bytes: 5 text tokens
V1_PATH = "/azure-openai/openai/v1/images/generations"
DEPLOYMENT_PATH = f"/azure-openai/openai/deployments/{DEPLOYMENT}/images/generations"
API_VERSION = "2025-04-01-preview"


@dataclass
class RunningService:
    """The simulator on a free port, and the SDK's client for its v1 route."""

    state: SimulatorState
    origin: str
    client: openai.AsyncOpenAI
    http: aiohttp.ClientSession

    async def generate(self, prompt: str = PROMPT, **fields: Any) -> Any:
        return await self.client.images.generate(
            model=fields.pop("model", DEPLOYMENT), prompt=prompt, **fields
        )

    async def post(
        self, body: Any, path: str = V1_PATH, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """A raw request: status and JSON body; a str or bytes body is sent as it is."""
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = {"api-key": KEY} if headers is None else headers
        async with self.http.post(self.origin + path, data=data, headers=headers) as answer:
            assert answer.headers["apim-request-id"]
            return answer.status, await answer.json()

    def lines(self) -> list[tuple[str, int, int]]:
        return [
            (line["kind"], line["quantity"], line["usd_micros"])
            for line in self.state.invoice.as_json(AZURE)["lines"]
        ]

    def total_usd_micros(self) -> int:
        return int(self.state.invoice.as_json(AZURE)["total_usd_micros"])


@asynccontextmanager
async def running_service(data_dir: Path) -> AsyncIterator[RunningService]:
    clock = SimulatorClock()
    database = open_database(data_dir / "simulators.sqlite")
    options = SimulatorOptions(data_dir, port=0, azure_delay_s=0.01, tiny_pictures=True)
    state = SimulatorState(options, database, clock, Invoice(database, clock), Scenarios())
    app = web.Application()
    add_azure_openai(app, state)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    base_url = f"{origin}/azure-openai/openai/v1/"
    async with (
        openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client,
        aiohttp.ClientSession() as http,
    ):
        yield RunningService(state, origin, client, http)
    await runner.cleanup()
    database.close()
