"""AES-256-GCM for texts and AES-SIV for what must stay comparable (RFC 5297)."""

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.domain.data_keys import DATA_KEY_BYTES
from shared.domain.sealed_fields import NONCE_BYTES
from shared.errors import InvariantBroken

SIV_KEY_BYTES = 64  # AES-256 twice: one half authenticates, the other encrypts
_NOT_OURS = "A sealed field does not belong to its place, or was changed."


@dataclass(frozen=True)
class AesFieldCipher:
    """Implements the FieldCipher port."""

    def new_key(self) -> bytes:
        return os.urandom(DATA_KEY_BYTES)

    def seal(self, key: bytes, text: str, bound_to: bytes) -> tuple[bytes, bytes]:
        nonce = os.urandom(NONCE_BYTES)
        # A lone surrogate is no Unicode text, but JSON can carry it.
        return nonce, AESGCM(key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), bound_to)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, bound_to: bytes) -> str:
        try:
            text = AESGCM(key).decrypt(nonce, ciphertext, bound_to)
        except InvalidTag:
            raise InvariantBroken(_NOT_OURS) from None
        return text.decode("utf-8", "surrogatepass")

    def disguise(self, key: bytes, text: str, bound_to: bytes) -> bytes:
        return AESSIV(_siv_key(key)).encrypt(text.encode(), [bound_to])

    def reveal(self, key: bytes, ciphertext: bytes, bound_to: bytes) -> str:
        try:
            return AESSIV(_siv_key(key)).decrypt(ciphertext, [bound_to]).decode()
        except InvalidTag:
            raise InvariantBroken(_NOT_OURS) from None


def _siv_key(key: bytes) -> bytes:
    """A key of its own for the other cipher: one key must not serve two."""
    return HKDF(SHA256(), SIV_KEY_BYTES, salt=None, info=b"comparable fields").derive(key)
