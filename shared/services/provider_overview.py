"""Shows operators how each provider is, what is left of its limits and who waits for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.domain import vitals
from shared.domain.identity import Caller, Permission, Reach, require_reach
from shared.domain.models import MODELS
from shared.domain.provider_health import ProviderHealth
from shared.domain.provider_views import (
    ProviderLimitView,
    ProviderList,
    ProviderView,
    waiting_views,
)
from shared.domain.token_buckets import Want
from shared.domain.vitals import Reading
from shared.ports import Clock
from shared.services.provider_gate import BUCKETS, GateLimit, partition_of_provider
from shared.services.provider_health import ProviderHealths
from shared.services.token_buckets import TokenBuckets

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ProviderOverview:
    """Reads only."""

    health: ProviderHealths
    buckets: TokenBuckets
    limits: Mapping[str, GateLimit]
    clock: Clock

    async def list(self, caller: Caller) -> ProviderList:
        """Every provider, for those who may look after them."""
        require_reach(
            caller,
            Permission.PROVIDERS_READ,
            Reach.DEPARTMENT,
            "Only managers and administrators see how providers are.",
        )
        return await self.views()

    async def views(self) -> ProviderList:
        """Every provider as it stands."""
        health = await self.health.snapshot()
        return ProviderList(items=tuple([await self._view(health[each]) for each in self.limits]))

    async def readings(self) -> Sequence[Reading]:
        """The same for those who watch figures."""
        found = []
        for view in (await self.views()).items:
            named = {"provider": view.provider}
            waits_s = [each.oldest_wait_s for each in view.waiting]
            found.append(Reading(vitals.PROVIDER_OPEN, int(view.state != "closed"), named))
            found.append(Reading(vitals.PROVIDER_WAIT, int(max(waits_s, default=0)), named))
            if view.latency_s is not None:
                latency_ms = round(view.latency_s * 1_000)
                found.append(Reading(vitals.PROVIDER_LATENCY, latency_ms, named))
        return found

    async def _view(self, health: ProviderHealth) -> ProviderView:
        limit = self.limits[health.provider]
        models = tuple(name for name, row in MODELS.items() if row.provider == health.provider)
        quotas = {each.name: quota for name in models for each, quota in limit.quotas(name)}
        buckets = {each.name: each for name in models for each, _ in limit.quotas(name)}
        partition = partition_of_provider(health.provider)
        standings = await self.buckets.standings(
            partition, [Want(BUCKETS, each, 1) for each in buckets.values()]
        )
        (document,) = await self.buckets.documents(partition, [BUCKETS])
        now_us = (self.clock.now() - _EPOCH) // timedelta(microseconds=1)
        return ProviderView.of(
            health,
            models,
            tuple(ProviderLimitView.of(each, quotas[each.limit.name]) for each in standings),
            waiting_views(document.line, now_us),
            limit.concurrent_max,
        )
