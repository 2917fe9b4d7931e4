"""Signed tokens taken apart: nothing is believed before the signature.

But for `iss`, which only selects one of the configured issuers, and `kid`, which only selects one
of that issuer's keys. Header fields that name or carry a key (`jku`, `x5u`, `jwk`) are never read.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.adapters.entra_keys import ALGORITHM
from shared.domain.access_tokens import CLOCK_SKEW, CONTEXTS, Authentication

TOKEN_CHARS_MAX: Final = 16 * 1024  # the largest header that common front ends let through
GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SKEW_S: Final = CLOCK_SKEW.total_seconds()
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN_TYPES: Final = frozenset({"jwt", "at+jwt"})
_MOMENT_S_MAX: Final = 253_402_300_799  # the last second that a datetime can hold


class RefusedError(Exception):
    """The token is not right; `reason` is one of our own words and safe to log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class UnverifiedToken:
    """A token in its parts, of which nothing has been proven yet."""

    text: str
    kid: str
    claims: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        """Who the token says issued it: to be looked up, never to be asked."""
        return text_claim(self.claims, "iss")


def taken_apart(token: str) -> UnverifiedToken:
    """Raise RefusedError for what is no JWT of the one form and algorithm that we take."""
    if len(token) > TOKEN_CHARS_MAX:
        raise RefusedError("too_long")
    segments = token.split(".")
    if len(segments) != 3 or not all(map(_SEGMENT.fullmatch, segments)):
        raise RefusedError("not_a_signed_jwt")
    kid = _checked_kid(_json_object(segments[0]))
    return UnverifiedToken(token, kid, _json_object(segments[1]))


def check_signature(token: UnverifiedToken, key: RSAPublicKey | None) -> None:
    """Raise RefusedError unless the issuer's key of the token's `kid` signed exactly this text."""
    if key is None:
        raise RefusedError("unknown_key")
    try:
        jwt.PyJWS().decode_complete(token.text, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError:
        raise RefusedError("signature") from None


def check_times(claims: Mapping[str, Any], now: datetime) -> None:
    """Raise RefusedError for a token that is not of this moment."""
    now_s = now.timestamp()
    not_before_s, issued_s, expires_s = (moment_s(claims, name) for name in ("nbf", "iat", "exp"))
    for ok, reason in (
        (not_before_s <= now_s + _SKEW_S, "not_yet_valid"),
        (issued_s <= now_s + _SKEW_S, "issued_in_future"),
        (expires_s >= now_s - _SKEW_S, "expired"),
    ):
        if not ok:
            raise RefusedError(reason)


def moment_s(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:
        raise RefusedError(f"no_{name}")
    return value


def text_claim(claims: Mapping[str, Any], name: str) -> str:
    """The claim if it is a string, else an empty string, which no rule accepts."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def words_claim(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """A claim that is a list of words; left out, it is empty."""
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RefusedError(name)
    return frozenset(value)


def object_id_of(claims: Mapping[str, Any]) -> str:
    object_id = text_claim(claims, "oid")
    if GUID.fullmatch(object_id) is None:
        raise RefusedError("object_id")
    return object_id


def authentication_of(claims: Mapping[str, Any], now: datetime) -> Authentication:
    """Authentication contexts and the moment of sign-in, as far as the token tells them."""
    contexts = words_claim(claims, "acrs") & CONTEXTS
    if "auth_time" not in claims:
        return Authentication(contexts)
    signed_in_s = moment_s(claims, "auth_time")
    if not 0 <= signed_in_s <= min(now.timestamp() + _SKEW_S, _MOMENT_S_MAX):
        raise RefusedError("auth_time")
    return Authentication(contexts, datetime.fromtimestamp(signed_in_s, UTC))


def _checked_kid(header: Mapping[str, Any]) -> str:
    if header.get("alg") != ALGORITHM:
        raise RefusedError("algorithm")
    if "crit" in header:  # it lists extensions that must be understood; we understand none
        raise RefusedError("critical_extension")
    token_type = header.get("typ", "JWT")
    if not isinstance(token_type, str) or token_type.lower() not in _TOKEN_TYPES:
        raise RefusedError("token_type")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise RefusedError("no_key_id")
    return kid


def _json_object(segment: str) -> dict[str, Any]:
    """Decode one segment; a repeated key, which two readers may read differently, is refused."""
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        parsed = json.loads(data.decode(), object_pairs_hook=_unique_pairs)
    except (ValueError, RecursionError):
        raise RefusedError("not_json") from None
    if not isinstance(parsed, dict):
        raise RefusedError("not_an_object")
    return parsed


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise RefusedError("repeated_key")
    return parsed
