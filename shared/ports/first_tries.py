"""What clients without keys of their own have asked for, so that a repeat joins its first try."""

from typing import Protocol


class FirstTries(Protocol):
    """The key under which a person's request stands, by what was asked for."""

    async def of_first(self, user_key: str, request_hash: str, key: str) -> str:
        """The key of a first try, before it is admitted: the one given, and the newest from now on.

        The key of its own repeat if that overtook it.
        """
        ...

    async def of_repeat(self, user_key: str, request_hash: str, key: str) -> str:
        """The key of the first try that this repeats; the one given if none has come (yet)."""
        ...
