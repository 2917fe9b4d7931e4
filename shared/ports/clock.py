"""Time and fresh identifiers."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time and fresh identifiers."""

    def now(self) -> datetime:
        """The current UTC time, timezone-aware."""
        ...

    def new_id(self) -> str:
        """128 random bits as 32 hex digits."""
        ...
