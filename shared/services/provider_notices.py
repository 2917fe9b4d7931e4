"""Tells every organisation that a provider's breaker has opened or closed: once each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.ids import Partition
from shared.domain.provider_health import HEALTH_PARTITION
from shared.domain.provider_notices import BreakerChange, provider_notice
from shared.ports import Directory
from shared.ports.alerts import AlertStore
from shared.ports.provider_health import ProviderHealthStore
from shared.services.alerts import Alerts

CHANGES_MAX = 50  # announced in one run; the oldest come first, the rest 15 seconds later

logger = logging.getLogger("eig.alerts")


@dataclass(frozen=True)
class ProviderNotices:
    """Makes notices of what the breakers' transactions have left; deliveries are the alerts'."""

    health: ProviderHealthStore
    store: AlertStore
    alerts: Alerts
    directory: Directory

    async def announce(self) -> int:
        """Make the notices that are missing; how many. Never raises: the next run goes on."""
        made = 0
        try:
            changes = await self.health.changes(CHANGES_MAX)
            tenants = await self._tenants() if changes else ()
        except Exception:
            logger.exception("changes of providers not read")
            return 0
        for change in changes:
            try:
                made += await self._announce(change, tenants)
            except Exception:  # one bad change must not hold up the others
                logger.exception("a change of a provider not announced")
        return made

    def partitions(self) -> Sequence[Partition]:
        """Where notices lie, and deliveries of them may have to be started."""
        return [HEALTH_PARTITION]

    async def _announce(self, change: BreakerChange, tenants: Sequence[str]) -> int:
        made = 0
        for tenant_id in tenants:
            channels = await self.alerts.addressed(None, tenant_id, change.kind)
            if channels:  # an organisation that has none is told nothing, also later
                notice = provider_notice(change, tenant_id, channels)
                made += await self.store.announce_once(notice)
        await self.health.announced(change)
        return made

    async def _tenants(self) -> Sequence[str]:
        departments = await self.directory.departments()
        found = {await self.directory.tenant_of(each) for each in departments}
        return sorted(each for each in found if each is not None)
