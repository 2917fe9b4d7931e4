"""Webhooks that providers send: which are believed, and what they change."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.domain.webhooks import Message, secret_of, signature
from shared.errors import Unauthenticated, Unavailable
from shared.services.provider_webhooks import ProviderWebhooks
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.job_signals import FakeJobSignals

JOB = "hdwst0bb05rgp0cf0p29mzk2am"
SECRET = secret_of(b"0123456789abcdef0123456789abcdef")
OTHER = secret_of(b"another secret of thirty-two byte")
NOW_S = int(NOON.timestamp())
# As in the documentation of Standard Webhooks: an example that was not made by our own code.
KNOWN_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KNOWN = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
KNOWN_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@dataclass
class Secrets:
    """A secret that may be rotated behind our back."""

    known: str | None = SECRET
    actual: str = SECRET
    asked: int = 0

    async def current(self) -> str:
        if self.known is None:
            raise Unavailable("no secret")
        return self.known

    async def renewed(self) -> str:
        self.asked += 1
        self.known = self.actual
        return self.actual


@dataclass
class World:
    """One receiver and what it changes."""

    secrets: Secrets = field(default_factory=Secrets)
    signals: FakeJobSignals = field(default_factory=FakeJobSignals)
    clock: FakeClock = field(default_factory=FakeClock)

    async def receive(self, headers: dict[str, str], body: bytes) -> bool:
        return await ProviderWebhooks(self.secrets, self.signals, self.clock).receive(headers, body)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.signals.expect(JOB)
    return world


def prediction(status: str = "succeeded", **values: Any) -> bytes:
    return json.dumps({"id": JOB, "status": status, "output": "https://x/1.png", **values}).encode()


def headers(
    body: bytes, *secrets: str, event_id: str = "msg_1", timestamp_s: int = NOW_S
) -> dict[str, str]:
    made = [signature(each, Message(event_id, body), timestamp_s) for each in secrets or (SECRET,)]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(made),
    }


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled", "aborted"])
async def test_signed_end_of_a_run_wakes_whoever_waits(status: str, world: World) -> None:
    body = prediction(status)
    assert await world.receive(headers(body), body)
    assert world.signals.awaited == {JOB: "msg_1"}


async def test_delivery_that_comes_again_changes_nothing(world: World) -> None:
    body = prediction()
    assert await world.receive(headers(body), body)
    assert not await world.receive(headers(body), body)
    assert not await world.receive(headers(body, event_id="msg_2"), body)
    assert world.signals.awaited == {JOB: "msg_1"}


async def test_delivery_for_nobody_changes_nothing(world: World) -> None:
    body = prediction(id="0123456789")
    assert not await world.receive(headers(body), body)
    assert world.signals.awaited == {JOB: None}


@pytest.mark.parametrize(
    "body",
    [
        prediction("processing"),
        prediction("starting"),
        prediction("Succeeded"),
        json.dumps({"id": JOB, "status": ["succeeded"]}).encode(),
        json.dumps({"id": JOB}).encode(),
        prediction(id="../../secrets"),
        prediction(id=["x"]),
        prediction(id="x" * 65),
        b"[]",
        b"hello",
        b"",
        b"[" * 100_000,
    ],
)
async def test_signed_body_that_ends_no_run_changes_nothing(body: bytes, world: World) -> None:
    assert not await world.receive(headers(body), body)
    assert world.signals.awaited == {JOB: None}


async def test_any_of_several_signatures_will_do(world: World) -> None:
    body = prediction()
    assert await world.receive(headers(body, OTHER, SECRET), body)


async def test_signature_of_the_specification_is_understood() -> None:
    event_id, timestamp_s, body = KNOWN
    world = World(Secrets(KNOWN_SECRET, KNOWN_SECRET))
    world.clock.advance(timestamp_s - NOW_S)
    sent = {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": KNOWN_SIGNATURE,
    }
    assert not await world.receive(sent, body)  # believed: it is only no end of a run
    with pytest.raises(Unauthenticated):
        await world.receive(sent, body + b" ")


@pytest.mark.parametrize("seconds", [-300, 0, 300])
async def test_delivery_within_five_minutes_is_recent(seconds: int, world: World) -> None:
    body = prediction()
    assert await world.receive(headers(body, timestamp_s=NOW_S + seconds), body)


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
async def test_delivery_of_another_time_is_refused(seconds: int, world: World) -> None:
    body = prediction()
    with pytest.raises(Unauthenticated):
        await world.receive(headers(body, timestamp_s=NOW_S + seconds), body)
    assert world.secrets.asked == 0


def damaged() -> list[dict[str, str]]:
    good = headers(prediction())
    encoded = good["webhook-signature"].removeprefix("v1,")
    return [
        {},
        {name: value for name, value in good.items() if name != "webhook-id"},
        {name: value for name, value in good.items() if name != "webhook-signature"},
        good | {"webhook-id": "msg_2"},
        good | {"webhook-id": "msg.1"},
        good | {"webhook-id": "x" * 129},
        good | {"webhook-timestamp": str(NOW_S + 1)},
        good | {"webhook-timestamp": "-1"},
        good | {"webhook-timestamp": "soon"},
        good | {"webhook-signature": encoded},
        good | {"webhook-signature": f"v1a,{encoded}"},
        good | {"webhook-signature": f"v2,{encoded}"},
        good | {"webhook-signature": "v1,"},
        good | {"webhook-signature": "v1,ümlaut"},
        good | {"webhook-signature": " ".join(["v1,x"] * 9) + " " + good["webhook-signature"]},
        headers(prediction(), OTHER),
    ]


@pytest.mark.parametrize("sent", damaged())
async def test_delivery_that_is_not_signed_by_the_provider_is_refused(
    sent: dict[str, str], world: World
) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await world.receive(sent, prediction())
    assert refusal.value.problem_code == "webhook_not_signed"
    assert world.signals.awaited == {JOB: None}


async def test_body_that_was_changed_on_its_way_is_refused(world: World) -> None:
    body = prediction()
    with pytest.raises(Unauthenticated):
        await world.receive(headers(body), body.replace(b"1.png", b"2.png"))


async def test_secret_that_was_rotated_is_asked_for_once(world: World) -> None:
    world.secrets.actual = OTHER
    body = prediction()
    assert await world.receive(headers(body, OTHER), body)
    assert (world.secrets.known, world.secrets.asked) == (OTHER, 1)


async def test_delivery_is_sent_again_when_the_secret_is_not_known(world: World) -> None:
    world.secrets.known = None
    body = prediction()
    with pytest.raises(Unavailable):
        await world.receive(headers(body), body)


def test_secrets_are_of_the_size_that_the_specification_asks_for() -> None:
    assert len(base64.b64decode(KNOWN_SECRET.removeprefix("whsec_"))) == 24
