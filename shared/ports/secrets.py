"""Credentials for other systems."""

from typing import Protocol


class Secret(Protocol):
    """One credential, read when it is needed; a rotation is noticed without a restart."""

    async def value(self) -> str:
        """The value to send now; raise Unavailable while it cannot be read."""
        ...

    async def renewed(self, refused: str) -> str | None:
        """Another value than the one that was just refused; None when there is no newer one."""
        ...
