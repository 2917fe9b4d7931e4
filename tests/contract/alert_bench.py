"""Alerts and channels on trial: as fakes, and through the real SDK on an account."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from azure.cosmos import PartitionKey

from shared.adapters.cosmos import CosmosAccount, CosmosConnection, read_or_none
from shared.adapters.cosmos_alert_channels import CosmosAlertChannels
from shared.adapters.cosmos_alerts import CosmosAlerts
from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.alert_channels import AlertChannel, Secret, channels_partition
from shared.domain.alerts import Alert, ChannelKind, raise_alert
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget, Scope
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Document
from tests import builders
from tests.contract.cosmos_account import open_account
from tests.fakes.alerts import FakeAlertChannels, FakeAlerts
from tests.fakes.cosmos_container import FakeConnection

LIMIT_MICROS = 1_000_000


@dataclass
class Stores:
    """The two ports, and the connection that the ledger writes budgets by."""

    alerts: CosmosAlerts
    channels: CosmosAlertChannels
    connection: CosmosConnection


@dataclass
class AlertBench:
    """A department of its own, so that no test sees another's alerts."""

    stores: Stores
    partition: Partition

    @property
    def alerts(self) -> CosmosAlerts:
        return self.stores.alerts

    @property
    def channels(self) -> CosmosAlertChannels:
        return self.stores.channels

    @property
    def ledger(self) -> CosmosLedger:
        return CosmosLedger(self.stores.connection)

    @property
    def scope(self) -> Scope:
        return Scope("department", self.partition.department_id)

    @property
    def policies(self) -> Partition:
        return channels_partition(self.partition.department_id, builders.TENANT)

    def alert(
        self, threshold: int = 80, raised_at: str = builders.CREATED_AT, **channels: ChannelKind
    ) -> Alert:
        """An alert of the department's budget; `hook="webhook"` addresses a channel."""
        limit = LIMIT_MICROS
        budget = Budget(self.scope, "202611", limit, 0, 850_000, limit, limit)
        return raise_alert(
            self.partition,
            budget,
            threshold,
            tenant_id=builders.TENANT,
            channels={self.channel_id(name): kind for name, kind in channels.items()},
            now=raised_at,
        )

    def channel_id(self, name: str = "hook") -> str:
        return f"{self.partition.department_id}.{name}"

    def channel(self, name: str = "hook", revision: int = 1, change: str = "c1") -> AlertChannel:
        return AlertChannel(
            channel_id=self.channel_id(name),
            kind="webhook",
            url="https://hooks.example.com/a",
            secrets=(Secret("whsec_new"), Secret("whsec_old", "2026-11-16T12:00:00+00:00")),
            updated_at=builders.CREATED_AT,
            revision=revision,
            change_id=change,
        )

    async def spend(self, amount_micros: int, seed: str = "one") -> tuple[Budget, ...]:
        """Open the budgets of one person if need be, and reserve something."""
        owner = builders.caller(1, self.partition.department_id)
        scopes = (self.scope, Scope("user", owner.key))
        await builders.open_budgets(
            self.stores.connection, self.partition, dict.fromkeys(scopes, LIMIT_MICROS)
        )
        work = builders.item(
            operation_id(self.partition, seed), quote=builders.quote(amount_micros), owner=owner
        )
        budgets = await self.ledger.reserve(builders.reservation(work))
        assert budgets is not None
        return budgets

    async def read(self, document_id: str, partition: Partition | None = None) -> Document | None:
        container = await self.stores.connection.container("ledger")
        return await read_or_none(container, document_id, (partition or self.partition).key)

    async def has_event(self, event: AuditEvent, partition: Partition | None = None) -> bool:
        return await self.read(f"e:{event.event_id}", partition) is not None


@pytest_asyncio.fixture(scope="module", params=["fake", "sdk"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "fake":
        fake = FakeConnection()
        yield Stores(FakeAlerts(fake), FakeAlertChannels(fake), fake.as_connection())
        return
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        opened = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        yield Stores(CosmosAlerts(opened), CosmosAlertChannels(opened), opened)
        await opened.aclose()


@pytest.fixture
def bench(stores: Stores) -> AlertBench:
    return AlertBench(stores, Partition(f"d{uuid.uuid4().hex[:12]}", "202611"))
