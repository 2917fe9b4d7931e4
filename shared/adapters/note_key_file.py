"""A note key in a file of this machine (PKCS#8 PEM, P-256): for the local cloud and for tests."""

from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from shared.domain.signed_notes import Verifier
from shared.errors import InvariantBroken


class FileNoteSigner:
    """Implements the NoteSigner port."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path

    async def verifier(self) -> Verifier:
        public_key = self._key.public_key()
        return Verifier(
            self._name, public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

    async def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        try:
            key = load_pem_private_key(self._path.read_bytes(), password=None)
        except (OSError, ValueError) as fault:
            raise InvariantBroken("The key file of the audit log is missing or no key.") from fault
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise InvariantBroken("The key of the audit log is not on the curve P-256.")
        return key
