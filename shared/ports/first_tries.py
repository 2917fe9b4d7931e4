"""What clients without keys of their own have asked for, so that a repeat joins its first try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class FirstTry:
    """A key of ours that a request stands under, and the number of its last repeat, from 1."""

    key: str
    repeats: int = 0


class FirstTries(Protocol):
    """The first tries of a person, by what was asked for; they are forgotten after a while."""

    async def note(self, user_key: str, request_hash: str, first: FirstTry) -> None:
        """Write one down; what others have asked for in the same words stands beside it."""
        ...

    async def newest(self, user_key: str, request_hash: str) -> Sequence[FirstTry]:
        """Those that a client may still repeat, newest first."""
        ...

    async def claim(self, user_key: str, request_hash: str, seen: FirstTry, number: int) -> bool:
        """Be the repeat of this number; False if another repeat was faster."""
        ...
