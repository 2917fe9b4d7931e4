"""Verifies Microsoft Entra access tokens (v2.0) against the published keys of configured issuers.

Nothing in a token is believed before its signature, but for `iss`, which only selects one of the
configured issuers, and `kid`, which only selects one of that issuer's keys. Header fields that name
or carry a key (`jku`, `x5u`, `jwk`) are never read.
"""

import asyncio
import base64
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.domain.identity import ROLE_BY_CLAIM, Principal, Role
from shared.errors import PolicyDenied, Unauthenticated, Unavailable
from shared.ports import Clock

ALGORITHM: Final = "RS256"  # the only one Entra signs with
TOKEN_CHARS_MAX: Final = 16 * 1024  # the largest header that common front ends let through
SKEW_S: Final = 60  # how far two well-kept clocks may differ
KEYS_AGE_MAX: Final = timedelta(hours=24)  # Entra's advice; a withdrawn key dies within a day
UNKNOWN_KEY_PAUSE: Final = timedelta(minutes=5)  # made-up key ids must not become a flood
FAILED_FETCH_PAUSE: Final = timedelta(seconds=5)  # requests do not queue up for a dead server
FETCH_TIMEOUT_S: Final = 5.0  # the documents are static and small
DOCUMENT_BYTES_MAX: Final = 256 * 1024  # Entra's are below 20 KB
KEYS_MAX: Final = 100  # Entra publishes fewer than ten
RSA_BITS_MIN: Final = 2_048

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
_TOKEN_TYPES: Final = frozenset({"jwt", "at+jwt"})

_log = logging.getLogger("eig.identity")


@dataclass(frozen=True)
class IssuerRule:
    """What the tokens of one issuer must say; an empty `azp_allow` lets any client call."""

    tenant_id: str
    audience: str
    azp_allow: frozenset[str] = frozenset()


class EntraTokenVerifier:
    """The TokenVerifier for Entra; `issuers` maps each exact `iss` value to its rule."""

    def __init__(
        self, issuers: Mapping[str, IssuerRule], clock: Clock, required_scope: str
    ) -> None:
        """Raise ValueError for an issuer that is not https (or loopback http) or fits no rule."""
        if not required_scope:
            raise ValueError("a scope is needed: it tells access tokens from ID tokens")
        for issuer, rule in issuers.items():
            _check_issuer(issuer, rule)
        self._clock = clock
        self._required_scope = required_scope
        self._issuers = {
            issuer: (rule, _SigningKeys(issuer, rule.tenant_id, clock))
            for issuer, rule in issuers.items()
        }

    async def verify(self, token: str) -> Principal:
        """Raise Unauthenticated, PolicyDenied if the token is right but grants no role of ours,
        or Unavailable if the issuer's keys cannot be had."""
        try:
            claims, rule = await self._verified_claims(token)
            role = _role(claims)
        except _RefusedError as refused:
            _log.info("access token refused", extra={"code": refused.reason})
            raise Unauthenticated("The access token is not valid.") from None
        if role is None:
            raise PolicyDenied("Your account has no role in this application.")
        return Principal(rule.tenant_id, claims["oid"], role)

    async def _verified_claims(self, token: str) -> tuple[dict[str, Any], IssuerRule]:
        if len(token) > TOKEN_CHARS_MAX:
            raise _RefusedError("too_long")
        segments = token.split(".")
        if len(segments) != 3 or not all(map(_SEGMENT.fullmatch, segments)):
            raise _RefusedError("not_a_signed_jwt")
        kid = _checked_kid(_json_object(segments[0]))
        claims = _json_object(segments[1])
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise _RefusedError("unknown_issuer")
        rule, signing_keys = self._issuers[issuer]
        key = await signing_keys.get(kid)
        if key is None:
            raise _RefusedError("unknown_key")
        _check_signature(token, key)
        _check_claims(claims, rule, self._clock.now().timestamp())
        if not self._has_scope(claims):
            raise _RefusedError("scope_missing")
        return claims, rule

    def _has_scope(self, claims: Mapping[str, Any]) -> bool:
        """The scope as a whole word. ID tokens and app-only tokens have no `scp` at all."""
        return self._required_scope in _text(claims, "scp").split(" ")


class _RefusedError(Exception):
    """The token is not right; `reason` is one of our own words and safe to log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _SigningKeys:
    """The public keys of one issuer, fetched on first use and again when they may have changed."""

    def __init__(self, issuer: str, tenant_id: str, clock: Clock) -> None:
        self._issuer = issuer
        self._tenant_id = tenant_id
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched_at: datetime | None = None
        self._failed_at: datetime | None = None
        self._unknown_asked_at: datetime | None = None

    async def get(self, kid: str) -> RSAPublicKey | None:
        """The key, or None if the issuer has none of that id; raise Unavailable without keys."""
        if self._is_fresh() and kid in self._keys:
            return self._keys[kid]
        async with self._lock:
            if not self._is_fresh():
                if self._within(self._failed_at, FAILED_FETCH_PAUSE):
                    raise _no_keys()
                await self._fetch()
            elif kid not in self._keys and not self._within(
                self._unknown_asked_at, UNKNOWN_KEY_PAUSE
            ):
                self._unknown_asked_at = self._clock.now()
                await self._fetch()
            return self._keys.get(kid)

    def _is_fresh(self) -> bool:
        return self._within(self._fetched_at, KEYS_AGE_MAX)

    def _within(self, moment: datetime | None, span: timedelta) -> bool:
        return moment is not None and self._clock.now() - moment < span

    async def _fetch(self) -> None:
        asked_at = self._clock.now()  # age counts from the question: never too young
        try:
            keys = await self._published_keys()
        except (aiohttp.ClientError, TimeoutError, _DocumentError) as error:
            self._failed_at = asked_at
            _log.warning("signing keys of an issuer not available", exc_info=error)
            raise _no_keys() from None
        self._keys, self._fetched_at, self._failed_at = keys, asked_at, None

    async def _published_keys(self) -> dict[str, RSAPublicKey]:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            discovery = await _get_document(
                session, f"{self._issuer}/.well-known/openid-configuration"
            )
            jwks_uri = discovery.get("jwks_uri")
            if not self._is_ours(discovery.get("issuer")) or not isinstance(jwks_uri, str):
                raise _DocumentError
            if not _is_safe_address(jwks_uri, loopback=_is_loopback_http(self._issuer)):
                raise _DocumentError
            entries = (await _get_document(session, jwks_uri)).get("keys")
        if not isinstance(entries, list):
            raise _DocumentError
        keys: dict[str, RSAPublicKey] = {}
        for entry in entries[:KEYS_MAX]:
            if isinstance(entry, dict) and self._is_ours(entry.get("issuer", self._issuer)):
                keys |= _usable_key(entry)
        if not keys:
            raise _DocumentError
        return keys

    def _is_ours(self, issuer: object) -> bool:
        """Entra publishes keys for several tenants with the issuer as a template."""
        return (
            isinstance(issuer, str)
            and issuer.replace("{tenantid}", self._tenant_id) == self._issuer
        )


class _DocumentError(Exception):
    """The identity system answered, but not with what its documents must hold."""


def _no_keys() -> Unavailable:
    return Unavailable("Access tokens cannot be checked at the moment.", retry_after_s=5)


async def _get_document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """Fetch one JSON object: 200 only, no redirects, at most DOCUMENT_BYTES_MAX."""
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise _DocumentError
        body = bytearray()
        async for chunk in response.content.iter_chunked(DOCUMENT_BYTES_MAX):
            body += chunk
            if len(body) > DOCUMENT_BYTES_MAX:
                raise _DocumentError
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _DocumentError from None
    if not isinstance(document, dict):
        raise _DocumentError
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


def _checked_kid(header: Mapping[str, Any]) -> str:
    if header.get("alg") != ALGORITHM:
        raise _RefusedError("algorithm")
    if "crit" in header:  # it lists extensions that must be understood; we understand none
        raise _RefusedError("critical_extension")
    token_type = header.get("typ", "JWT")
    if not isinstance(token_type, str) or token_type.lower() not in _TOKEN_TYPES:
        raise _RefusedError("token_type")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise _RefusedError("no_key_id")
    return kid


def _check_signature(token: str, key: RSAPublicKey) -> None:
    try:
        jwt.PyJWS().decode_complete(token, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError:
        raise _RefusedError("signature") from None


def _check_claims(claims: Mapping[str, Any], rule: IssuerRule, now_s: float) -> None:
    """Everything but issuer, scope and roles, which the caller checks."""
    not_before_s, issued_s, expires_s = (_moment_s(claims, name) for name in ("nbf", "iat", "exp"))
    object_id, client_id = _text(claims, "oid"), _text(claims, "azp")
    checks: list[tuple[bool, str]] = [
        (claims.get("ver") == "2.0", "version"),
        (claims.get("tid") == rule.tenant_id, "tenant"),
        (claims.get("aud") == rule.audience, "audience"),
        (not_before_s <= now_s + SKEW_S, "not_yet_valid"),
        (issued_s <= now_s + SKEW_S, "issued_in_future"),
        (expires_s >= now_s - SKEW_S, "expired"),
        (claims.get("idtyp", "user") == "user", "app_only"),
        (_GUID.fullmatch(object_id) is not None, "object_id"),
        (not rule.azp_allow or client_id in rule.azp_allow, "client"),
    ]
    for ok, reason in checks:
        if not ok:
            raise _RefusedError(reason)


def _moment_s(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:
        raise _RefusedError(f"no_{name}")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    """The claim if it is a string, else an empty string, which no rule accepts."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _role(claims: Mapping[str, Any]) -> Role | None:
    """The most powerful role that we know; None if the token carries none."""
    names = claims.get("roles", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _RefusedError("roles")
    return max((ROLE_BY_CLAIM[name] for name in names if name in ROLE_BY_CLAIM), default=None)


def _json_object(segment: str) -> dict[str, Any]:
    """Decode one segment; a repeated key, which two readers may read differently, is refused."""
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        parsed = json.loads(data.decode(), object_pairs_hook=_unique_pairs)
    except (ValueError, RecursionError):
        raise _RefusedError("not_json") from None
    if not isinstance(parsed, dict):
        raise _RefusedError("not_an_object")
    return parsed


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise _RefusedError("repeated_key")
    return parsed


def _check_issuer(issuer: str, rule: IssuerRule) -> None:
    if not _is_safe_address(issuer, loopback=True) or issuer.endswith("/"):
        raise ValueError("an issuer must be an https address, or http on loopback")
    if _GUID.fullmatch(rule.tenant_id) is None or not rule.audience:
        raise ValueError("an issuer needs a tenant id (lower-case GUID) and an audience")
    named = _GUID.findall(issuer)
    if named and rule.tenant_id not in named:
        raise ValueError("the tenant id in the issuer's address must be the one in its rule")


def _is_safe_address(url: str, *, loopback: bool) -> bool:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return False
    return scheme == "https" or (loopback and _is_loopback_http(url))


def _is_loopback_http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS
