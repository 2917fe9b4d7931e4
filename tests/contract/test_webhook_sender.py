"""The webhook sender against a real receiver on loopback: headers, answers, and hostile names."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from devhost.simulators.webhook_inboxes import add_webhook_inboxes
from shared.adapters.system_clock import SystemClock
from shared.adapters.webhooks import SignedWebhooks
from shared.domain.deliveries import WAIT_S_MAX, Outcome
from shared.domain.webhooks import make_message, secret_of
from shared.errors import Invalid
from tests.conftest import NetworkBlocked

SECRET, FORMER = secret_of(b"n" * 32), secret_of(b"o" * 32)
MESSAGE = make_message("202611-marketing-" + "a" * 32, "budget.alert", "now", {"a": 1})
PUBLIC, OTHER_PUBLIC = "93.184.216.34", "2606:4700:4700::1111"
BIG_BYTES = 64 * 1024 * 1024


@dataclass
class Receiver:
    """The receiving stand-in, and routes that answer in ways it does not."""

    origin: str
    http: aiohttp.ClientSession
    requests: list[web.Request] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.origin.removeprefix("http://")

    def url(self, inbox: str = "a") -> str:
        return f"{self.origin}/webhooks/{inbox}"

    async def rule(self, **rule: Any) -> None:
        url = f"{self.origin}/_control/webhooks/a"
        async with self.http.put(url, json=rule) as answer:
            assert answer.status == 200, await answer.text()

    async def deliveries(self, inbox: str = "a") -> list[dict[str, Any]]:
        async with self.http.get(f"{self.origin}/_control/webhooks/{inbox}") as answer:
            found: list[dict[str, Any]] = (await answer.json())["deliveries"]
            return found

    def sender(self, lookup: Any = None) -> SignedWebhooks:
        given = {} if lookup is None else {"lookup": lookup}
        return SignedWebhooks({self.host}, SystemClock(), **given)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    app = web.Application()
    add_webhook_inboxes(app)
    async with aiohttp.ClientSession() as http:
        found = Receiver("", http)

        async def odd(request: web.Request) -> web.StreamResponse:
            found.requests.append(request)
            return await ODD[request.match_info["kind"]](request)

        app.router.add_post("/odd/{kind}", odd)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
        await runner.cleanup()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=200)
    await response.prepare(request)
    for _ in range(BIG_BYTES // 65_536):
        await response.write(b"x" * 65_536)
    return response


async def date(request: web.Request) -> web.StreamResponse:
    due = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    return web.Response(status=503, headers={"Retry-After": due})


async def zoneless(request: web.Request) -> web.StreamResponse:
    """A date that names no zone."""
    due = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a %b %e %H:%M:%S %Y")
    return web.Response(status=503, headers={"Retry-After": due})


async def far(request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "9" * 30})


async def nonsense(request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "soon, perhaps"})


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def gzip_bomb(request: web.Request) -> web.StreamResponse:
    return web.Response(
        status=200, body=b"\x1f\x8b" + b"x" * 100, headers={"Content-Encoding": "gzip"}
    )


ODD = {
    "endless": endless,
    "date": date,
    "far": far,
    "zoneless": zoneless,
    "nonsense": nonsense,
    "drop": drop,
    "gzip": gzip_bomb,
}


def answers(*results: Sequence[str]) -> Any:
    """A name server that answers one after the other, and the last for ever; counts the asks."""
    asked: list[str] = []

    async def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return results[min(len(asked), len(results)) - 1]

    lookup.asked = asked  # type: ignore[attr-defined]
    return lookup


async def test_message_arrives_verified_with_its_own_id(receiver: Receiver) -> None:
    await receiver.rule(secrets=[SECRET])
    outcome = await receiver.sender().send(receiver.url(), [SECRET], MESSAGE)
    assert outcome == Outcome("delivered", "http_204")
    (delivery,) = await receiver.deliveries()
    assert delivery["verified"] is True
    assert delivery["webhook_id"] == MESSAGE.message_id
    assert delivery["body"].encode() == MESSAGE.body
    assert abs(time.time() - int(delivery["timestamp"])) < 60
    assert delivery["headers"]["content-type"] == "application/json"
    assert delivery["headers"]["user-agent"] == "EIG-Webhooks/1"
    assert "cookie" not in delivery["headers"]


async def test_message_is_verified_by_receivers_of_either_secret_during_a_rotation(
    receiver: Receiver,
) -> None:
    for known in (SECRET, FORMER):
        await receiver.rule(secrets=[known])
        outcome = await receiver.sender().send(receiver.url(), [SECRET, FORMER], MESSAGE)
        assert outcome.ending == "delivered"


async def test_message_signed_with_another_secret_is_not_accepted(receiver: Receiver) -> None:
    await receiver.rule(secrets=[FORMER])
    outcome = await receiver.sender().send(receiver.url(), [SECRET], MESSAGE)
    assert outcome == Outcome("later", "http_401")


@pytest.mark.parametrize(
    ("status", "retry_after_s", "expected"),
    [
        (410, None, Outcome("gone", "http_410")),
        (429, 7, Outcome("later", "http_429", 7)),
        (503, 120, Outcome("later", "http_503", 120)),
        (500, 120, Outcome("later", "http_500")),
        (404, None, Outcome("later", "http_404")),
        (301, None, Outcome("later", "http_301")),
    ],
)
async def test_answer_says_what_to_do_next(
    receiver: Receiver, status: int, retry_after_s: int | None, expected: Outcome
) -> None:
    await receiver.rule(fail_times=1, status=status, retry_after_s=retry_after_s)
    assert await receiver.sender().send(receiver.url(), [SECRET], MESSAGE) == expected


async def test_redirect_is_not_followed(receiver: Receiver) -> None:
    await receiver.rule(fail_times=1, status=307)
    await receiver.sender().send(receiver.url(), [SECRET], MESSAGE)
    assert len(await receiver.deliveries()) == 1
    assert await receiver.deliveries("redirected") == []


@pytest.mark.parametrize(
    ("kind", "least_s", "most_s"),
    [
        ("date", 60, 90),
        ("zoneless", 60, 90),
        ("far", WAIT_S_MAX, WAIT_S_MAX),
        ("nonsense", None, None),
    ],
)
async def test_retry_after_in_every_form_is_bounded(
    receiver: Receiver, kind: str, least_s: int | None, most_s: int | None
) -> None:
    outcome = await receiver.sender().send(f"{receiver.origin}/odd/{kind}", [SECRET], MESSAGE)
    assert outcome.ending == "later"
    if least_s is None or most_s is None:
        assert outcome.retry_after_s is None
    else:
        assert least_s <= (outcome.retry_after_s or 0) <= most_s


async def test_endless_answer_is_not_read(receiver: Receiver) -> None:
    async with asyncio.timeout(5):
        outcome = await receiver.sender().send(f"{receiver.origin}/odd/endless", [SECRET], MESSAGE)
    assert outcome == Outcome("delivered", "http_200")


async def test_answer_that_claims_to_be_packed_is_not_unpacked(receiver: Receiver) -> None:
    outcome = await receiver.sender().send(f"{receiver.origin}/odd/gzip", [SECRET], MESSAGE)
    assert outcome == Outcome("delivered", "http_200")


async def test_dropped_connection_is_tried_later(receiver: Receiver) -> None:
    outcome = await receiver.sender().send(f"{receiver.origin}/odd/drop", [SECRET], MESSAGE)
    assert outcome == Outcome("later", "no_connection")


async def test_receiver_that_is_not_there_is_tried_later(receiver: Receiver) -> None:
    sender = SignedWebhooks({"127.0.0.1:1"}, SystemClock())
    outcome = await sender.send("http://127.0.0.1:1/", [SECRET], MESSAGE)
    assert outcome == Outcome("later", "no_connection")


async def test_loopback_is_refused_unless_it_is_on_the_list(receiver: Receiver) -> None:
    sender = SignedWebhooks(frozenset(), SystemClock())
    with pytest.raises(Invalid):
        sender.check(receiver.url())
    outcome = await sender.send(receiver.url(), [SECRET], MESSAGE)
    assert outcome == Outcome("refused", "address_not_allowed")
    assert await receiver.deliveries() == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["168.63.129.16"],
        ["10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::a00:1"],
        ["2002:7f00:1::"],
        ["fe80::1%eth0"],
        [PUBLIC, "127.0.0.1"],  # one bad address spoils the name
        ["127.0.0.1", PUBLIC],
        [PUBLIC, OTHER_PUBLIC, "fd00::1"],
    ],
)
async def test_name_that_leads_inside_is_never_connected_to(addresses: list[str]) -> None:
    sender = SignedWebhooks(frozenset(), SystemClock(), answers(addresses))
    sender.check("https://hooks.example.com/")
    outcome = await sender.send("https://hooks.example.com/", [SECRET], MESSAGE)
    assert outcome == Outcome("refused", "address_not_public")


async def test_rebinding_between_two_tries_is_noticed() -> None:
    """Public when it was configured and at the first try, loopback at the second."""
    lookup = answers([PUBLIC], ["127.0.0.1"])
    sender = SignedWebhooks(frozenset(), SystemClock(), lookup)
    with pytest.raises(NetworkBlocked, match=r"93\.184\.216\.34"):  # the guard of the tests
        await sender.send("https://hooks.example.com/", [SECRET], MESSAGE)
    outcome = await sender.send("https://hooks.example.com/", [SECRET], MESSAGE)
    assert outcome == Outcome("refused", "address_not_public")


async def test_rebinding_within_one_try_changes_nothing() -> None:
    """The name is asked for once, and the connection goes to the very address that was checked."""
    lookup = answers([PUBLIC], ["127.0.0.1"])
    sender = SignedWebhooks(frozenset(), SystemClock(), lookup)
    with pytest.raises(NetworkBlocked, match=r"93\.184\.216\.34"):
        await sender.send("https://hooks.example.com:8443/", [SECRET], MESSAGE)
    assert lookup.asked == ["hooks.example.com"]


async def test_name_without_an_address_is_tried_later() -> None:
    sender = SignedWebhooks(frozenset(), SystemClock(), answers([]))
    outcome = await sender.send("https://hooks.example.com/", [SECRET], MESSAGE)
    assert outcome == Outcome("later", "name_unknown")


async def test_trusted_name_may_lead_inside(receiver: Receiver) -> None:
    port = int(receiver.host.rpartition(":")[2])
    lookup = answers(["127.0.0.1"])
    sender = SignedWebhooks({f"hooks.internal:{port}"}, SystemClock(), lookup)
    # The receiver speaks no TLS: that its answer is no certificate shows that it was reached.
    outcome = await sender.send(f"https://hooks.internal:{port}/", [SECRET], MESSAGE)
    assert outcome == Outcome("later", "certificate_refused")
    assert json.loads(MESSAGE.body)["type"] == "budget.alert"
