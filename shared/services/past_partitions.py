"""The ledger partitions that something about a past day may lie in."""

from datetime import date, datetime

from shared.domain.ids import Partition
from shared.ports import Directory
from shared.services.calendars import Calendars


async def partitions_since(
    day: date, now: datetime, directory: Directory, calendars: Calendars
) -> list[Partition]:
    """Every department's periods from the one before that of `day` to the present one."""
    found = []
    for department_id in await directory.departments():
        calendar = await calendars.of(department_id)
        newest = calendar.period_at(now)
        period = calendar.period_at(day)
        periods = [calendar.previous(period)]
        while period <= newest:
            periods.append(period)
            period = calendar.following(period)
        found += [Partition(department_id, each) for each in periods]
    return found
