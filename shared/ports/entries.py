"""Ledger entries, for reports and statements."""

from collections.abc import AsyncIterator
from typing import Protocol

from shared.domain.entries import Entry
from shared.domain.ids import Partition


class Entries(Protocol):
    """What was booked; read only, never a cache."""

    def of(self, partition: Partition, user_key: str | None = None) -> AsyncIterator[Entry]:
        """Every entry of a period in the order of ids, page by page; one person's if named."""
        ...
