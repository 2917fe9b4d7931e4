"""Brings a notice to one channel, one try at a time; a durable orchestration does the waiting."""

import logging
from dataclasses import dataclass, replace
from typing import Literal

from shared.domain.alert_channels import (
    AlertChannel,
    channels_partition,
    owner_of_channel,
)
from shared.domain.alert_messages import notice_mail, notice_message
from shared.domain.alerts import Delivery, delivery_event
from shared.domain.deliveries import ATTEMPTS_MAX, Outcome, wait_s
from shared.domain.notices import AnyNotice
from shared.errors import InvariantBroken, Unavailable
from shared.ports import Clock
from shared.ports.alerts import AlertChannelStore, AlertStore, Mailer, WebhookSender
from shared.services.alert_channels import AlertChannels

RECORD_TRIES_MAX = 50  # above the 40 channels of an alert, which all write into one document
CAUGHT_UP_S = 1  # a try that was made before is passed over at this pace

logger = logging.getLogger("eig.alerts")


@dataclass(frozen=True)
class Step:
    """Where a delivery stands after a try; `retry_after_s` is set while it is pending."""

    status: Literal["pending", "delivered", "undelivered"]
    retry_after_s: int | None = None


@dataclass(frozen=True)
class AlertDeliveries:
    """Sends, and records how that went; a try that was recorded is not made again."""

    store: AlertStore
    channels: AlertChannelStore
    changes: AlertChannels
    webhooks: WebhookSender
    mailer: Mailer | None
    clock: Clock

    async def attempt(self, alert_id: str, channel_id: str, attempt: int) -> Step:
        """Try number `attempt` (1-based) to bring an alert to a channel."""
        alert = await self._alert(alert_id)
        delivery = alert.deliveries[channel_id]
        if delivery.status != "pending":
            return Step(delivery.status)
        if delivery.attempts >= attempt:
            return Step("pending", CAUGHT_UP_S)
        outcome = await self._send(alert, channel_id)
        recorded = await self._record(alert, channel_id, _after(delivery, attempt, outcome))
        logger.info(
            "alert delivery tried",
            extra={"attempt": attempt, "code": outcome.reason, "status": recorded.status},
        )
        if recorded.status != "pending":
            return Step(recorded.status)
        pause_s = wait_s(attempt, f"{alert_id}:{channel_id}", outcome.retry_after_s)
        return Step("pending", pause_s)

    async def _alert(self, alert_id: str) -> AnyNotice:
        alert = await self.store.alert(alert_id)
        if alert is None:  # it was created before this was started; a replica may lag behind
            raise Unavailable("The alert could not be read yet.")
        return alert

    async def _send(self, alert: AnyNotice, channel_id: str) -> Outcome:
        owner = owner_of_channel(channel_id)
        if owner is None:
            raise InvariantBroken("An alert is addressed to something that is no channel.")
        partition = channels_partition(owner, alert.tenant_id)
        channel = await self.channels.channel(partition, channel_id)
        if channel is None or channel.deleted:
            return Outcome("refused", "channel_deleted")
        if not channel.enabled:
            return Outcome("refused", "channel_disabled")
        outcome = await self._sent(alert, channel)
        if outcome.ending == "gone":
            await self.changes.switch_off(partition, channel_id, outcome.reason)
        return outcome

    async def _sent(self, alert: AnyNotice, channel: AlertChannel) -> Outcome:
        if channel.kind == "webhook":
            secrets = channel.valid_secrets(self.clock.now())
            return await self.webhooks.send(channel.url or "", secrets, notice_message(alert))
        if self.mailer is None:
            return Outcome("refused", "mail_not_configured")
        return await self.mailer.send(notice_mail(alert, channel.channel_id, channel.recipients))

    async def _record(self, alert: AnyNotice, channel_id: str, progress: Delivery) -> Delivery:
        """Write a channel's progress into the alert, beside what other channels write there."""
        now = self.clock.now().isoformat()
        for _ in range(RECORD_TRIES_MAX):
            standing = alert.deliveries[channel_id]
            if standing.status != "pending" or standing.attempts >= progress.attempts:
                return standing  # written before: by this very call, or by a repeated one
            ended = progress.status != "pending"
            wanted = replace(progress, ended_at=now if ended else None)
            written = alert.with_delivery(channel_id, wanted)
            event = delivery_event(written, channel_id, now) if ended else None
            if await self.store.record(written, event):
                return wanted
            alert = await self._alert(alert.alert_id)
        raise Unavailable("The alert is being written to by too many at once.")


def _after(delivery: Delivery, attempt: int, outcome: Outcome) -> Delivery:
    """A delivery after one more try."""
    tried = replace(delivery, attempts=attempt, reason=outcome.reason)
    if outcome.ending == "delivered":
        return replace(tried, status="delivered")
    if outcome.ending in ("refused", "gone") or attempt >= ATTEMPTS_MAX:
        return replace(tried, status="undelivered")
    return tried
