"""Pictures over time in memory: a department, one archived picture, and the services around it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.adapters.cosmos_freezes import CosmosFreezes
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.adapters.lifecycle_file import load_lifecycle
from shared.adapters.storage_price_file import load_storage_prices
from shared.domain.blob_paths import PictureName, new_tags
from shared.domain.budget_policies import BudgetPolicy
from shared.domain.budgets import Scope
from shared.domain.identity import Role
from shared.domain.storage_tiers import StoredBlob
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.freezes import FreezeWatch
from shared.services.images import Images
from shared.services.legal_holds import LegalHolds
from shared.services.rehydrations import Rehydrations
from shared.services.retention import Retention
from shared.services.storage_tariff import StorageTariff
from tests import builders
from tests.builders import DEPARTMENT, PARTITION
from tests.fakes.alerts import FakeAlertChannels, FakeAlerts
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Crashed, Fault, Faults, NoFaults
from tests.fakes.freezes import FakeFreezes
from tests.fakes.image_store import FakeImageStore
from tests.fakes.picture_storage import FakePictureRecords, FakePictureStorage
from tests.fakes.records import FakeRecords

MIB = 1024 * 1024
LIMIT_MICROS = 1_000_000
AVA = builders.caller(1)
OLGA = builders.caller(9, "design", Role.ORG_ADMIN)
NAME = PictureName(builders.single_id(), 0)
IMAGE = NAME.image_id


class NthCall(NoFaults):
    """Call number `number` (from 0) goes wrong; counting starts with `arm`."""

    def __init__(self, number: int, fault: Fault) -> None:
        self._number, self._fault = number, fault
        self.is_armed, self.count = False, 0

    async def next(self, call: str) -> Fault:
        if not self.is_armed:
            return Fault.NONE
        self.count += 1
        if self.count - 1 != self._number:
            return Fault.NONE
        if self._fault is Fault.CRASH_BEFORE:
            raise Crashed(call)
        return self._fault


@dataclass
class World:
    """Everything behind the services; `workers` build them anew, as a restart does."""

    faults: Faults = field(default_factory=NoFaults)
    limit_micros: int = LIMIT_MICROS
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.connection = FakeConnection(self.faults)
        self.storage = FakePictureStorage(self.clock, self.faults)
        self.directory = FakeDirectory(departments=(DEPARTMENT, "design"))
        self.policies = FakeBudgetPolicies(self.connection)
        for scope in (Scope("department", DEPARTMENT), Scope("user", AVA.key)):
            self.policies.plant(DEPARTMENT, BudgetPolicy(scope, self.limit_micros))
        record = builders.resolution(builders.item(NAME.generation_id)).record
        self.plant(record)
        made = self.clock.now() - timedelta(days=200)
        self.storage.blobs[NAME] = StoredBlob(
            path=f"images/{NAME.blob}",
            tier="archive",
            size_bytes=2 * MIB,
            created=made,
            modified=made,
            tags=new_tags("seven-years"),
            tier_changed=made + timedelta(days=91),
        )

    def plant(self, document: dict[str, Any]) -> None:
        partitions = self.connection.container("ledger").partitions
        partitions.setdefault(document["pk"], {})[document["id"]] = document

    @property
    def records(self) -> FakePictureRecords:
        return FakePictureRecords(self.connection, self.clock)

    @property
    def ledger(self) -> CosmosLedger:
        return CosmosLedger(self.connection.as_connection())

    @property
    def freezes(self) -> CosmosFreezes:
        return CosmosFreezes(self.connection.as_connection())

    def images(self) -> Images:
        return Images(FakeRecords(self.connection), FakeImageStore(), self.clock)

    def alerts(self) -> Alerts:
        stores = FakeAlerts(self.connection), FakeAlertChannels(self.connection)
        return Alerts(*stores, self.directory, self.clock)

    def rehydrations(self) -> Rehydrations:
        policy = load_lifecycle(tracks_access=False)
        calendars = Calendars(self.policies, self.directory, self.clock)
        return Rehydrations(
            images=self.images(),
            storage=self.storage,
            records=self.records,
            tariff=StorageTariff(load_storage_prices(), builders.catalogues(), policy, self.clock),
            ledger=self.ledger,
            periods=BudgetPeriods(self.policies, calendars, self.clock),
            calendars=calendars,
            directory=self.directory,
            clock=self.clock,
            alerts=self.alerts(),
            freezes=FreezeWatch(FakeFreezes(self.connection), self.clock),
        )

    def legal_holds(self) -> LegalHolds:
        return LegalHolds(
            images=self.images(),
            records=self.records,
            storage=self.storage,
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    def retention(self) -> Retention:
        return Retention(
            records=self.records,
            storage=self.storage,
            policy=load_lifecycle(tracks_access=False),
            ledger=self.ledger,
            directory=self.directory,
            clock=self.clock,
        )

    def documents(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        partitions = self.connection.container("ledger").partitions
        return [d for each in partitions.values() for d in each.values() if wanted(d)]

    def actions(self, prefix: str) -> list[str]:
        """The actions of events that wait in any outbox."""
        waiting = self.documents(lambda d: d["type"] == "outbox")
        return sorted(
            d["event"]["action"] for d in waiting if d["event"]["action"].startswith(prefix)
        )

    async def spent(self, scope: Scope | None = None) -> int:
        wanted = scope or Scope("department", DEPARTMENT)
        budget = await self.ledger.budget(PARTITION, wanted)
        return budget.spent_micros if budget else 0

    def tag(self, **tags: str) -> None:
        blob = self.storage.blobs[NAME]
        self.storage.blobs[NAME] = replace(blob, tags={**blob.tags, **tags})
