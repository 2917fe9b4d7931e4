"""What a department stores, by tier, and what the lifecycle rules make of it in twelve months.

Blobs of the same day, tier and tags fare alike, so they are counted together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from shared.domain.blob_paths import HELD, HOLD_TAG, IMAGES_CONTAINER, new_tags
from shared.domain.storage_tiers import TIERS, LifecyclePolicy, StoredBlob, Tier

MONTHS: Final = 12
GROWTH_DAYS: Final = 30  # what was made in so many days is taken for what a month will bring

Bytes = Mapping[Tier, int]


@dataclass(frozen=True)
class Month:
    """Bytes of each tier times days: of what is stored today, and with what will be added."""

    starts_on: date
    ends_before: date
    byte_days: Bytes
    byte_days_with_growth: Bytes

    @property
    def days(self) -> int:
        return (self.ends_before - self.starts_on).days


@dataclass
class Inventory:
    """What is stored now, counted blob by blob."""

    now: datetime
    blobs: dict[Tier, int] = field(default_factory=lambda: dict.fromkeys(TIERS, 0))
    size_bytes: dict[Tier, int] = field(default_factory=lambda: dict.fromkeys(TIERS, 0))
    held_blobs: int = 0
    recent_bytes: int = 0  # made in the last GROWTH_DAYS
    _alike: dict[tuple[object, ...], StoredBlob] = field(default_factory=dict)

    def add(self, blob: StoredBlob) -> None:
        self.blobs[blob.tier] += 1
        self.size_bytes[blob.tier] += blob.size_bytes
        self.held_blobs += blob.tags.get(HOLD_TAG) == HELD
        if self.now - blob.created <= timedelta(days=GROWTH_DAYS):
            self.recent_bytes += blob.size_bytes
        container = blob.path.partition("/")[0]
        days = tuple(
            each and each.date() for each in (blob.created, blob.modified, blob.tier_changed)
        )
        key = (container, blob.tier, *days, tuple(sorted(blob.tags.items())))
        standing = self._alike.get(key)
        if standing is not None:
            blob = replace(standing, size_bytes=standing.size_bytes + blob.size_bytes)
        self._alike[key] = blob

    def forecast(self, policy: LifecyclePolicy, retention_class: str) -> Sequence[Month]:
        """The twelve months from today, month by month."""
        starts = [_months_later(self.now.date(), number) for number in range(MONTHS + 1)]
        stored = _byte_days(policy, self._alike.values(), self.now, starts)
        added = _byte_days(policy, self._added(retention_class, starts), self.now, starts)
        return [
            Month(
                starts_on=starts[number],
                ends_before=starts[number + 1],
                byte_days=stored[number],
                byte_days_with_growth={
                    tier: stored[number][tier] + added[number][tier] for tier in TIERS
                },
            )
            for number in range(MONTHS)
        ]

    def _added(self, retention_class: str, starts: Sequence[date]) -> Iterable[StoredBlob]:
        """The pictures of each month to come, as if all were made on its first day."""
        for start in starts[:-1]:
            made = datetime.combine(start, time(), UTC)
            yield StoredBlob(
                path=f"{IMAGES_CONTAINER}/",
                tier="hot",
                size_bytes=self.recent_bytes,
                created=made,
                modified=made,
                tags=new_tags(retention_class),
            )


def _byte_days(
    policy: LifecyclePolicy, blobs: Iterable[StoredBlob], now: datetime, starts: Sequence[date]
) -> list[dict[Tier, int]]:
    """Bytes times days in each month and tier; a run on each day of the forecast."""
    today = now.date()
    ends = [(start - today).days for start in starts]
    months: list[dict[Tier, int]] = [dict.fromkeys(TIERS, 0) for _ in starts[1:]]
    for blob in blobs:
        day = max(0, (blob.created.date() - today).days)
        tier: Tier | None = blob.tier
        for change in (*policy.changes(blob, now, ends[-1]), None):
            until = change.run if change else ends[-1]
            for number, month in enumerate(months):
                days = min(until, ends[number + 1]) - max(day, ends[number])
                if tier is not None and days > 0:
                    month[tier] += blob.size_bytes * days
            if change is not None:
                tier = None if change.target == "deleted" else change.target
                day = change.run
    return months


def _months_later(day: date, months: int) -> date:
    """The same day so many months later; the 28th for the days that some months lack."""
    month = day.month - 1 + months
    return date(day.year + month // 12, month % 12 + 1, min(day.day, 28) if months else day.day)
