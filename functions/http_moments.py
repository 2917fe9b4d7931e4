"""Moments in requests."""

from datetime import UTC, datetime
from typing import Final

YEAR_MIN: Final = 2000
YEAR_MAX: Final = 2199  # far from the ends of the calendar, where a change to UTC would overflow


def checked_moment(value: datetime | None) -> datetime | None:
    """An aware moment in UTC; raise ValueError for one that nobody can mean."""
    if value is None:
        return None
    if not YEAR_MIN <= value.year <= YEAR_MAX:
        raise ValueError(f"choose a moment in the years {YEAR_MIN} to {YEAR_MAX}")
    return value.astimezone(UTC)
