"""Fetching a picture from an address that a provider names: capped, and only from outside."""

from collections.abc import AsyncIterator, Sequence

import pytest

from shared.adapters.providers.fetching import IMAGE_BYTES_MAX, Miss, download_picture
from shared.adapters.public_resolver import system_lookup
from tests.contract.image_orders import png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

NAME = "pictures.example.com"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers("/p.png", Answer(body=png(), headers={"content-type": "text/html"}))
        yield server


def leading_to(*addresses: str) -> object:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses

    return lookup


async def fetch(url: str, hosts: set[str], addresses: Sequence[str] = ("127.0.0.1",)) -> object:
    lookup = leading_to(*addresses)
    return await download_picture(url, hosts, 1.0, lookup)  # type: ignore[arg-type]


async def test_picture_is_known_by_its_bytes_not_by_its_declared_type(
    server: ScriptedServer,
) -> None:
    host = server.origin.removeprefix("http://")
    assert await fetch(f"{server.origin}/p.png", {host}) == png()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.4",
        "169.254.169.254",
        "168.63.129.16",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
    ],
)
async def test_name_that_leads_inside_is_not_followed(address: str) -> None:
    assert await fetch(f"https://{NAME}/p.png", {NAME}, [address]) is Miss.UNUSABLE
    both = ["93.184.216.34", address]  # one public address does not make the other one so
    assert await fetch(f"https://{NAME}/p.png", {NAME}, both) is Miss.UNUSABLE


async def test_name_that_is_listed_with_its_port_may_lead_inside(server: ScriptedServer) -> None:
    port = server.origin.rpartition(":")[2]
    url = f"http://localhost:{port}/p.png"
    assert await fetch(url, {f"localhost:{port}"}) == png()
    assert await fetch(url, {"localhost"}) is Miss.UNUSABLE


async def test_name_without_an_address_may_have_one_later() -> None:
    assert await fetch(f"https://{NAME}/p.png", {NAME}, []) is Miss.UNREACHABLE


@pytest.mark.parametrize(
    "url", [f"https://evil.example\\.{NAME}/p.png", f"https://{NAME}/\ud800", f"https://-.{NAME}/"]
)
async def test_address_that_is_none_is_not_asked_for_again(url: str) -> None:
    assert await fetch(url, {NAME, f"*.{NAME}"}, ["169.254.169.254"]) is Miss.UNUSABLE


@pytest.mark.parametrize("host", ["a..example.com", f"{'a' * 64}.example.com"])
async def test_name_that_cannot_be_looked_up_is_an_error_like_any_other(host: str) -> None:
    with pytest.raises(OSError, match="cannot be looked up"):
        await system_lookup(host, 443)
    assert await fetch(f"https://{host}/p.png", {"*.example.com"}) is Miss.UNUSABLE


@pytest.mark.parametrize(
    ("answer", "miss"),
    [
        (Answer(302, b"", {"location": "/p.png"}), Miss.UNUSABLE),
        (Answer(403, b""), Miss.EXPIRED),
        (Answer(500, b""), Miss.UNREACHABLE),
        (Answer(200, b"<svg onload=alert(1)>"), Miss.UNUSABLE),
        (Answer(200, png(), ending="cut_off"), Miss.UNREACHABLE),
        (Answer(ending="hang"), Miss.UNREACHABLE),
        (Answer(200, png().ljust(IMAGE_BYTES_MAX + 1, b"\0"), ending="no_length"), Miss.UNUSABLE),
    ],
)
async def test_what_is_no_whole_picture_is_left(
    answer: Answer, miss: Miss, server: ScriptedServer
) -> None:
    server.answers("/x", answer)
    host = server.origin.removeprefix("http://")
    assert await fetch(f"{server.origin}/x", {host}) is miss
    assert [seen.path for seen in server.seen] == ["/x"]
