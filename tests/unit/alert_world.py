"""Every service of alerts over one in-memory store."""

from dataclasses import dataclass

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.alerts import Alert
from shared.domain.budgets import Budget, Scope
from shared.domain.identity import Caller, Role
from shared.services.alert_channels import AlertChannels, ChannelChange
from shared.services.alert_deliveries import AlertDeliveries
from shared.services.alerts import Alerts
from tests import builders
from tests.builders import PARTITION
from tests.fakes.alerts import (
    FakeAlertChannels,
    FakeAlertOrchestrations,
    FakeAlerts,
    FakeMailer,
    FakeWebhooks,
)
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.faults import Faults

HOOK, MAIL = "marketing.hook", "marketing.mail"
EVERYWHERE = f"{ORGANISATION_WIDE}.hook"
URL = "https://hooks.example.com/a"
MIA = builders.caller(7, role=Role.DEPT_MANAGER)
OLGA = builders.caller(8, "operations", Role.ORG_ADMIN)
AVA = builders.caller(1)
WEBHOOK = ChannelChange("webhook", url=URL)
EMAIL = ChannelChange("email", recipients=("mia@contoso.example",))


@dataclass
class World:
    """Every service of alerts over one in-memory store."""

    faults: Faults | None = None

    def __post_init__(self) -> None:
        self.connection = FakeConnection(self.faults)
        self.container = self.connection.container("ledger")
        self.clock = FakeClock()
        self.directory = FakeDirectory(departments=["marketing", "design", "operations"])
        self.webhooks, self.mailer = FakeWebhooks(), FakeMailer()
        self.store = FakeAlerts(self.connection)
        self.channel_store = FakeAlertChannels(self.connection)
        self.orchestrations = FakeAlertOrchestrations()
        self.alerts = Alerts(self.store, self.channel_store, self.directory, self.clock)
        self.channels = AlertChannels(
            store=self.channel_store,
            directory=self.directory,
            ledger=CosmosLedger(self.connection.as_connection()),
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=self.clock,
        )
        self.deliveries = AlertDeliveries(
            store=self.store,
            channels=self.channel_store,
            changes=self.channels,
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=self.clock,
        )

    async def put(
        self,
        channel_id: str = HOOK,
        change: ChannelChange = WEBHOOK,
        expected: int | None = 0,
        caller: Caller = MIA,
    ) -> str:
        """Write a channel; its secret, or an empty text."""
        view = await self.channels.put(
            caller, channel_id, change, expected=expected, correlation_id="c-1"
        )
        return view.secret or ""

    async def raised(self, spent_micros: int = 85) -> Alert:
        """The alert at 80 % of a budget of 100."""
        await self.alerts.note(PARTITION, [budget(spent_micros)])
        (document_id,) = await self.store.raised(PARTITION)
        document = self.container.peek(PARTITION.key, document_id)
        assert document is not None
        found = await self.store.alert(document["alert_id"])
        assert isinstance(found, Alert)
        return found

    def events(self, ending: str) -> list[str]:
        """The ids of waiting audit events whose action has this word in it."""
        return [
            item_id
            for partition in self.container.partitions.values()
            for item_id, document in partition.items()
            if document["type"] == "outbox" and ending in document["event"]["action"]
        ]


def budget(spent_micros: int, scope: Scope | None = None) -> Budget:
    of = scope or Scope("department", "marketing")
    return Budget(of, PARTITION.period, 100, 0, spent_micros, 100, max(100, spent_micros))
