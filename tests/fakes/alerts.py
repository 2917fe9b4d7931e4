"""Alerts and their channels over the in-memory container of the ledger; senders that remember."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_alert_channels import CosmosAlertChannels
from shared.adapters.cosmos_alerts import CosmosAlerts
from shared.domain.alert_channels import AlertChannel, read_channel
from shared.domain.budgets import Budget, read_budget
from shared.domain.deliveries import Mail, Outcome
from shared.domain.ids import Partition
from shared.domain.ledger import Document
from shared.domain.notices import AnyNotice, partition_of_notice, read_notice
from shared.domain.webhooks import Message
from tests.fakes.cosmos_container import FakeConnection


class FakeAlerts(CosmosAlerts):
    """The real adapter; only its queries are filters over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def alert(self, alert_id: str) -> AnyNotice | None:
        partition = partition_of_notice(alert_id)
        if partition is None:
            return None
        found = await self._scan(partition, lambda d: d.get("alert_id") == alert_id)
        return read_notice(found[0]) if found else None

    async def raised(self, partition: Partition) -> frozenset[str]:
        found = await self._scan(partition, lambda d: d["type"] == "alert")
        return frozenset(str(each["id"]) for each in found)

    async def undelivered(self, partition: Partition, limit: int) -> Sequence[AnyNotice]:
        found = await self._scan(
            partition, lambda d: d["type"] == "alert" and d["open_deliveries"] > 0
        )
        found.sort(key=lambda each: str(each["raised_at"]))
        return [read_notice(each) for each in found[:limit]]

    async def committed_budgets(self, partition: Partition) -> Sequence[Budget]:
        found = await self._scan(
            partition,
            lambda d: d["type"] == "budget" and d["reserved_micros"] + d["spent_micros"] > 0,
        )
        return [read_budget(each) for each in found]

    async def _scan(
        self, partition: Partition, wanted: Callable[[Document], bool]
    ) -> list[Document]:
        return await answered(lambda: self._fake.scan(partition.key, wanted))


class FakeAlertChannels(CosmosAlertChannels):
    """The real adapter; only its one query is a filter over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def channels(self, partition: Partition) -> Sequence[AlertChannel]:
        found = await answered(
            lambda: self._fake.scan(
                partition.key,
                lambda d: d["type"] == "alert_channel" and not d["channel"]["deleted"],
            )
        )
        return [read_channel(each) for each in sorted(found, key=lambda d: str(d["id"]))]


@dataclass
class FakeWebhooks:
    """A receiver that answers as told, then with success."""

    answers: list[Outcome] = field(default_factory=list)
    sent: list[tuple[str, tuple[str, ...], Message]] = field(default_factory=list)

    def check(self, url: str) -> None:
        """Every address is fine."""

    async def send(self, url: str, secrets: Sequence[str], message: Message) -> Outcome:
        self.sent.append((url, tuple(secrets), message))
        return self.answers.pop(0) if self.answers else Outcome("delivered", "http_204")


@dataclass
class FakeMailer:
    """A mail service that answers as told, then with success; one mail for each id."""

    answers: list[Outcome] = field(default_factory=list)
    sent: dict[str, Mail] = field(default_factory=dict)

    async def send(self, mail: Mail) -> Outcome:
        self.sent.setdefault(mail.mail_id, mail)
        return self.answers.pop(0) if self.answers else Outcome("delivered", "kept")


@dataclass
class FakeAlertOrchestrations:
    """Remembers what it was asked to start; the test says what still runs."""

    started: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)

    async def start_alert(self, alert_id: str, channels: Sequence[str]) -> None:
        self.started.append((alert_id, tuple(channels)))
        self.running.add(alert_id)

    async def is_running(self, operation_id: str) -> bool:
        return operation_id in self.running
