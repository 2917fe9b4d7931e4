"""What storing and retrieving blobs costs: dated price rows in micro-USD, of one region."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from math import ceil
from typing import Any, Final, Literal, get_args

from shared.domain.money import aud_micros, checked_micros
from shared.domain.storage_tiers import TIERS, Tier
from shared.errors import Invalid, InvariantBroken

Priority = Literal["standard", "high"]
PriceStatus = Literal["planning", "published"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
GIB: Final = 1024**3  # Azure bills binary gigabytes and calls them GB
MONTH_DAYS: Final = 30  # of a price per month, when days of it are charged
OPERATIONS: Final = 10_000  # what operations are priced by


@dataclass(frozen=True)
class RetrievalPrice:
    """Bringing blobs back from the archive."""

    usd_micros_per_gib: int
    usd_micros_per_10k: int


@dataclass(frozen=True)
class StoragePrices:
    """The prices in force from `as_of` (00:00 UTC) until the next version."""

    version: str
    as_of: str
    status: PriceStatus  # planning: nobody has compared it with an invoice
    source: str
    usd_micros_per_gib_month: Mapping[Tier, int]
    retrieval: Mapping[Priority, RetrievalPrice]
    archive_days_min: int  # what leaves the archive earlier pays for the rest of these days
    cold_days_min: int  # and so does what leaves the cold tier, where rehydrated blobs wait

    def month_usd_micros(self, tier: Tier, byte_days: int, days: int) -> int:
        """Storing for a month of so many days, from the bytes of each day; rounded up."""
        return ceil(Fraction(byte_days * self.usd_micros_per_gib_month[tier], GIB * days))

    def rehydration_usd_micros(
        self, size_bytes: int, priority: Priority, archived_days: int, online_days: int
    ) -> int:
        """Retrieval, one operation, early deletion, the days in the cold tier; rounded up once."""
        retrieval = self.retrieval[priority]
        early = self.usd_micros_per_gib_month["archive"] * max(
            0, self.archive_days_min - archived_days
        )
        online = self.usd_micros_per_gib_month["cold"] * max(online_days, self.cold_days_min)
        per_gib = retrieval.usd_micros_per_gib + Fraction(early + online, MONTH_DAYS)
        operation = Fraction(retrieval.usd_micros_per_10k, OPERATIONS)
        return ceil(per_gib * size_bytes / GIB + operation)


class StorageCosts:
    """Puts prices on bytes: dated micro-USD, turned into micro-AUD at the rate of the day."""

    def __init__(self, prices: StoragePrices, aud_per_usd_micros: int) -> None:
        self.prices = prices
        self._rate = aud_per_usd_micros

    def month(self, byte_days: Mapping[Tier, int], days: int) -> int:
        """micro-AUD of a month, each tier rounded up as it would be invoiced."""
        return sum(self.tier(tier, byte_days[tier], days) for tier in TIERS)

    def tier(self, tier: Tier, byte_days: int, days: int) -> int:
        return aud_micros(self.prices.month_usd_micros(tier, byte_days, days), self._rate)


@dataclass(frozen=True)
class StorageCatalogue:
    """Every version of the storage prices, oldest first."""

    versions: tuple[StoragePrices, ...]

    def at(self, moment: datetime) -> StoragePrices:
        """The prices in force; Invalid `unpriced` if there are none."""
        day = moment.astimezone(UTC).date()
        begun = [each for each in self.versions if date.fromisoformat(each.as_of) <= day]
        if not begun:
            raise Invalid("No storage prices are in force on this day.", code="unpriced")
        return begun[-1]


def parse_storage_prices(document: Mapping[str, Any]) -> StorageCatalogue:
    """Read the catalogue; InvariantBroken on anything that is amiss."""
    try:
        versions = tuple(_version(each) for each in document["versions"])
        days = [date.fromisoformat(each.as_of) for each in versions]
    except (KeyError, TypeError, ValueError) as fault:
        raise InvariantBroken("The storage prices are malformed.") from fault
    if not versions or sorted(set(days)) != days:
        raise InvariantBroken("Versions of storage prices repeat or are out of order.")
    return StorageCatalogue(versions)


def _version(document: Mapping[str, Any]) -> StoragePrices:
    prices = StoragePrices(
        **{
            **document,
            "retrieval": {
                name: RetrievalPrice(**each) for name, each in document["retrieval"].items()
            },
        }
    )
    if set(prices.usd_micros_per_gib_month) != set(TIERS) or set(prices.retrieval) != set(
        PRIORITIES
    ):
        raise ValueError("a price is missing")
    days = (prices.archive_days_min, prices.cold_days_min)
    if prices.status not in get_args(PriceStatus) or any(type(each) is not int for each in days):
        raise ValueError("a field has a value that it cannot have")
    for amount in prices.usd_micros_per_gib_month.values():
        checked_micros(amount, "usd_micros_per_gib_month")
    for each in prices.retrieval.values():
        checked_micros(each.usd_micros_per_gib, "usd_micros_per_gib")
        checked_micros(each.usd_micros_per_10k, "usd_micros_per_10k")
    return prices
