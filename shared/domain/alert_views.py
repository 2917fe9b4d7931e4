"""What the HTTP API shows of alerts and of the channels they go to."""

from typing import Literal

from pydantic import Field

from shared.domain.alert_channels import AlertChannel
from shared.domain.alerts import Alert, NoticeKind
from shared.domain.budgets import CURRENCY, ScopeKind
from shared.domain.views import View


class DeliveryView(View):
    """How far an alert has come on one channel."""

    channel_id: str
    kind: Literal["webhook", "email"]
    status: Literal["pending", "delivered", "undelivered"]
    attempts: int
    reason: str | None = Field(description="of the last try", examples=["http_503"])
    ended_at: str | None


class AlertView(View):
    """One alert: which budget reached which threshold, and who was told."""

    id: str
    department_id: str
    period: str = Field(description="the first month of the budget period", examples=["202611"])
    scope: str = Field(examples=["department:marketing"])
    scope_kind: ScopeKind
    threshold_percent: int
    limit_micros: int = Field(description="micro-AUD, as it was then")
    committed_micros: int = Field(description="micro-AUD reserved or spent, as it was then")
    currency: Literal["AUD"] = CURRENCY
    raised_at: str
    deliveries: tuple[DeliveryView, ...]


class AlertChannelView(View):
    """One channel as it stands."""

    id: str
    kind: Literal["webhook", "email"]
    enabled: bool
    url: str | None
    recipients: tuple[str, ...]
    events: tuple[NoticeKind, ...] = Field(description="what it is told of; empty: everything")
    secret: str | None = Field(
        default=None, description="of a webhook, when it was just made: it is never shown again"
    )
    former_secret_until: str | None = Field(
        default=None, description="until when the secret before the last change signs too"
    )
    disabled_reason: str | None = Field(default=None, examples=["http_410"])
    updated_at: str
    revision: int = Field(description="its ETag")


class AlertChannelList(View):
    """The channels of one owner."""

    items: tuple[AlertChannelView, ...]


class AlertChannelTestView(View):
    """What a test of a channel came to."""

    delivered: bool = Field(description="of e-mail: taken over for delivery")
    reason: str = Field(examples=["http_204"])


def alert_view(alert: Alert) -> AlertView:
    scope = alert.scope
    shown = scope.scope_id.rpartition(".")[2] if scope.kind == "user" else scope.scope_id
    return AlertView(
        id=alert.alert_id,
        department_id=alert.partition.department_id,
        period=alert.partition.period,
        scope=f"{scope.kind}:{shown}",
        scope_kind=scope.kind,
        threshold_percent=alert.threshold,
        limit_micros=alert.limit_micros,
        committed_micros=alert.committed_micros,
        raised_at=alert.raised_at,
        deliveries=tuple(
            DeliveryView(channel_id=channel, **vars(delivery))
            for channel, delivery in sorted(alert.deliveries.items())
        ),
    )


def channel_view(channel: AlertChannel, secret: str | None = None) -> AlertChannelView:
    """A channel without its secrets; `secret` is the one that was made just now."""
    former = channel.secrets[1].valid_until if len(channel.secrets) > 1 else None
    return AlertChannelView(
        id=channel.channel_id,
        kind=channel.kind,
        enabled=channel.enabled,
        url=channel.url,
        recipients=channel.recipients,
        events=channel.events,
        secret=secret,
        former_secret_until=former,
        disabled_reason=channel.disabled_reason,
        updated_at=channel.updated_at,
        revision=channel.revision,
    )
