"""What operators look at."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.bookkeeping import Bookkeeping

if TYPE_CHECKING:
    from shared.services.provider_overview import ProviderOverview
    from shared.services.vitals import Vitals


class Observing(Bookkeeping):
    """What is measured for metrics, and how providers are."""

    @cached_property
    def provider_overview(self) -> "ProviderOverview":
        from shared.services.provider_overview import ProviderOverview

        return ProviderOverview(
            self.provider_health, self.token_buckets, self.provider_limits, self.clock
        )

    @cached_property
    def vitals(self) -> "Vitals":
        from shared.adapters.cosmos_ledger import CosmosLedger
        from shared.adapters.cosmos_records import CosmosRecords
        from shared.services.vitals import Vitals

        # The bare stores: counting needs no prompt opened.
        return Vitals(CosmosLedger(self.cosmos), CosmosRecords(self.cosmos), self.clock)
