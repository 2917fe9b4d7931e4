"""Notices that a provider's breaker has opened or has closed: once each for every outage.

The transaction that opens or closes the breaker leaves a change beside it. The sweep makes a notice
of it for each organisation and only then says that it is announced: whoever dies in between leaves
it to the next sweep, and a notice that exists already is a conflict. A breaker that opens for
longer after a failed probe has not closed: that is the same outage and leaves no change.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from shared.domain.alerts import ChannelKind, Delivery, Notice, NoticeKind, read_deliveries
from shared.domain.ids import Partition, operation_id
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.provider_health import HEALTH_PARTITION, Breaker, iso_of

ChangeKind = Literal["provider.opened", "provider.closed"]
_NOTICE_ID: Final = re.compile(
    rf"{HEALTH_PARTITION.period}-{HEALTH_PARTITION.department_id}-[0-9a-f]{{32}}"
)


@dataclass(frozen=True)
class BreakerChange:
    """A breaker has opened, or has closed again; `revision` is the one that it got by that.

    `since` is when it opened. Of an opening, `until` is when the first probe may go; of a closing,
    when it closed.
    """

    provider: str
    revision: int
    kind: ChangeKind
    reason: str
    since: str
    until: str


@dataclass(frozen=True, kw_only=True)
class ProviderNotice(Notice):
    """What one organisation is told of a change; nobody's request is named."""

    change: BreakerChange

    @property
    def alert_id(self) -> str:
        change = self.change
        seed = (change.kind, change.provider, str(change.revision), self.tenant_id)
        return operation_id(self.partition, *seed)

    @property
    def document_id(self) -> str:
        return f"alert:{self.alert_id}"


@dataclass(frozen=True, kw_only=True)
class ProviderOpened(ProviderNotice):
    """An outage has begun: nothing goes to the provider."""

    kind: ClassVar[NoticeKind] = "provider.opened"


@dataclass(frozen=True, kw_only=True)
class ProviderClosed(ProviderNotice):
    """An outage is over."""

    kind: ClassVar[NoticeKind] = "provider.closed"


_NOTICES: Final[Mapping[str, type[ProviderNotice]]] = {
    each.kind: each for each in (ProviderOpened, ProviderClosed)
}


def change_between(before: Breaker, after: Breaker) -> BreakerChange | None:
    """What is to be announced of two revisions; None if the breaker is as open as it was."""
    if before.is_open == after.is_open:
        return None
    if after.is_open:
        kind: ChangeKind = "provider.opened"
        since_us, until_us, reason = after.since_us, after.until_us, after.reason
    else:
        kind = "provider.closed"
        since_us, until_us, reason = before.since_us, after.since_us, before.reason
    return BreakerChange(
        after.provider, after.revision, kind, reason, iso_of(since_us), iso_of(until_us)
    )


def change_operation(change: BreakerChange) -> Operation:
    """Leave a change for the sweep, in the transaction that it tells of."""
    return Create(
        {
            "id": _change_document_id(change),
            "pk": HEALTH_PARTITION.key,
            "type": "breaker_change",
            "raised_at": _at(change),
            "pending": True,
            "change": dict(vars(change)),
        }
    )


def announced_operation(change: BreakerChange) -> Operation:
    """Say that every organisation has its notice; as often as one likes."""
    step = {"op": "set", "path": "/pending", "value": False}
    return Patch(_change_document_id(change), (step,))


def read_change(document: Mapping[str, Any]) -> BreakerChange:
    stored = document["change"]
    return BreakerChange(**{**stored, "revision": int(stored["revision"])})


def provider_notice(
    change: BreakerChange, tenant_id: str, channels: Mapping[str, ChannelKind]
) -> ProviderNotice:
    """The notice of a change for one organisation, addressed to its channels of this moment."""
    return _NOTICES[change.kind](
        partition=HEALTH_PARTITION,
        tenant_id=tenant_id,
        raised_at=_at(change),
        deliveries={channel_id: Delivery(kind) for channel_id, kind in channels.items()},
        change=change,
    )


def notice_document(notice: ProviderNotice) -> Document:
    return {
        "id": notice.document_id,
        "pk": notice.partition.key,
        "type": "alert",
        "kind": notice.kind,
        "alert_id": notice.alert_id,
        "tenant_id": notice.tenant_id,
        "raised_at": notice.raised_at,
        "change": dict(vars(notice.change)),
        **notice.progress(),
    }


def read_provider_notice(document: Mapping[str, Any]) -> ProviderNotice | None:
    """A stored notice, if it is one of these."""
    made = _NOTICES.get(document.get("kind", ""))
    if made is None:
        return None
    return made(
        partition=HEALTH_PARTITION,
        tenant_id=document["tenant_id"],
        raised_at=document["raised_at"],
        deliveries=read_deliveries(document),
        revision=int(document["revision"]),
        change=read_change(document),
    )


def partition_of_provider_notice(notice_id: str) -> Partition | None:
    """Where a notice lies, if its id is one of these."""
    return HEALTH_PARTITION if _NOTICE_ID.fullmatch(notice_id) else None


def _change_document_id(change: BreakerChange) -> str:
    return f"change:{change.provider}.{change.revision}"


def _at(change: BreakerChange) -> str:
    return change.since if change.kind == ProviderOpened.kind else change.until
