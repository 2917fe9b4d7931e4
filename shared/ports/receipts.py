"""Signatures under receipts."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class ReceiptSigner(Protocol):
    """Signs the exact bytes of a receipt, so that anybody can check them without asking us."""

    async def sign(self, content: bytes) -> bytes:
        """A detached JWS (RFC 7515, appendix F; ES256) whose header names the key."""
        ...

    def public_keys(self) -> Sequence[Mapping[str, str]]:
        """The public keys as JWKs: the one that signs first, then those that signed before."""
        ...
