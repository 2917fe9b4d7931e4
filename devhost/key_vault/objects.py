"""What a vault holds: secrets and keys, each with versions, the newest last."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384"}
RSA_BITS = 2_048  # quick to make; the service's default is the same


@dataclass
class Secret:
    """A secret and its versions; a disabled one is refused, a deleted one is not found."""

    versions: dict[str, str] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    deleted: bool = False

    def add(self, value: str) -> str:
        version = secrets.token_hex(16)
        self.versions[version] = value
        return version


@dataclass
class Key:
    """A key and its versions, all of one kind."""

    versions: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = field(
        default_factory=dict
    )
    disabled: set[str] = field(default_factory=set)

    def add_rsa(self) -> str:
        return self.add(rsa.generate_private_key(65_537, RSA_BITS))

    def add(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
        version = secrets.token_hex(16)
        self.versions[version] = key
        return version


def public_part(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """The JSON Web Key of a key's public half, with what it may be used for."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "key_ops": ["wrapKey", "unwrapKey"],
            "n": encoded(numbers.n.to_bytes(key.key_size // 8, "big")),
            "e": encoded(numbers.e.to_bytes(3, "big")),
        }
    point, size = key.public_key().public_numbers(), key.key_size // 8
    return {
        "kty": "EC",
        "key_ops": ["sign", "verify"],
        "crv": CURVES[key.curve.name],
        "x": encoded(point.x.to_bytes(size, "big")),
        "y": encoded(point.y.to_bytes(size, "big")),
    }


def operate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, operation: str, algorithm: str, value: str
) -> str | None:
    """Wrap, unwrap or sign; None where this key cannot do that by this algorithm."""
    given = base64.urlsafe_b64decode(value + "==")
    if isinstance(key, rsa.RSAPrivateKey):
        if algorithm != "RSA-OAEP-256" or operation not in ("wrapkey", "unwrapkey"):
            return None
        if operation == "wrapkey":
            return encoded(key.public_key().encrypt(given, OAEP))
        return encoded(key.decrypt(given, OAEP))
    if (operation, algorithm) != ("sign", "ES256") or key.curve.name != "secp256r1":
        return None
    signature = key.sign(given, ec.ECDSA(Prehashed(hashes.SHA256())))
    return encoded(b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(signature)))


def encoded(value: bytes) -> str:
    """Base64 for URLs without padding, as the service writes bytes."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
