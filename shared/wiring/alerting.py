"""Use cases of budget alerts."""

from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.people import Peopling

if TYPE_CHECKING:
    from shared.services.alert_channels import AlertChannels
    from shared.services.alert_deliveries import AlertDeliveries
    from shared.services.alerts import Alerts


class Alerting(Peopling):
    """Raising alerts, bringing them to channels, and the channels themselves."""

    @cached_property
    def alerts(self) -> "Alerts":
        from shared.services.alerts import Alerts

        return Alerts(self.alert_store, self.alert_channel_store, self.directory, self.clock)

    @cached_property
    def alert_channels(self) -> "AlertChannels":
        from shared.services.alert_channels import AlertChannels

        return AlertChannels(
            store=self.alert_channel_store,
            directory=self.directory,
            ledger=self.ledger,
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=self.clock,
        )

    @cached_property
    def alert_deliveries(self) -> "AlertDeliveries":
        from shared.services.alert_deliveries import AlertDeliveries

        return AlertDeliveries(
            store=self.alert_store,
            channels=self.alert_channel_store,
            changes=self.alert_channels,
            webhooks=self.webhooks,
            mailer=self.mailer,
            clock=self.clock,
        )
