"""Notices that an archived picture can be read again: one for each rehydration.

A notice is created beside the rehydration's record, in the transaction that makes it available,
and goes to the same channels as budget alerts, by the same deliveries.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from shared.domain.alerts import ChannelKind, Delivery, Notice, NoticeKind, read_deliveries
from shared.domain.budget_policies import POLICIES, policy_partition
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition, operation_id
from shared.domain.ledger import Create, Operation
from shared.domain.rehydrations import Rehydration
from shared.errors import InvariantBroken

_NOTICE_ID: Final = re.compile(
    rf"{POLICIES}-(?P<department>{DEPARTMENT_ID_PATTERN})-[0-9a-f]{{32}}"
)


@dataclass(frozen=True, kw_only=True)
class RehydrationNotice(Notice):
    """What is told of one rehydrated picture: nobody is named."""

    kind: ClassVar[NoticeKind] = "image.rehydrated"
    rehydration_id: str
    image_id: str
    tier: str
    available_until: str

    @property
    def alert_id(self) -> str:
        return operation_id(self.partition, self.kind, self.rehydration_id)

    @property
    def document_id(self) -> str:
        return f"alert:{self.rehydration_id}"


def rehydration_notice(
    rehydration: Rehydration, tier: str, channels: Mapping[str, ChannelKind]
) -> RehydrationNotice:
    """The notice of a rehydration that has just become available."""
    if rehydration.available_at is None or rehydration.online_until is None:
        raise InvariantBroken("A picture that is not available is announced.")
    return RehydrationNotice(
        partition=rehydration.partition,
        tenant_id=rehydration.tenant_id,
        raised_at=rehydration.available_at,
        deliveries={channel_id: Delivery(kind) for channel_id, kind in channels.items()},
        rehydration_id=rehydration.rehydration_id,
        image_id=rehydration.image_id,
        tier=tier,
        available_until=rehydration.online_until,
    )


def create_notice_operation(notice: RehydrationNotice) -> Operation:
    """Create the notice's document, once."""
    return Create(
        {
            "id": notice.document_id,
            "pk": notice.partition.key,
            "type": "alert",
            "kind": notice.kind,
            "alert_id": notice.alert_id,
            "tenant_id": notice.tenant_id,
            "department_id": notice.partition.department_id,
            "rehydration_id": notice.rehydration_id,
            "image_id": notice.image_id,
            "tier": notice.tier,
            "available_until": notice.available_until,
            "raised_at": notice.raised_at,
            **notice.progress(),
        }
    )


def read_image_notice(document: Mapping[str, Any]) -> RehydrationNotice | None:
    """A stored notice, if it is one of these."""
    if document.get("kind") != RehydrationNotice.kind:
        return None
    return RehydrationNotice(
        partition=policy_partition(document["department_id"]),
        tenant_id=document["tenant_id"],
        raised_at=document["raised_at"],
        deliveries=read_deliveries(document),
        revision=int(document["revision"]),
        rehydration_id=document["rehydration_id"],
        image_id=document["image_id"],
        tier=document["tier"],
        available_until=document["available_until"],
    )


def partition_of_image_notice(notice_id: str) -> Partition | None:
    """Where a notice lies, if its id is one of these: beside the department's policies."""
    match = _NOTICE_ID.fullmatch(notice_id)
    return policy_partition(match["department"]) if match else None
