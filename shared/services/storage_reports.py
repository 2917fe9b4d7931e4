"""What departments store, what it costs, and what the lifecycle rules will make of it."""

from dataclasses import dataclass

from shared.domain.identity import Caller
from shared.domain.storage_forecasts import Inventory
from shared.domain.storage_tiers import LifecyclePolicy
from shared.domain.storage_views import StorageReport, month_view, tier_views
from shared.ports import Clock
from shared.ports.picture_storage import PictureRecords, PictureStorage
from shared.services.reports import Reports
from shared.services.storage_tariff import StorageTariff

BLOBS_COUNTED_MAX = 100_000  # of one report: twenty pages of a listing, about half a minute


@dataclass(frozen=True)
class StorageReports:
    """Adds up what departments store."""

    storage: PictureStorage
    records: PictureRecords
    reports: Reports
    tariff: StorageTariff
    policy: LifecyclePolicy
    clock: Clock

    async def report(self, caller: Caller, department_id: str | None) -> StorageReport:
        """Bytes by tier, what they cost a month, and the twelve months to come."""
        department = await self.reports.managed(caller, department_id)
        inventory = Inventory(self.clock.now())
        complete = await self._count(inventory, department)
        costs, rate = self.tariff.costs()
        retention = (await self.records.retention(department)).retention
        tiers = tier_views(inventory, costs)
        return StorageReport(
            department_id=department,
            as_of=inventory.now,
            price_version=costs.prices.version,
            price_status=costs.prices.status,
            exchange_rate_version=rate.version,
            complete=complete,
            tiers=tiers,
            size_bytes=sum(each.size_bytes for each in tiers),
            amount_micros=sum(each.amount_micros for each in tiers),
            held_blobs=inventory.held_blobs,
            growth_bytes_per_month=inventory.recent_bytes,
            forecast=tuple(
                month_view(month, costs) for month in inventory.forecast(self.policy, retention)
            ),
        )

    async def _count(self, inventory: Inventory, department_id: str) -> bool:
        """Whether every blob was counted."""
        counted = 0
        async for blob in self.storage.pictures(department_id):
            if counted == BLOBS_COUNTED_MAX:
                return False
            inventory.add(blob)
            counted += 1
        return True
