"""Foundry and Azure Machine Learning beside their simulators, bare and behind Content Safety."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters.azure_content_safety import AzureContentSafety, SafetyTerms
from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers.azure_foundry import AzureFoundryProvider, FoundryTerms
from shared.adapters.providers.azure_ml import AzureMlProvider, ScoringTerms
from shared.domain.attempts import ImageOrder, ProviderOutcome
from shared.domain.content_safety import parse_thresholds
from shared.ports import ImageProvider, JobRecorder
from shared.services.moderated_provider import ModeratedProvider
from tests.contract.image_orders import Recorder, order

SCOPE = "https://cognitiveservices.azure.com/.default"
FAST_S = 0.01
SAFETY_TIMEOUT_S = 5.0


def foundry(
    origin: str, key: str | None = "local", timeout_s: float = 10.0
) -> AzureFoundryProvider:
    hosts = frozenset({origin.removeprefix("http://")})
    secret = GivenSecret(key) if key else None
    terms = FoundryTerms(f"{origin}/azure-foundry", secret, SCOPE, timeout_s, hosts)
    return AzureFoundryProvider(terms)


def scoring(origin: str, key: str = "local", deployment: str | None = "blue") -> AzureMlProvider:
    return AzureMlProvider(
        ScoringTerms(f"{origin}/azure-ml/score", GivenSecret(key), SCOPE, deployment)
    )


def content_safety(origin: str, timeout_s: float = SAFETY_TIMEOUT_S) -> AzureContentSafety:
    endpoint = f"{origin}/azure-content-safety"
    return AzureContentSafety(
        SafetyTerms(endpoint, GivenSecret("local"), timeout_s, 4, ("local-terms",))
    )


def moderated(provider: ImageProvider, safety: AzureContentSafety) -> ModeratedProvider:
    return ModeratedProvider(provider, safety, parse_thresholds(""), pause_s=FAST_S)


@dataclass
class GuardedProvider:
    """A provider behind Content Safety, with the connections of both."""

    inner: AzureFoundryProvider | AzureMlProvider
    safety: AzureContentSafety
    name: str = ""

    async def generate(self, order: ImageOrder, record_job: JobRecorder) -> ProviderOutcome:
        return await moderated(self.inner, self.safety).generate(order, record_job)

    async def resume(self, order: ImageOrder, job_id: str) -> ProviderOutcome:
        return await moderated(self.inner, self.safety).resume(order, job_id)

    async def aclose(self) -> None:
        await self.inner.aclose()
        await self.safety.aclose()


def guarded(
    provider: AzureFoundryProvider | AzureMlProvider, safety_origin: str
) -> GuardedProvider:
    return GuardedProvider(provider, content_safety(safety_origin), provider.name)


@dataclass
class AzureProvidersBench:
    """The simulators on a free port, and what speaks to them."""

    server: RunningSimulators
    foundry: AzureFoundryProvider
    scoring: AzureMlProvider
    safety: AzureContentSafety

    def order(self, model: str, prompt: str = "A pier at dawn", **changes: Any) -> ImageOrder:
        return order(model, prompt, **changes)

    async def flux(self, prompt: str = "A pier at dawn", **changes: Any) -> ProviderOutcome:
        """FLUX behind Content Safety."""
        provider = moderated(self.foundry, self.safety)
        return await provider.generate(order("foundry-flux-2-pro", prompt, **changes), Recorder())

    async def sdxl(self, prompt: str = "A pier at dawn", **changes: Any) -> ProviderOutcome:
        """Our own SDXL behind Content Safety."""
        provider = moderated(self.scoring, self.safety)
        return await provider.generate(order("sdxl-sovereign", prompt, **changes), Recorder())

    def billed(self) -> list[tuple[str, int, int]]:
        """Kind, quantity and micro-USD of each line on the invoice."""
        lines = self.server.state.invoice.as_json(None)["lines"]
        return [(line["kind"], line["quantity"], line["usd_micros"]) for line in lines]

    def submissions(self, prompt: str) -> int:
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        listed = self.server.state.invoice.submissions()
        return sum(each["submitted"] for each in listed if each["prompt_sha256"] == digest)


async def azure_providers(data_dir: Path) -> AsyncIterator[AzureProvidersBench]:
    options = SimulatorOptions(data_dir, 0, azure_delay_s=FAST_S, tiny_pictures=True)
    server = await start_simulators(options)
    bench = AzureProvidersBench(
        server, foundry(server.origin), scoring(server.origin), content_safety(server.origin)
    )
    yield bench
    for each in (bench.foundry, bench.scoring, bench.safety):
        await each.aclose()
    await server.stop()
