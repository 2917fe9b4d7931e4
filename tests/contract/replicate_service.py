"""The simulated Replicate on a free port, with a clock that only the test moves."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from devhost.simulators.clock import SimulatorClock
from devhost.simulators.database import open_database
from devhost.simulators.invoice import REPLICATE, Invoice
from devhost.simulators.replicate import add_replicate
from devhost.simulators.replicate_inputs import SDXL_VERSION
from devhost.simulators.replicate_predictions import settle_due
from devhost.simulators.scenarios import Scenarios
from devhost.simulators.state import SimulatorOptions, SimulatorState

PROMPT = "A lighthouse at dawn"
SDXL_PATH = "/predictions"
FLUX_PATH = "/models/black-forest-labs/flux-schnell/predictions"
SDXL_USD_MICROS_PER_S = 975
DELAY_S = 10.0  # queued for the first 2 s
START_S = 1_800_000_000.0


@dataclass
class HeldClock(SimulatorClock):
    """A clock that stands still until it is advanced."""

    def now_s(self) -> float:
        return START_S + self.offset_s


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `json` is None if the body is not JSON."""

    status: int
    headers: Any
    body: bytes
    json: Any


@dataclass(frozen=True)
class RunningService:
    """The server's state, and a client for it."""

    state: SimulatorState
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **request: Any) -> Answer:
        """`path` is below `/replicate/v1`, or a whole address; redirects are not followed."""
        address = path if path.startswith("http") else f"{self.base_url}{path}"
        async with self.session.request(
            method, address, allow_redirects=False, **request
        ) as response:
            body = await response.read()
            is_json = body and "json" in response.content_type
            parsed = await response.json(content_type=None) if is_json else None
            return Answer(response.status, response.headers, body, parsed)

    @property
    def base_url(self) -> str:
        return f"{self.state.options.origin}/replicate/v1"

    async def sdxl(
        self, prompt: str = PROMPT, headers: dict[str, str] | None = None, **values: Any
    ) -> Answer:
        body = {"version": SDXL_VERSION, "input": {"prompt": prompt, **values}}
        return await self.call("POST", SDXL_PATH, json=body, headers=headers)

    async def flux(
        self, prompt: str = PROMPT, headers: dict[str, str] | None = None, **values: Any
    ) -> Answer:
        body = {"input": {"prompt": prompt, **values}}
        return await self.call("POST", FLUX_PATH, json=body, headers=headers)

    async def poll(self, created: Answer) -> Any:
        answer = await self.call("GET", created.json["urls"]["get"])
        assert answer.status == 200
        return answer.json

    async def ended(self, created: Answer) -> Any:
        """The prediction after its normal delay."""
        assert created.status == 201, created.body
        self.advance(DELAY_S)
        return await self.poll(created)

    def advance(self, seconds: float) -> None:
        self.state.clock.advance(seconds)

    def lines(self) -> list[tuple[str, int, int]]:
        """Kind, quantity and micro-USD of each invoice line."""
        settle_due(self.state)
        invoice = self.state.invoice.as_json(REPLICATE)
        return [(line["kind"], line["quantity"], line["usd_micros"]) for line in invoice["lines"]]

    def total_usd_micros(self) -> int:
        return sum(usd_micros for _, _, usd_micros in self.lines())


def tagged(tag: str) -> str:
    return f"{PROMPT} [[scenario:{tag}]]"


def predict_time_usd_micros(prediction: Any) -> int:
    """The price of the time that an SDXL prediction states, rounded up to a micro-USD."""
    predict_time_ms: int = round(prediction["metrics"]["predict_time"] * 1000)
    return -(-predict_time_ms * SDXL_USD_MICROS_PER_S // 1000)


@asynccontextmanager
async def running_service(
    data_dir: Path, clock: SimulatorClock | None = None, delay_s: float = DELAY_S
) -> AsyncIterator[RunningService]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    options = SimulatorOptions(
        data_dir, listener.getsockname()[1], replicate_delay_s=delay_s, tiny_pictures=True
    )
    database = open_database(data_dir / "simulators.sqlite")
    clock = clock or HeldClock()
    state = SimulatorState(options, database, clock, Invoice(database, clock), Scenarios())
    app = web.Application()
    add_replicate(app, state)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    headers = {"authorization": "Bearer r8_test"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield RunningService(state, session)
    await runner.cleanup()
    database.close()
