"""The public half of somebody else's key: it says whose notes are genuine, and signs none."""

from shared.domain.signed_notes import Verifier
from shared.errors import InvariantBroken


class KnownNoteKey:
    """Implements the NoteSigner port, as far as anybody may."""

    def __init__(self, key: Verifier) -> None:
        self._key = key

    async def verifier(self) -> Verifier:
        return self._key

    async def sign(self, message: bytes) -> bytes:
        raise InvariantBroken("This key belongs to an app of its own: it signs there.")
