"""Webhooks from the simulated Replicate to a waiting attempt, over HTTP; and their secret."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from devhost.simulators.clock import SimulatorClock
from devhost.simulators.replicate_webhooks import WEBHOOK_SECRET
from shared.adapters.given_secret import GivenSecret
from shared.adapters.providers import replicate
from shared.adapters.providers.replicate import ReplicateProvider, ReplicateWebhooks
from shared.adapters.replicate_webhook_secret import ReplicateWebhookSecret
from shared.adapters.system_clock import SystemClock
from shared.domain.attempts import Delivered, ProviderOutcome
from shared.errors import EigError, Unavailable
from shared.services.provider_webhooks import ProviderWebhooks
from tests.contract.image_orders import Recorder, order
from tests.contract.replicate_service import RunningService, running_service, tagged
from tests.contract.scripted_server import Answer, scripted_server
from tests.fakes.job_signals import FakeJobSignals
from tests.fakes.secrets import FakeSecret

RUN_S = 0.3
NEVER_S = 60.0  # between polls: only a webhook can be meant
SOON_S = 20.0


@dataclass
class Receiver:
    """Our side of a webhook; `refuse` so many deliveries first."""

    webhooks: ProviderWebhooks
    url: str = ""
    refuse: int = 0
    statuses: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        status = 204
        if self.refuse > 0:
            self.refuse -= 1
            status = 503
        else:
            headers = {name.lower(): value for name, value in request.headers.items()}
            try:
                await self.webhooks.receive(headers, await request.read())
            except EigError as error:
                status = error.status
        self.statuses.append(status)
        return web.Response(status=status)


@dataclass
class World:
    """The simulated Replicate, our receiver, and a provider that knows of both."""

    service: RunningService
    receiver: Receiver
    signals: FakeJobSignals
    provider: ReplicateProvider

    async def generate(self, tag: str, model: str = "sdxl") -> ProviderOutcome:
        prompt = "A pier" if tag == "normal" else tagged(tag)
        return await self.provider.generate(order(model, prompt), Recorder())

    async def answered(self, deliveries: int) -> list[int]:
        """How we answered the deliveries, once there are so many."""
        deadline = time.monotonic() + SOON_S
        while len(self.receiver.statuses) < deliveries and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return self.receiver.statuses


@asynccontextmanager
async def serving(receiver: Receiver) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield
    await runner.cleanup()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_service(tmp_path, SimulatorClock(), delay_s=RUN_S) as service:
        signals = FakeJobSignals()
        secret = ReplicateWebhookSecret(service.base_url, GivenSecret("r8_test"))
        receiver = Receiver(ProviderWebhooks(secret, signals, SystemClock()))
        async with serving(receiver):
            provider = ReplicateProvider(
                service.base_url,
                GivenSecret("r8_test"),
                frozenset({service.state.options.origin.removeprefix("http://")}),
                poll_interval_s=0.02,
                webhooks=ReplicateWebhooks(receiver.url, signals),
            )
            yield World(service, receiver, signals, provider)
            await provider.aclose()


@pytest.mark.parametrize("tag", ["normal", "webhook_doubled", "webhook_disordered"])
async def test_webhook_wakes_the_attempt_long_before_the_next_poll(
    tag: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate, "WEBHOOK_POLL_S", NEVER_S)
    async with asyncio.timeout(SOON_S):
        assert isinstance(await world.generate(tag), Delivered)
    assert await world.answered(1 if tag == "normal" else 2) == (
        [204] if tag == "normal" else [204, 204]
    )
    assert world.signals.awaited == {}  # nothing stays behind


@pytest.mark.parametrize("tag", ["webhook_lost", "webhook_forged", "webhook_late"])
async def test_polling_goes_on_where_no_webhook_can_be_believed(
    tag: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate, "WEBHOOK_POLL_S", 0.1)
    assert isinstance(await world.generate(tag), Delivered)
    assert set(world.receiver.statuses) <= {401}


async def test_delivery_that_failed_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate, "WEBHOOK_POLL_S", NEVER_S)
    world.receiver.refuse = 1
    async with asyncio.timeout(SOON_S):
        assert isinstance(await world.generate("normal", "flux-schnell"), Delivered)
    assert await world.answered(2) == [503, 204]


async def test_polling_goes_on_while_nobody_keeps_the_signals(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate, "WEBHOOK_POLL_S", 0.1)
    world.signals.down = True
    assert isinstance(await world.generate("normal"), Delivered)


# The secret ------------------------------------------------------------------------------------


async def test_secret_is_asked_for_once_and_kept() -> None:
    async with scripted_server() as server:
        path = "/v1/webhooks/default/secret"
        server.answers(path, Answer(body={"key": WEBHOOK_SECRET}))
        secret = ReplicateWebhookSecret(f"{server.origin}/v1", GivenSecret("r8_token"))
        known = await asyncio.gather(*(secret.current() for _ in range(5)), secret.renewed())
        assert set(known) == {WEBHOOK_SECRET}
        assert [seen.path for seen in server.seen] == [path]
        assert server.seen[0].headers["authorization"] == "Bearer r8_token"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, {"title": "Unauthenticated"}),
        Answer(200, b"hello"),
        Answer(200, []),
        Answer(200, {"key": 7}),
        Answer(200, {"key": "no such secret"}),
        Answer(503, b""),
        Answer(302, b"", {"location": "/elsewhere"}),
        Answer(ending="reset"),
    ],
)
async def test_secret_that_is_not_told_is_unavailable_and_not_asked_for_in_a_hurry(
    answer: Answer,
) -> None:
    async with scripted_server() as server:
        server.answers("/v1/webhooks/default/secret", answer)
        secret = ReplicateWebhookSecret(f"{server.origin}/v1", GivenSecret("r8_token"))
        for _ in range(3):
            with pytest.raises(Unavailable):
                await secret.current()
        assert len(server.seen) <= (2 if answer.ending == "reset" else 1)  # aiohttp: once more


async def test_secret_is_asked_for_again_with_a_token_that_was_rotated() -> None:
    async with scripted_server() as server:
        path, refused = "/v1/webhooks/default/secret", Answer(401, {"title": "no"})
        server.answers(path, refused, Answer(body={"key": WEBHOOK_SECRET}))
        token = FakeSecret(["first", "second", "third"])
        assert await ReplicateWebhookSecret(f"{server.origin}/v1", token).current()
        server.answers(path, refused)
        with pytest.raises(Unavailable):
            await ReplicateWebhookSecret(f"{server.origin}/v1", FakeSecret(["wrong"])).current()
        shown = [seen.headers["authorization"] for seen in server.seen]
        assert shown == ["Bearer first", "Bearer second", "Bearer wrong"]


async def test_secret_that_is_set_is_never_asked_for() -> None:
    secret = ReplicateWebhookSecret(
        "http://127.0.0.1:1/v1", GivenSecret("r8_token"), GivenSecret(WEBHOOK_SECRET)
    )
    assert await secret.current() == await secret.renewed() == WEBHOOK_SECRET
