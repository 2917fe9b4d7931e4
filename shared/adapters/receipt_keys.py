"""Receipt signatures with P-256 keys from the settings (ES256, detached JWS)."""

import hashlib
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key
from jwt.algorithms import ECAlgorithm
from jwt.api_jws import PyJWS

from shared.errors import InvariantBroken

ALGORITHM = "ES256"


@dataclass(frozen=True)
class SettingsReceiptSigner:
    """Keys held in memory: the first signs, the others are still published."""

    private_keys: tuple[EllipticCurvePrivateKey, ...]

    async def sign(self, content: bytes) -> bytes:
        """Header and signature with the payload left out: RFC 7515, appendix F."""
        key = self.private_keys[0]
        headers = {"kid": public_jwk(key)["kid"], "typ": "JOSE"}
        compact = PyJWS().encode(content, key, algorithm=ALGORITHM, headers=headers)
        header, _, signature = compact.split(".")
        return f"{header}..{signature}".encode()

    def public_keys(self) -> Sequence[Mapping[str, str]]:
        return [public_jwk(key) for key in self.private_keys]


def load_signer(encoded_keys: Sequence[str]) -> SettingsReceiptSigner:
    """Keys as base64 of PKCS#8 DER: a PEM file's body on one line. InvariantBroken on others."""
    keys = []
    for encoded in encoded_keys:
        try:
            key = load_der_private_key(b64decode(encoded, validate=True), password=None)
        except ValueError as fault:
            raise InvariantBroken("A receipt key is no PKCS#8 private key.") from fault
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise InvariantBroken("A receipt key is not on the curve P-256.")
        keys.append(key)
    if not keys:
        raise InvariantBroken("There is no receipt key.")
    return SettingsReceiptSigner(tuple(keys))


def public_jwk(key: EllipticCurvePrivateKey) -> dict[str, str]:
    """The public half as a JWK; its id is the thumbprint of RFC 7638."""
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    required = {name: str(jwk[name]) for name in ("crv", "kty", "x", "y")}
    text = json.dumps(required, separators=(",", ":"), sort_keys=True)
    thumbprint = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    return required | {"kid": thumbprint.decode(), "alg": ALGORITHM, "use": "sig"}
