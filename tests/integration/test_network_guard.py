"""The guard of tests/conftest.py: this machine only, for every library and address form."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import aiohttp
import pytest

from tests.conftest import REAL_SERVICE_VARIABLES, NetworkBlocked, is_loopback
from tests.integration.cloud import Cloud

DOCUMENTATION_ADDRESS = "192.0.2.1"  # RFC 5737: belongs to nobody


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "", None, ("127.0.0.1", 80), "/run/s"]
)
def test_loopback_is_let_through(host: object) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "0.0.0.0", "169.254.169.254", "::", "example.com", "127.0.0.1.example.com"],
)
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)
    assert not is_loopback((host, 443))


def test_variables_name_what_points_a_suite_at_a_real_service() -> None:
    assert all(name.startswith("EIG_") for name in REAL_SERVICE_VARIABLES)


@pytest.fixture
def guarded(own_cloud: Cloud) -> Cloud:
    """The guard is certainly on when the cloud is ours."""
    return own_cloud


def test_plain_socket_is_stopped(guarded: Cloud) -> None:
    with socket.socket() as plain, pytest.raises(NetworkBlocked):
        plain.connect((DOCUMENTATION_ADDRESS, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as plain, pytest.raises(NetworkBlocked):
        plain.sendto(b"x", (DOCUMENTATION_ADDRESS, 53))
    with socket.socket() as plain, pytest.raises(NetworkBlocked):
        plain.bind(("0.0.0.0", 0))


def test_name_lookup_is_stopped(guarded: Cloud) -> None:
    with pytest.raises(NetworkBlocked):
        socket.getaddrinfo("example.com", 443)
    with pytest.raises(NetworkBlocked):
        urllib.request.urlopen("http://example.com/", timeout=1)


async def test_asynchronous_clients_are_stopped(guarded: Cloud) -> None:
    with pytest.raises(NetworkBlocked):
        await asyncio.open_connection(DOCUMENTATION_ADDRESS, 443)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(NetworkBlocked):
            await session.get("http://example.com/")
