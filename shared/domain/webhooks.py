"""Standard Webhooks (spec 1.0.0): secrets, signatures and headers.

The receiver gets `webhook-id` (the same on each retry), `webhook-timestamp` (of the try) and
`webhook-signature`: one `v1,` signature of `id.timestamp.body` for every secret that is valid.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import InvariantBroken

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the spec's prefix, not a secret
SECRET_BYTES: Final = 32  # the spec asks for 24 to 64
BODY_BYTES_MAX: Final = 20_000  # the spec's advice; ours stay below 1,000


@dataclass(frozen=True)
class Message:
    """One message; its body is made once, because what is signed must be what is sent."""

    message_id: str
    body: bytes


def make_message(message_id: str, kind: str, timestamp: str, data: Mapping[str, Any]) -> Message:
    """A message in the shape of the spec; `kind` is the event type, e.g. `budget.alert`."""
    if "." in message_id:
        raise InvariantBroken("A webhook id with a full stop would make its signature ambiguous.")
    payload = {"type": kind, "timestamp": timestamp, "data": dict(data)}
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    if len(body) > BODY_BYTES_MAX:
        raise InvariantBroken("A webhook body is larger than receivers expect.")
    return Message(message_id, body)


def secret_of(key: bytes) -> str:
    """A signing key as receivers write it down."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The signing key in a secret; raises InvariantBroken on anything else."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise InvariantBroken("A stored webhook secret is not readable.") from None


def signature(secret: str, message: Message, timestamp_s: int) -> str:
    """`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`."""
    signed = f"{message.message_id}.{timestamp_s}.".encode() + message.body
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(secrets: Sequence[str], message: Message, timestamp_s: int) -> dict[str, str]:
    """The headers of one try, signed with every secret that is still valid."""
    if not secrets:
        raise InvariantBroken("A webhook without a secret is never sent.")
    return {
        "content-type": "application/json",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signature(each, message, timestamp_s) for each in secrets),
    }
