"""Wrapping keys in a local file, for development: Key Vault holds them in Azure.

Each line is a version and the base64 of 32 random bytes; the first line wraps, all unwrap. The file
is read again when it changes, so that a version can be added while the app runs.
"""

from base64 import b64decode
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from shared.domain.data_keys import WrappedKey
from shared.errors import InvariantBroken

ALGORITHM = "A256KW"  # RFC 3394, as a Managed HSM does it
KEY_BYTES = 32
VERSIONS_MAX = 100  # a bound on what a damaged file can make us read
_PREFIX = "local:"


class LocalKeyFile:
    """Implements the KeyWrapper port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, bytes] = {}
        self._read_at_ns = -1

    async def newest(self) -> str:
        return next(iter(self._versions()))

    async def wrap(self, secret: bytes) -> WrappedKey:
        version, key = next(iter(self._versions().items()))
        return WrappedKey(version, ALGORITHM, aes_key_wrap(key, secret))

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        key = self._versions().get(wrapped.kek)
        if key is None or wrapped.algorithm != ALGORITHM:
            raise InvariantBroken("The key file has no such version of the wrapping key.")
        try:
            return aes_key_unwrap(key, wrapped.wrapped)
        except (InvalidUnwrap, ValueError):
            raise InvariantBroken("A data key was not wrapped by the version it names.") from None

    async def aclose(self) -> None:
        """Nothing is open."""

    def _versions(self) -> dict[str, bytes]:
        """The keys by version, the newest first; the file has a few hundred bytes."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._read_at_ns:
                self._keys = _parse(self._path.read_text("ascii"))
                self._read_at_ns = changed_ns
        except (OSError, ValueError):
            raise InvariantBroken("The file of wrapping keys cannot be read.") from None
        return self._keys


def _parse(text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for fields in lines[:VERSIONS_MAX]:
        version, encoded = fields  # a ValueError if there are not two
        key = b64decode(encoded, validate=True)
        if len(key) != KEY_BYTES or f"{_PREFIX}{version}" in keys:
            raise ValueError("not a version of a key")
        keys[f"{_PREFIX}{version}"] = key
    if not keys:
        raise ValueError("no key")
    return keys
