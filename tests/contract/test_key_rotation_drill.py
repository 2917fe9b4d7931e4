"""Rotation drill: a provider's key changes while workers go on, and none of them is restarted.

Real throughout: the emulated Key Vault over TLS through its SDK, the adapters of all providers, the
simulators, which refuse a key from the moment it is revoked. Workers are adapters with a secret of
their own each, as they are in processes of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devhost.key_vault.server import KeyVault, running_vault
from devhost.simulators.adobe_firefly import TOKEN_LIFETIME_S
from devhost.simulators.server import RunningSimulators
from shared.adapters import key_vault_secrets
from shared.adapters.key_vault_secrets import (
    KEPT_S,
    REFUSED_KEPT_S,
    RENEWAL_PAUSE_S,
    KeyVaultSecret,
)
from shared.adapters.providers.adobe_firefly import AdobeFireflyProvider, FireflyAddresses
from shared.adapters.providers.azure_foundry import AzureFoundryProvider, FoundryTerms
from shared.adapters.providers.azure_ml import AzureMlProvider, ScoringTerms
from shared.adapters.providers.azure_openai import AzureOpenAIProvider
from shared.adapters.providers.replicate import ReplicateProvider
from shared.domain.attempts import Billed, Delivered, Failure, NotDelivered, ProviderOutcome
from shared.ports.secrets import Secret
from tests.contract.image_orders import Recorder, order
from tests.contract.provider_bench import FAST_S, SCOPE, ClosableProvider, server
from tests.contract.vault_clients import vault_options
from tests.fakes.clock import FakeClock

__all__ = ["server"]  # the fixture

NAME = "provider-key"
WORKERS = 3
Make = Callable[[str, Secret], ClosableProvider]


def _azure_openai(origin: str, key: Secret) -> ClosableProvider:
    return AzureOpenAIProvider(f"{origin}/azure-openai/openai/v1/", key, SCOPE, timeout_s=10)


def _replicate(origin: str, key: Secret) -> ClosableProvider:
    hosts = frozenset({origin.removeprefix("http://")})
    return ReplicateProvider(f"{origin}/replicate/v1", key, hosts, poll_interval_s=FAST_S)


def _firefly(origin: str, key: Secret) -> ClosableProvider:
    host = origin.removeprefix("http://")
    addresses = FireflyAddresses(
        base_url=f"{origin}/adobe-firefly",
        ims_url=f"{origin}/adobe-ims",
        api_hosts=frozenset({host.replace("127.0.0.1", "localhost")}),
        output_hosts=frozenset({host}),
    )
    return AdobeFireflyProvider(addresses, "client", key, poll_interval_s=FAST_S)


def _foundry(origin: str, key: Secret) -> ClosableProvider:
    hosts = frozenset({origin.removeprefix("http://")})
    return AzureFoundryProvider(FoundryTerms(f"{origin}/azure-foundry", key, SCOPE, 10.0, hosts))


def _scoring(origin: str, key: Secret) -> ClosableProvider:
    return AzureMlProvider(ScoringTerms(f"{origin}/azure-ml/score", key, SCOPE, None))


MODELS: dict[str, Make] = {
    "gpt-image-2": _azure_openai,
    "sdxl": _replicate,
    "firefly-image3": _firefly,
    "foundry-flux-2-pro": _foundry,
    "sdxl-sovereign": _scoring,
}


@dataclass
class Drill:
    """Workers of one model, and both places where its key is administered."""

    model: str
    vault: KeyVault
    server: RunningSimulators
    certificate: Path
    clock: FakeClock = field(default_factory=FakeClock)
    keys: int = 0
    workers: list[ClosableProvider] = field(default_factory=list)
    secrets: list[KeyVaultSecret] = field(default_factory=list)

    def start(self) -> None:
        for _ in range(WORKERS):
            address, options = self.vault.secret_url(NAME), vault_options(self.certificate)
            secret = KeyVaultSecret(address, self.clock, **options)
            self.secrets.append(secret)
            self.workers.append(MODELS[self.model](self.server.origin, secret))

    async def stop(self) -> None:
        for worker in self.workers:
            await worker.aclose()
        for secret in self.secrets:
            await secret.aclose()

    def key(self) -> str:
        return f"{self.model}-key-{self.keys}"

    def new_key(self) -> None:
        """Enter a newer key into the vault."""
        self.keys += 1
        self.vault.set_secret(NAME, self.key())

    def revoke(self, key: str) -> None:
        """Let the provider refuse a key; a token that was signed in with it ends, too."""
        self.server.state.revoked.add(key)
        if self.signs_in:
            self.server.state.clock.advance(TOKEN_LIFETIME_S)

    @property
    def signs_in(self) -> bool:
        """Whether the key is shown for a token only, once a day."""
        return self.model.startswith("firefly")

    def refusals(self) -> int:
        """How often any provider has refused a key; a token that has ended is none."""
        words = ("sign_in_refused",) if self.signs_in else ("unauthorized", "unauthenticated")
        outcomes = self.server.state.outcomes
        return sum(count for name, count in outcomes.items() if name.split()[1] in words)

    async def order(self, worker: int) -> ProviderOutcome:
        return await self.workers[worker].generate(order(self.model), Recorder())


@pytest.fixture(params=list(MODELS))
async def drill(
    request: pytest.FixtureRequest, server: RunningSimulators, tmp_path: Path
) -> AsyncIterator[Drill]:
    server.state.revoked.clear()
    async with running_vault(tmp_path) as (vault, certificate):
        made = Drill(request.param, vault, server, certificate)
        made.new_key()
        made.start()
        yield made
        await made.stop()


async def test_key_that_is_rotated_in_both_places_costs_each_worker_one_refusal(
    drill: Drill,
) -> None:
    for worker in range(WORKERS):
        assert isinstance(await drill.order(worker), Delivered)
    for _ in range(2):  # the second rotation is no worse than the first
        old, before = drill.key(), drill.refusals()
        drill.new_key()
        drill.revoke(old)
        for worker in (*range(WORKERS), *range(WORKERS)):
            assert isinstance(await drill.order(worker), Delivered)
        assert drill.refusals() - before == WORKERS
        drill.clock.advance(RENEWAL_PAUSE_S)


async def test_orders_in_flight_while_a_key_is_rotated_are_all_delivered(drill: Drill) -> None:
    assert isinstance(await drill.order(0), Delivered)
    old, reads = drill.key(), drill.vault.calls["get_secret"]
    drill.new_key()
    drill.revoke(old)
    outcomes = await asyncio.gather(*(drill.order(0) for _ in range(6)))
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 6
    assert drill.vault.calls["get_secret"] - reads == 1


async def test_key_that_is_rotated_in_time_costs_no_refusal_at_all(drill: Drill) -> None:
    assert isinstance(await drill.order(0), Delivered)
    old, before = drill.key(), drill.refusals()
    drill.new_key()  # the provider takes both for a while, as all of them do that have two keys
    drill.clock.advance(KEPT_S)
    assert isinstance(await drill.order(0), Delivered)
    drill.revoke(old)
    assert isinstance(await drill.order(0), Delivered)
    assert drill.refusals() == before


async def test_key_that_is_revoked_too_early_fails_for_nothing_until_the_vault_has_another(
    drill: Drill,
) -> None:
    assert isinstance(await drill.order(0), Delivered)
    drill.revoke(drill.key())
    refused = await drill.order(0)
    assert isinstance(refused, NotDelivered)
    assert (refused.failure, refused.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
    drill.new_key()
    drill.clock.advance(RENEWAL_PAUSE_S)
    assert isinstance(await drill.order(0), Delivered)


async def test_silent_vault_stops_no_order(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_vault_secrets, "READ_TIMEOUT_S", 0.3)
    assert isinstance(await drill.order(0), Delivered)
    drill.vault.answering.clear()
    drill.clock.advance(KEPT_S)
    asked = drill.vault.calls["request"]
    outcomes = await asyncio.gather(*(drill.order(0) for _ in range(6)))
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 6
    assert drill.vault.calls["request"] - asked == (0 if drill.signs_in else 1)


# What Firefly signs in for is good for a day: only Adobe can end it sooner.
@pytest.mark.parametrize("drill", [each for each in MODELS if "firefly" not in each], indirect=True)
async def test_key_that_is_disabled_in_the_vault_is_soon_used_no_more(drill: Drill) -> None:
    assert isinstance(await drill.order(0), Delivered)
    secret = drill.vault.secrets[NAME]
    secret.disabled = set(secret.versions)
    drill.clock.advance(REFUSED_KEPT_S)
    used = sum(drill.server.state.outcomes.values())
    stopped = await drill.order(0)
    assert isinstance(stopped, NotDelivered)
    assert (stopped.failure, stopped.billed) == (Failure.AUTH_OR_CONFIG, Billed.NOTHING)
    assert sum(drill.server.state.outcomes.values()) == used  # nothing was sent
    drill.new_key()
    assert isinstance(await drill.order(0), Delivered)
