"""The real clock and the real randomness; nothing else in the app may read either."""

from datetime import UTC, datetime
from uuid import uuid4


class SystemClock:
    """Implements the Clock port."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return uuid4().hex
