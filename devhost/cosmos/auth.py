"""Checks by which key a request is signed: the master key, or the key of a role."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from devhost.cosmos.errors import ServiceError, not_emulated

# The key that Microsoft publishes for its own emulator: it protects nothing.
EMULATOR_KEY = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
)
CLOCK_SKEW_S_MAX = 15 * 60  # service limit between x-ms-date and its own clock


def decode_key(key: str) -> bytes:
    """The bytes of a base64 master key; raises ValueError with a sentence."""
    try:
        return base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError(f"The master key is not base64: {error}.") from error


def _unauthorized(message: str) -> ServiceError:
    return ServiceError(401, message)


@lru_cache(maxsize=256)
def _seconds(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        raise _unauthorized("The date header is not a valid RFC 1123 date.") from None


def check_signature(
    keys: Iterable[bytes],
    method: str,
    segments: list[str],
    headers: Mapping[str, str],
    now_s: float,
) -> bytes:
    """The key that signed; raises 401 if none did, 403 for a date that is too far off.

    `segments` is the decoded path; the signature covers the method, the resource and the date.
    """
    date = headers.get("x-ms-date")
    if date is None:
        raise _unauthorized("The required header x-ms-date is missing.")
    token = dict(parse_qsl(_plain(headers.get("authorization", "")), keep_blank_values=True))
    if "sig" not in token:
        raise _unauthorized("Required Header authorization is missing. Ensure a valid token.")
    if token.get("type") != "master":
        raise not_emulated(f"authorization tokens of type {token.get('type')!r}")
    if abs(now_s - _seconds(date)) > CLOCK_SKEW_S_MAX:
        raise ServiceError(403, "The authorization token is not valid at the current time.")
    for key in keys:
        if hmac.compare_digest(_signature(key, method, segments, date), token["sig"].encode()):
            return key
    raise _unauthorized(
        "The input authorization token can't serve the request. The wrong key is being used "
        "or the expected payload is not built as per the protocol."
    )


def _plain(header: str) -> str:
    """The token un-escaped; '+' of base64 must survive the later form decoding."""
    return unquote(header).replace("+", "%2B")


def _signature(key: bytes, method: str, segments: list[str], date: str) -> bytes:
    feed = len(segments) % 2 == 1  # dbs/x/colls is a feed, dbs/x a resource
    kind = segments[-1 if feed else -2] if segments else ""
    link = "/".join(segments[:-1] if feed else segments)
    text = f"{method.lower()}\n{kind}\n{link}\n{date.lower()}\n\n"
    return base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256))
