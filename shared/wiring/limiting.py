"""Limits: token buckets that all workers share, of people and of providers, and their health."""

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.alerting import Alerting

if TYPE_CHECKING:
    from shared.ports.provider_health import ProviderHealthStore
    from shared.services.provider_gate import GateLimit, ProviderGate
    from shared.services.provider_health import ProviderHealths
    from shared.services.provider_notices import ProviderNotices
    from shared.services.rate_limits import RateLimits
    from shared.services.token_buckets import TokenBuckets


class Limiting(Alerting):
    """What providers and people may ask for, and how providers are."""

    @cached_property
    def token_buckets(self) -> "TokenBuckets":
        from shared.adapters.cosmos_token_buckets import CosmosTokenBuckets
        from shared.services.token_buckets import TokenBuckets

        return TokenBuckets(CosmosTokenBuckets(self.cosmos), self.clock)

    @cached_property
    def rate_limits(self) -> "RateLimits":
        from shared.domain.rate_limits import RateTerms
        from shared.services.rate_limits import RateLimits

        s = self.settings
        terms = RateTerms(
            images_per_hour={
                "free": s.rate_free_images_per_hour,
                "standard": s.rate_standard_images_per_hour,
            },
            burst_percent=s.rate_burst_percent,
            department_images_per_day=s.rate_department_images_per_day,
            spend_micros_per_minute=s.rate_spend_micros_per_minute,
        )
        return RateLimits(self.token_buckets, terms, self.ledger, self.clock)

    @cached_property
    def provider_health_store(self) -> "ProviderHealthStore":
        from shared.adapters.cosmos_provider_health import CosmosProviderHealth

        return CosmosProviderHealth(self.cosmos)

    @cached_property
    def provider_health(self) -> "ProviderHealths":
        from shared.services.provider_health import ProviderHealths

        open_for = timedelta(seconds=self.settings.provider_open_s)
        return ProviderHealths(
            self.provider_health_store, self.clock, tuple(self.provider_limits), open_for
        )

    @cached_property
    def provider_notices(self) -> "ProviderNotices":
        from shared.services.provider_notices import ProviderNotices

        return ProviderNotices(
            self.provider_health_store, self.alert_store, self.alerts, self.directory
        )

    @cached_property
    def provider_limits(self) -> "dict[str, GateLimit]":
        """The settings of a provider carry its name; a day's limit is in its capability rows."""
        from shared.domain.models import MODELS
        from shared.services.provider_gate import GateLimit

        s = self.settings
        per_day: dict[str, int] = {}
        for row in MODELS.values():
            if row.starts_per_day is not None:
                per_day[row.provider] = min(
                    row.starts_per_day, per_day.get(row.provider, row.starts_per_day)
                )
        return {
            name: GateLimit(
                concurrent_max=getattr(s, f"{name}_concurrent_max"),
                starts_per_minute=getattr(s, f"{name}_starts_per_minute"),
                starts_per_day=per_day.get(name),
                model_starts_per_minute=s.model_starts_per_minute,
            )
            for name in self.providers
        }

    @cached_property
    def gate(self) -> "ProviderGate":
        from shared.services.provider_gate import ProviderGate

        return ProviderGate(
            self.provider_limits, self.clock, self.token_buckets, self.provider_health
        )
