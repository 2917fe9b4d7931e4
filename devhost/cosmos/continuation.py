"""Continuation tokens: a position in one result, sealed so that no other query accepts it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from devhost.cosmos.errors import ServiceError, bad_request

SEAL_BYTES = 12  # enough that no mangled token passes; this is no secret against an attacker

Position = dict[str, Any]


def fingerprint(*parts: Any) -> bytes:
    """What the token belongs to: container, query text, parameters and scope."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def seal(owner: bytes, position: Position) -> str:
    payload = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_seal_of(owner, payload) + payload).decode()


def unseal(owner: bytes, token: str) -> Position:
    """The position inside a token; raises 400 unless it was sealed for this owner."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    mark, payload = raw[:SEAL_BYTES], raw[SEAL_BYTES:]
    if not hmac.compare_digest(mark, _seal_of(owner, payload)):
        raise _invalid()
    position: Position = json.loads(payload)
    return position


def _seal_of(owner: bytes, payload: bytes) -> bytes:
    return hmac.digest(owner, payload, "sha256")[:SEAL_BYTES]


def _invalid() -> ServiceError:
    return bad_request("Invalid Continuation Token: it is malformed or belongs to another query.")
