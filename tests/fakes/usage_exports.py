"""A provider's export in memory."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from shared.domain.reconciliation import BilledLine


class FakeUsageExport:
    """Lines by day; a day that was never given has no export yet."""

    def __init__(self, provider: str = "azure_openai") -> None:
        self.provider = provider
        self.days: dict[date, list[BilledLine]] = {}

    def bill(self, *lines: BilledLine) -> None:
        for line in lines:
            self.days.setdefault(line.day, []).append(line)

    async def read(self, first: date, last: date) -> Mapping[date, Sequence[BilledLine]]:
        wanted = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return {day: tuple(self.days[day]) for day in wanted if day in self.days}
