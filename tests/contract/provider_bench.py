"""A model on trial: its provider over the simulators, with the simulators' invoice as witness.

A provider joins the suite in `test_image_providers.py` by rows in TRIALS: how its adapter is made
for an origin (`http://127.0.0.1:{port}`, where all simulators answer), and how a usage shows on the
invoice. Its simulator must know the scenarios that all providers have (`scenarios.py`).
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import pytest

from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider, FireflyAddresses
from shared.adapters.providers.azure_openai import AzureOpenAIProvider, DeploymentRoute
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import ImageOrder, ProviderOutcome, Usage
from shared.domain.models import MODELS
from shared.ports import ImageProvider
from tests.contract.azure_providers_bench import foundry, guarded, scoring
from tests.contract.image_orders import Recorder, order

SCOPE = "https://cognitiveservices.azure.com/.default"
FAST_S = 0.02
LONGEST_RUN_S = 600.0
RETENTION_S = 3_600.0
NOWHERE = "http://127.0.0.1:1"
PROMPT = "A lighthouse at dawn"


class ClosableProvider(ImageProvider, Protocol):
    """A provider that holds connections."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Trial:
    """How a model is made ready, and what the invoice says of a usage: {kind: quantity}."""

    provider_at: Callable[[str], ClosableProvider]
    billed: Callable[[Usage], dict[str, int]]
    has_jobs: bool = True
    renews_token: bool = False  # asks once more with a new token when one is refused
    billed_by_time: bool = False  # then a refusal of its content states what it cost


def _azure(origin: str) -> ClosableProvider:
    return AzureOpenAIProvider(
        f"{origin}/azure-openai/openai/v1/", GivenSecret("key"), SCOPE, timeout_s=10
    )


def _azure_by_deployment(origin: str) -> ClosableProvider:
    route = DeploymentRoute(f"{origin}/azure-openai/openai/deployments/", "2025-04-01-preview")
    base_url = f"{origin}/azure-openai/openai/v1/"
    return AzureOpenAIProvider(
        base_url, GivenSecret("key"), SCOPE, timeout_s=10, deployment_route=route
    )


def _replicate(origin: str) -> ClosableProvider:
    hosts = frozenset({origin.removeprefix("http://")})
    return ReplicateProvider(
        f"{origin}/replicate/v1", GivenSecret("r8_key"), hosts, poll_interval_s=FAST_S
    )


def _held_replicate(origin: str) -> ClosableProvider:
    hosts = frozenset({origin.removeprefix("http://")})
    base_url = f"{origin}/replicate/v1"
    return ReplicateProvider(
        base_url, GivenSecret("r8_key"), hosts, poll_interval_s=FAST_S, wait_s=5
    )


def _firefly(origin: str) -> ClosableProvider:
    host = origin.removeprefix("http://")
    addresses = FireflyAddresses(
        base_url=f"{origin}/adobe-firefly",
        # Nobody signs in where nobody listens: the trial without a server is of the submission.
        ims_url=f"{ServerAddress.origin}/adobe-ims",
        api_hosts=frozenset({host.replace("127.0.0.1", "localhost")}),
        output_hosts=frozenset({host}),
    )
    return AdobeFireflyProvider(addresses, "client", GivenSecret("secret"), poll_interval_s=FAST_S)


def _foundry(origin: str) -> ClosableProvider:
    return guarded(foundry(origin), ServerAddress.origin)


def _scoring(origin: str) -> ClosableProvider:
    return guarded(scoring(origin), ServerAddress.origin)


class ServerAddress:
    """Where the simulators of this run are."""

    origin = NOWHERE


def _tokens(usage: Usage) -> dict[str, int]:
    return {"image_output": usage.output_tokens, "text_input": usage.input_tokens}


def _run_time(usage: Usage) -> dict[str, int]:
    return {"predict_time": int(usage.seconds * 1000)}


def _pictures(usage: Usage) -> dict[str, int]:
    return {"output_image": usage.images}


def _firefly_pictures(usage: Usage) -> dict[str, int]:
    return {"firefly_image": usage.images}


def _machine_time(usage: Usage) -> dict[str, int]:
    return {"machine_time": int(usage.seconds * 1000)}


# Name of the trial, which is the model's, or the model's with a way of asking after a space.
TRIALS: dict[str, Trial] = {
    "gpt-image-2": Trial(_azure, _tokens, has_jobs=False),
    "gpt-image-2.5-sunburst by-deployment": Trial(_azure_by_deployment, _tokens, has_jobs=False),
    "sdxl": Trial(_replicate, _run_time, billed_by_time=True),
    "sdxl held": Trial(_held_replicate, _run_time, billed_by_time=True),
    "flux-schnell": Trial(_replicate, _pictures),
    "flux-1.1-pro": Trial(_replicate, _pictures),
    "flux-2-pro held": Trial(_held_replicate, _pictures),
    "firefly-image3": Trial(_firefly, _firefly_pictures, renews_token=True),
    "firefly-image4-ultra": Trial(_firefly, _firefly_pictures, renews_token=True),
    "firefly-image5": Trial(_firefly, _firefly_pictures, renews_token=True),
    # Behind Content Safety, as they are wired: nothing else refuses content there.
    "foundry-flux-2-pro": Trial(_foundry, _pictures, has_jobs=False),
    "foundry-flux-1.1-pro": Trial(_foundry, _pictures, has_jobs=False),
    "sdxl-sovereign": Trial(_scoring, _machine_time, has_jobs=False),
}


@dataclass
class Bench:
    """One trial under way."""

    name: str
    server: RunningSimulators
    provider: ClosableProvider
    unreachable: ClosableProvider
    recorder: Recorder

    @property
    def model(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def trial(self) -> Trial:
        return TRIALS[self.name]

    def most(self, count: int) -> int:
        """So many pictures, or as many as the model makes at once."""
        return min(count, MODELS[self.model].count_max)

    def order(self, prompt: str = PROMPT, **changes: Any) -> ImageOrder:
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

    async def usd_micros(self) -> int:
        """What the provider bills in all."""
        return int((await self.control("invoice"))["total_usd_micros"])

    async def submissions(self, prompt: str) -> int:
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        listed = (await self.control("stats"))["submissions"]
        return sum(item["submitted"] for item in listed if item["prompt_sha256"] == digest)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSimulators]:
    data_dir = tmp_path_factory.mktemp("simulators")
    options = SimulatorOptions(
        data_dir, 0, FAST_S, 2 * FAST_S, tiny_pictures=True, firefly_delay_s=2 * FAST_S
    )
    server = await start_simulators(options)
    ServerAddress.origin = server.origin
    yield server
    await server.stop()


@pytest.fixture(params=list(TRIALS))
async def bench(request: pytest.FixtureRequest, server: RunningSimulators) -> AsyncIterator[Bench]:
    server.state.clock.advance(LONGEST_RUN_S)  # whatever earlier tests left running has ended
    server.state.settle()
    server.state.invoice.reset()
    trial = TRIALS[request.param]
    reachable, unreachable = trial.provider_at(server.origin), trial.provider_at(NOWHERE)
    yield Bench(request.param, server, reachable, unreachable, Recorder())
    await reachable.aclose()
    await unreachable.aclose()
