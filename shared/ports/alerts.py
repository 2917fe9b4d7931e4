"""Budget alerts and the channels they go to."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.alert_channels import AlertChannel
from shared.domain.alerts import Alert, Notice
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget
from shared.domain.deliveries import Mail, Outcome
from shared.domain.ids import Partition
from shared.domain.notices import AnyNotice
from shared.domain.provider_notices import ProviderNotice
from shared.domain.webhooks import Message


class AlertStore(Protocol):
    """Alerts of departments and periods. Each change is atomic with its audit event."""

    async def raise_once(self, alert: Alert, event: AuditEvent) -> bool:
        """Create the alert; False when it was raised before."""
        ...

    async def announce_once(self, notice: ProviderNotice) -> bool:
        """Create the notice; False when it was there already."""
        ...

    async def alert(self, alert_id: str) -> AnyNotice | None:
        """The alert, or the notice of another kind, that has this id."""
        ...

    async def record(self, alert: Notice, event: AuditEvent | None) -> bool:
        """Write revision n of the deliveries in place of n - 1; False if that is not what stands.

        False also when this very write was carried out and its answer lost: read it again.
        """
        ...

    async def raised(self, partition: Partition) -> frozenset[str]:
        """The document ids of all alerts of a partition."""
        ...

    async def undelivered(self, partition: Partition, limit: int) -> Sequence[AnyNotice]:
        """Alerts and notices that are still to be brought to a channel, oldest first."""
        ...

    async def committed_budgets(self, partition: Partition) -> Sequence[Budget]:
        """Every budget of a partition in which something is reserved or spent."""
        ...


class AlertChannelStore(Protocol):
    """Alert channels of departments and of the organisation."""

    async def channel(self, partition: Partition, channel_id: str) -> AlertChannel | None:
        """The channel as it stands, deleted ones included."""
        ...

    async def channels(self, partition: Partition) -> Sequence[AlertChannel]:
        """Every channel of an owner that is not deleted, by id."""
        ...

    async def put(self, partition: Partition, channel: AlertChannel, event: AuditEvent) -> None:
        """Write revision n in place of n - 1; PreconditionFailed if that is not what stands."""
        ...


class WebhookSender(Protocol):
    """Sends signed messages to addresses that somebody else has chosen."""

    def check(self, url: str) -> None:
        """Raise Invalid for an address that is not one to send to, as far as its text tells."""
        ...

    async def send(self, url: str, secrets: Sequence[str], message: Message) -> Outcome:
        """One try; never raises for what the other side does or is."""
        ...


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> Outcome:
        """One try, or a look at how the last one went; a mail is sent once by its `mail_id`."""
        ...


class AlertOrchestrations(Protocol):
    """Starts the durable delivery of alerts."""

    async def start_alert(self, alert_id: str, channels: Sequence[str]) -> None:
        """Start under the alert's id; one that runs already is left alone."""
        ...

    async def is_running(self, operation_id: str) -> bool: ...
