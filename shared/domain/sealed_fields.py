"""A sealed field: what stands in a stored document in the place of a text, and what binds it there.

    {"v": 1, "alg": "A256GCM", "kid": "1", "nonce": "<base64>", "ct": "<base64>"}

The associated data names tenant, document, field, schema version and key, so that a ciphertext that
was copied to another place does not open there. `kid` is the number of the person's data key.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from shared.errors import InvariantBroken

SCHEMA_VERSION: Final = 1
ALGORITHM: Final = "A256GCM"
NONCE_BYTES: Final = 12  # NIST SP 800-38D: 96 random bits, for at most 2^32 texts under one key
TAG_BYTES: Final = 16
ERASED: Final = "[erased]"  # shown for a text whose key was destroyed; no request may say this
_NAMES: Final = frozenset({"v", "alg", "kid", "nonce", "ct"})
_SEPARATOR: Final = "|"


@dataclass(frozen=True)
class Subject:
    """The person whose texts a data key seals; `user_key` is "{tenant_id}.{object_id}"."""

    tenant_id: str
    user_key: str


@dataclass(frozen=True)
class SealedField:
    """A ciphertext with what it takes to open it, apart from the key."""

    key_number: int
    nonce: bytes
    ciphertext: bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "v": SCHEMA_VERSION,
            "alg": ALGORITHM,
            "kid": str(self.key_number),
            "nonce": b64encode(self.nonce).decode(),
            "ct": b64encode(self.ciphertext).decode(),
        }


def is_sealed(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a stored value is an envelope and not a text."""
    return isinstance(value, Mapping)


def read_sealed(value: Mapping[str, Any]) -> SealedField:
    """The envelope of a stored value; InvariantBroken if it has another form or algorithm."""
    if set(value) != _NAMES or (value["v"], value["alg"]) != (SCHEMA_VERSION, ALGORITHM):
        raise InvariantBroken("A sealed field has an unknown form.")
    try:
        sealed = SealedField(
            key_number=_number(value["kid"]),
            nonce=b64decode(value["nonce"], validate=True),
            ciphertext=b64decode(value["ct"], validate=True),
        )
    except (TypeError, ValueError, binascii.Error):
        raise InvariantBroken("A sealed field has an unknown form.") from None
    if len(sealed.nonce) != NONCE_BYTES or len(sealed.ciphertext) < TAG_BYTES:
        raise InvariantBroken("A sealed field has an unknown form.")
    return sealed


def binding(subject: Subject, document_id: str, field: str, key_number: int) -> bytes:
    """The associated data of a field: no two places in the store have the same."""
    parts = (subject.tenant_id, document_id, field, str(SCHEMA_VERSION), str(key_number))
    if any(_SEPARATOR in part for part in parts):
        raise InvariantBroken("A name that binds a sealed field holds the separator.")
    return _SEPARATOR.join(parts).encode()


def _number(text: object) -> int:
    """A key number in its one spelling: "1" and not "01" or "+1"."""
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or text[0] == "0":
        raise ValueError("not a key number")
    return int(text)
