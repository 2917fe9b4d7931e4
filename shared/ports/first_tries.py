"""What clients without keys of their own have asked for, so that a repeat joins its first try."""

from typing import Protocol


class FirstTries(Protocol):
    """The key under which a person's request was tried first, by what was asked for."""

    async def note(self, user_key: str, request_hash: str, key: str) -> None:
        """Write it down before anything is admitted; a newer first try takes its place."""
        ...

    async def find(self, user_key: str, request_hash: str) -> str | None:
        """The key of the newest first try, unless it is too old for a repeat to be one of it."""
        ...
