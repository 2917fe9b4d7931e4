"""The published keys of one Entra issuer, fetched on first use, within limits, never guessed."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.errors import Unavailable
from shared.ports import Clock

ALGORITHM: Final = "RS256"  # the only one Entra signs with
KEYS_AGE_MAX: Final = timedelta(hours=24)  # Entra's advice; a withdrawn key dies within a day
UNKNOWN_KEY_PAUSE: Final = timedelta(minutes=5)  # made-up key ids must not become a flood
FAILED_FETCH_PAUSE: Final = timedelta(seconds=5)  # requests do not queue up for a dead server
FETCH_TIMEOUT_S: Final = 5.0  # the documents are static and small
DOCUMENT_BYTES_MAX: Final = 256 * 1024  # Entra's are below 20 KB
KEYS_MAX: Final = 100  # Entra publishes fewer than ten
RSA_BITS_MIN: Final = 2_048

_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
_VISIBLE: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*")
_ADDRESSES: Final = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")

_log = logging.getLogger("eig.identity")


class DocumentError(Exception):
    """The identity system answered, but not with what its documents must hold."""


class EntraKeys:
    """Keys and addresses of one issuer; `issuer` is the exact `iss` of its tokens."""

    def __init__(self, issuer: str, tenant_id: str, clock: Clock) -> None:
        self._issuer = issuer
        self._tenant_id = tenant_id
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: dict[str, RSAPublicKey] = {}
        self._addresses: dict[str, str] = {}
        self._fetched_at: datetime | None = None
        self._failed_at: datetime | None = None
        self._unknown_asked_at: datetime | None = None

    async def get(self, kid: str) -> RSAPublicKey | None:
        """The key, or None if the issuer has none of that id; raise Unavailable without keys."""
        if self._is_fresh() and kid in self._keys:
            return self._keys[kid]
        async with self._lock:
            if not self._is_fresh():
                await self._fetch_unless_dead()
            elif kid not in self._keys and not self._within(
                self._unknown_asked_at, UNKNOWN_KEY_PAUSE
            ):
                self._unknown_asked_at = self._clock.now()
                await self._fetch()
            return self._keys.get(kid)

    async def address(self, name: str) -> str:
        """An endpoint by its name in the discovery document; raise Unavailable without it."""
        if not self._is_fresh():
            async with self._lock:
                if not self._is_fresh():
                    await self._fetch_unless_dead()
        if name not in self._addresses:
            raise no_keys()
        return self._addresses[name]

    def _is_fresh(self) -> bool:
        return self._within(self._fetched_at, KEYS_AGE_MAX)

    def _within(self, moment: datetime | None, span: timedelta) -> bool:
        return moment is not None and self._clock.now() - moment < span

    async def _fetch_unless_dead(self) -> None:
        if self._within(self._failed_at, FAILED_FETCH_PAUSE):
            raise no_keys()
        await self._fetch()

    async def _fetch(self) -> None:
        asked_at = self._clock.now()  # age counts from the question: never too young
        try:
            addresses, keys = await self._published()
        except (aiohttp.ClientError, TimeoutError, DocumentError) as error:
            self._failed_at = asked_at
            _log.warning("signing keys of an issuer not available", exc_info=error)
            raise no_keys() from None
        self._addresses, self._keys = addresses, keys
        self._fetched_at, self._failed_at = asked_at, None

    async def _published(self) -> tuple[dict[str, str], dict[str, RSAPublicKey]]:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            discovery = await _get_document(
                session, f"{self._issuer}/.well-known/openid-configuration"
            )
            jwks_uri = discovery.get("jwks_uri")
            if not self._is_ours(discovery.get("issuer")) or not self._is_safe(jwks_uri):
                raise DocumentError
            entries = (await _get_document(session, str(jwks_uri))).get("keys")
        addresses = {
            name: str(discovery[name]) for name in _ADDRESSES if self._is_safe(discovery.get(name))
        }
        return addresses, self._usable(entries)

    def _usable(self, entries: object) -> dict[str, RSAPublicKey]:
        if not isinstance(entries, list):
            raise DocumentError
        keys: dict[str, RSAPublicKey] = {}
        for entry in entries[:KEYS_MAX]:
            if isinstance(entry, dict) and self._is_ours(entry.get("issuer", self._issuer)):
                keys |= _usable_key(entry)
        if not keys:
            raise DocumentError
        return keys

    def _is_ours(self, issuer: object) -> bool:
        """Entra publishes keys for several tenants with the issuer as a template."""
        return (
            isinstance(issuer, str)
            and issuer.replace("{tenantid}", self._tenant_id) == self._issuer
        )

    def _is_safe(self, url: object) -> bool:
        return isinstance(url, str) and is_safe_address(
            url, loopback=_is_loopback_http(self._issuer)
        )


def no_keys() -> Unavailable:
    return Unavailable("Access tokens cannot be checked at the moment.", retry_after_s=5)


def is_safe_address(url: str, *, loopback: bool) -> bool:
    """Whether an address is https, or plain http on loopback where that is allowed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # a port that is none raises
    except ValueError:
        return False
    if not _VISIBLE.fullmatch(url) or not _HOST.fullmatch(host) or parts.username is not None:
        return False
    return parts.scheme == "https" or (loopback and _is_loopback_http(url))


def _is_loopback_http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS


async def _get_document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as response:
        return await read_document(response)


async def read_document(response: aiohttp.ClientResponse, status: int = 200) -> dict[str, Any]:
    """One JSON object: this status only (a redirect is none), at most DOCUMENT_BYTES_MAX."""
    if response.status != status:
        raise DocumentError
    body = bytearray()
    async for chunk in response.content.iter_chunked(DOCUMENT_BYTES_MAX):
        body += chunk
        if len(body) > DOCUMENT_BYTES_MAX:
            raise DocumentError
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise DocumentError from None
    if not isinstance(document, dict):
        raise DocumentError
    return document


def _usable_key(entry: Mapping[str, Any]) -> dict[str, RSAPublicKey]:
    """The entry as {kid: key}, or nothing if it is not an RSA key that may sign with RS256."""
    kid = entry.get("kid")
    if (
        not isinstance(kid, str)
        or entry.get("kty") != "RSA"
        or entry.get("use", "sig") != "sig"
        or entry.get("alg", ALGORITHM) != ALGORITHM
    ):
        return {}
    try:
        numbers = {"kty": "RSA", "n": entry["n"], "e": entry["e"]}
        key = jwt.PyJWK.from_dict(numbers, ALGORITHM).key
    except (KeyError, TypeError, ValueError, jwt.PyJWTError):
        return {}
    is_strong = isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS_MIN
    return {kid: key} if is_strong else {}
