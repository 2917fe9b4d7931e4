"""Bringing picture bytes in: base64, data URIs and downloads, each with a size cap."""
# aiohttp takes 140 ms to import: only a worker that calls it pays.

import base64
import binascii
from collections.abc import AsyncIterator, Set
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from shared.adapters.answer_bodies import read_capped
from shared.adapters.public_resolver import (
    Lookup,
    UnsafeAddress,
    checked_resolver,
    system_lookup,
)
from shared.domain.egress import is_name
from shared.domain.images import sniff_image

if TYPE_CHECKING:
    pass

IMAGE_BYTES_MAX: Final = 50 * 1024 * 1024  # ten times the largest picture the models make
SLICE_BYTES: Final = 256 * 1024  # a picture is handed on in pieces of this size
CONNECT_TIMEOUT_S: Final = 10.0  # a TLS handshake across the world takes less than one second
URL_CHARS_MAX: Final = 4_096  # signed addresses stay below 2 000
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_HTTPS_PORT: Final = 443
_GONE_STATUSES: Final = frozenset({403, 404, 410})  # how storage answers for an expired address


class Miss(StrEnum):
    """Why an address gave no picture."""

    EXPIRED = "expired"  # was there once; asking again cannot help
    UNUSABLE = "unusable"  # not a picture, too large, or an address that we do not follow
    UNREACHABLE = "unreachable"  # asking again may help


async def in_slices(data: bytes) -> AsyncIterator[bytes]:
    """Yield `data` in pieces of SLICE_BYTES, without copying it as a whole."""
    view = memoryview(data)
    for start in range(0, len(view), SLICE_BYTES):
        yield bytes(view[start : start + SLICE_BYTES])


def picture_from_base64(text: object) -> bytes | None:
    """The decoded bytes, or None if `text` is not base64 of a picture within the cap."""
    if not isinstance(text, str) or len(text) > IMAGE_BYTES_MAX * 4 // 3 + 4:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) <= IMAGE_BYTES_MAX and sniff_image(data) is not None else None


def picture_from_data_uri(uri: str) -> bytes | None:
    """The picture inside `data:image/...;base64,...`, or None."""
    head, comma, text = uri.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    return picture_from_base64(text)


def is_allowed_address(url: str, hosts: Set[str]) -> bool:
    """Whether `url` is https (http only on loopback) and its host is on the list.

    An entry is `host`, `host:port`, or `*.domain` for every subdomain.
    """
    if len(url) > URL_CHARS_MAX:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname
    if not host or parts.username is not None or parts.password is not None:
        return False
    return _is_safe_scheme(parts, host) and _is_listed(host, port, hosts)


def _is_safe_scheme(parts: SplitResult, host: str) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_HOSTS)


def _is_listed(host: str, port: int | None, hosts: Set[str]) -> bool:
    if port not in (None, _HTTPS_PORT):
        return f"{host}:{port}" in hosts
    if host in hosts:
        return True
    return is_name(host) and any(
        entry.startswith("*.") and host.endswith(entry[1:]) for entry in hosts
    )


async def download_picture(
    url: str, hosts: Set[str], timeout_s: float, lookup: Lookup = system_lookup
) -> bytes | Miss:
    """The picture at `url`; follows no redirect, sends no credentials, enters no private network.

    Connections are not shared with calls of the provider, whose name may lead to a private
    endpoint: a listed name whose address is not public is followed only if it is listed with its
    port.
    """
    import aiohttp

    if not is_allowed_address(url, hosts):
        return Miss.UNUSABLE
    resolver = checked_resolver(lambda host, port: f"{host}:{port}" in hosts, lookup)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                return _miss_of_status(response.status)
            data = await read_capped(response, IMAGE_BYTES_MAX)
    except aiohttp.InvalidURL:  # passed our check, and is none all the same
        return Miss.UNUSABLE
    except (aiohttp.ClientError, TimeoutError) as error:
        return Miss.UNUSABLE if isinstance(error.__cause__, UnsafeAddress) else Miss.UNREACHABLE
    if data is None or sniff_image(data) is None:
        return Miss.UNUSABLE
    return data


def _miss_of_status(status: int) -> Miss:
    if status in _GONE_STATUSES:
        return Miss.EXPIRED
    return Miss.UNREACHABLE if status == 429 or status >= 500 else Miss.UNUSABLE
