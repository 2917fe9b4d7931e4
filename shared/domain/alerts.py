"""Budget alerts: a budget's committed spend has reached a share of its limit in a period.

One document per scope, period and threshold, created once in the budget's own partition together
with its audit event: creating it again is a conflict, so an alert is raised exactly once, whoever
notices it and how often. A threshold that is left and reached again is not a second alert.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, Self, cast

from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import CURRENCY, Budget, Scope, ScopeKind
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import equal

ACTOR: Final = "system:alerts"
CHANNELS_PER_ALERT_MAX: Final = 40  # 20 of the department, 20 of the organisation
ChannelKind = Literal["webhook", "email"]
NoticeKind = Literal["budget.alert", "image.rehydrated", "provider.opened", "provider.closed"]
DeliveryStatus = Literal["pending", "delivered", "undelivered"]


def crossed(budget: Budget) -> tuple[int, ...]:
    """The thresholds, in percent of the limit and ascending, that committed spend has reached.

    Nothing is reached while nothing is committed; with a limit of 0 the first micro reaches all.
    """
    committed = budget.committed_micros
    if committed == 0:
        return ()
    reached = {t for t in budget.alert_thresholds if committed * 100 >= budget.limit_micros * t}
    return tuple(sorted(reached))


def alert_document_id(scope: Scope, threshold: int) -> str:
    """The id of an alert's document: unique in the partition of a department and period."""
    return f"alert:{scope.name}:{threshold}"


def alert_id(partition: Partition, scope: Scope, threshold: int) -> str:
    """The alert's public id; it names its partition and nobody: also a webhook and instance id."""
    return operation_id(partition, "alert", scope.name, str(threshold))


@dataclass(frozen=True)
class Delivery:
    """How far one notice has come on one channel; `attempts` counts those that have ended."""

    kind: ChannelKind
    status: DeliveryStatus = "pending"
    attempts: int = 0
    reason: str | None = None
    ended_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Notice(ABC):
    """What channels are told once: an alert or another event, and its deliveries by channel id."""

    kind: ClassVar[NoticeKind]
    partition: Partition
    tenant_id: str
    raised_at: str
    deliveries: Mapping[str, Delivery]
    revision: int = 1

    @property
    @abstractmethod
    def alert_id(self) -> str:
        """Public and the same on each retry: also its webhook and instance id."""

    @property
    @abstractmethod
    def document_id(self) -> str:
        """Unique in its partition: creating it again is a conflict."""

    @property
    def pending(self) -> tuple[str, ...]:
        """The channels that have not been delivered to, nor given up."""
        return tuple(sorted(c for c, d in self.deliveries.items() if d.status == "pending"))

    def with_delivery(self, channel_id: str, delivery: Delivery) -> Self:
        """The next revision, in which one channel has come further."""
        deliveries = {**self.deliveries, channel_id: delivery}
        return replace(self, deliveries=deliveries, revision=self.revision + 1)

    def progress(self) -> Document:
        """The fields of the document that deliveries change."""
        return {
            "deliveries": {channel: dict(vars(each)) for channel, each in self.deliveries.items()},
            "open_deliveries": len(self.pending),
            "revision": self.revision,
        }


@dataclass(frozen=True, kw_only=True)
class Alert(Notice):
    """One budget alert as it was raised; amounts in micro-AUD."""

    kind: ClassVar[NoticeKind] = "budget.alert"
    scope: Scope
    threshold: int
    limit_micros: int
    committed_micros: int

    @property
    def alert_id(self) -> str:
        return alert_id(self.partition, self.scope, self.threshold)

    @property
    def document_id(self) -> str:
        return alert_document_id(self.scope, self.threshold)


def raise_alert(
    partition: Partition,
    budget: Budget,
    threshold: int,
    *,
    tenant_id: str,
    channels: Mapping[str, ChannelKind],
    now: str,
) -> Alert:
    """The alert that a budget's threshold calls for, addressed to the channels of this moment."""
    return Alert(
        partition=partition,
        scope=budget.scope,
        threshold=threshold,
        tenant_id=tenant_id,
        limit_micros=budget.limit_micros,
        committed_micros=budget.committed_micros,
        raised_at=now,
        deliveries={channel_id: Delivery(kind) for channel_id, kind in channels.items()},
    )


def raised_event(alert: Alert) -> AuditEvent:
    """The one audit event of an alert; `object_id` is the alert's own."""
    return AuditEvent(
        action="budget.alert",
        object_id=alert.alert_id,
        actor=ACTOR,
        actor_role="system",
        outcome="success",
        occurred_at=alert.raised_at,
        correlation_id=alert.alert_id,
        details={
            "scope": alert.scope.name,
            "period": alert.partition.period,
            "threshold": alert.threshold,
            "limit_micros": alert.limit_micros,
            "committed_micros": alert.committed_micros,
            "channels": len(alert.deliveries),
        },
    )


def delivery_event(notice: Notice, channel_id: str, now: str) -> AuditEvent:
    """How a notice ended on one channel; its action carries the channel, so each ends once."""
    delivery = notice.deliveries[channel_id]
    delivered = delivery.status == "delivered"
    ending = "delivered" if delivered else "undelivered"
    return AuditEvent(
        action=f"{notice.kind}_{ending}.{channel_id}",
        object_id=notice.alert_id,
        actor=ACTOR,
        actor_role="system",
        outcome="success" if delivered else "failure",
        occurred_at=now,
        correlation_id=notice.alert_id,
        reason=delivery.reason,
        details={"channel": channel_id, "kind": delivery.kind, "attempts": delivery.attempts},
    )


def create_operation(alert: Alert) -> Operation:
    """Create the alert's document; a conflict means that it was raised before."""
    return Create(
        {
            "id": alert.document_id,
            "pk": alert.partition.key,
            "type": "alert",
            "alert_id": alert.alert_id,
            "tenant_id": alert.tenant_id,
            "department_id": alert.partition.department_id,
            "period": alert.partition.period,
            "scope_kind": alert.scope.kind,
            "scope_id": alert.scope.scope_id,
            "threshold": alert.threshold,
            "limit_micros": alert.limit_micros,
            "committed_micros": alert.committed_micros,
            "currency": CURRENCY,
            "raised_at": alert.raised_at,
            **alert.progress(),
        }
    )


def progress_operation(notice: Notice) -> Operation:
    """Write revision n of the deliveries in place of n - 1."""
    steps = tuple({"op": "set", "path": f"/{k}", "value": v} for k, v in notice.progress().items())
    return Patch(notice.document_id, steps, equal({"revision": notice.revision - 1}))


def read_alert(document: Mapping[str, Any]) -> Alert:
    return Alert(
        partition=Partition(document["department_id"], document["period"]),
        scope=Scope(cast(ScopeKind, document["scope_kind"]), document["scope_id"]),
        threshold=int(document["threshold"]),
        tenant_id=document["tenant_id"],
        limit_micros=int(document["limit_micros"]),
        committed_micros=int(document["committed_micros"]),
        raised_at=document["raised_at"],
        deliveries=read_deliveries(document),
        revision=int(document["revision"]),
    )


def read_deliveries(document: Mapping[str, Any]) -> dict[str, Delivery]:
    return {channel: Delivery(**each) for channel, each in document["deliveries"].items()}


def thresholds_of(budgets: Sequence[Budget]) -> list[tuple[Budget, int]]:
    """Every threshold that one of these budgets has reached, with its budget."""
    return [(budget, threshold) for budget in budgets for threshold in crossed(budget)]
