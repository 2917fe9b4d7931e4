"""What storing pictures, and bringing one back from the archive, costs today, in AUD."""

from dataclasses import dataclass

from shared.domain.money import ExchangeRate, aud_micros
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.rehydrations import HOURS_MAX
from shared.domain.storage_prices import (
    PRIORITIES,
    Priority,
    StorageCatalogue,
    StorageCosts,
    StoragePrices,
)
from shared.domain.storage_tiers import LifecyclePolicy, StoredBlob
from shared.domain.storage_views import RehydrationPriceView
from shared.ports import Clock


@dataclass(frozen=True)
class RehydrationQuote:
    """One price and where it came from; micro-AUD and micro-USD."""

    amount_micros: int
    usd_micros: int
    online_days: int
    prices: StoragePrices
    rate: ExchangeRate


@dataclass(frozen=True)
class StorageTariff:
    """The storage prices and the exchange rate of the day."""

    storage_prices: StorageCatalogue
    catalogues: PriceCatalogues
    policy: LifecyclePolicy
    clock: Clock

    def costs(self) -> tuple[StorageCosts, ExchangeRate]:
        """What stored bytes cost today."""
        now = self.clock.now()
        rate = self.catalogues.at(now).exchange_rate
        return StorageCosts(self.storage_prices.at(now), rate.aud_per_usd_micros), rate

    def rehydration(self, blob: StoredBlob, priority: Priority) -> RehydrationQuote:
        """Retrieval, early deletion and the days the picture stays online."""
        now = self.clock.now()
        prices, rate = self.storage_prices.at(now), self.catalogues.at(now).exchange_rate
        online_days = self.policy.online_days(blob)
        archived_days = max(0, (now - (blob.tier_changed or blob.created)).days)
        usd = prices.rehydration_usd_micros(blob.size_bytes, priority, archived_days, online_days)
        amount = aud_micros(usd, rate.aud_per_usd_micros)
        return RehydrationQuote(amount, usd, online_days, prices, rate)

    def rehydration_prices(self, blob: StoredBlob) -> tuple[RehydrationPriceView, ...]:
        """The choices somebody has who wants a picture back."""
        quotes = {priority: self.rehydration(blob, priority) for priority in PRIORITIES}
        return tuple(
            RehydrationPriceView(
                priority=priority,
                amount_micros=quote.amount_micros,
                hours_max=HOURS_MAX[priority],
                price_version=quote.prices.version,
                price_status=quote.prices.status,
            )
            for priority, quote in quotes.items()
        )
