"""A clock that a test sets, with predictable identifiers."""

import hashlib
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)  # mid-month, so that no period ends by accident


class FakeClock:
    """Stands still until it is told to move."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start
        self._ids = 0

    def now(self) -> datetime:
        return self._now

    def new_id(self) -> str:
        self._ids += 1
        return hashlib.md5(str(self._ids).encode()).hexdigest()

    def set(self, moment: datetime) -> None:
        self._now = moment

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
