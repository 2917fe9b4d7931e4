"""Alert channels: where a department's or the organisation's alerts and notices are sent.

A channel's id names its owner: `marketing.finance-hook`, or `organisation-wide.finops-mail` for
the alerts of all departments (no department id has a hyphen). A deleted channel stays as a
tombstone without its settings and secrets, so that its revisions, and with them its audit events,
go on when it comes back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self
from urllib.parse import urlsplit

from shared.domain.alerts import ChannelKind, NoticeKind
from shared.domain.budget_policies import policy_partition
from shared.domain.ids import DEPARTMENT_ID_PATTERN, Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.organisation_policies import organisation_policies
from shared.domain.predicates import equal

ORGANISATION_WIDE: Final = "organisation-wide"
CHANNELS_PER_OWNER_MAX: Final = 20  # every alert goes to all of them
RECIPIENTS_MAX: Final = 50  # what Azure Communication Services takes in one mail
SECRET_OVERLAP: Final = timedelta(hours=24)  # the former secret signs too, so long after a change
CHANNEL_ID_PATTERN: Final = (
    rf"(?P<owner>{DEPARTMENT_ID_PATTERN}|{ORGANISATION_WIDE})\.[a-z0-9][a-z0-9-]{{0,39}}"
)
_CHANNEL_ID: Final = re.compile(CHANNEL_ID_PATTERN)


@dataclass(frozen=True)
class Secret:
    """A signing secret; `valid_until` (ISO 8601) is set once a newer one has replaced it."""

    value: str
    valid_until: str | None = None


@dataclass(frozen=True)
class AlertChannel:
    """One channel as it stands: a webhook has a url and secrets, an e-mail channel recipients."""

    channel_id: str
    kind: ChannelKind
    enabled: bool = True
    url: str | None = None
    recipients: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()  # newest first
    disabled_reason: str | None = None
    updated_at: str = ""
    revision: int = 1
    change_id: str = ""  # of the write that made this revision: whose it is when answers get lost
    deleted: bool = False
    events: tuple[NoticeKind, ...] = ()  # empty: all of them, and those to come

    def wants(self, kind: NoticeKind) -> bool:
        return not self.events or kind in self.events

    def valid_secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at a moment, newest first."""
        return tuple(
            secret.value
            for secret in self.secrets
            if secret.valid_until is None or datetime.fromisoformat(secret.valid_until) > now
        )

    def with_secret(self, value: str, now: datetime) -> Self:
        """The same channel with a new secret; the one before signs too for SECRET_OVERLAP."""
        until = (now + SECRET_OVERLAP).isoformat()
        former = [replace(each, valid_until=until) for each in self.secrets[:1]]
        return replace(self, secrets=(Secret(value), *former))


def owner_of_channel(channel_id: str) -> str | None:
    """The department that a channel id names, or ORGANISATION_WIDE; None if it is malformed."""
    match = _CHANNEL_ID.fullmatch(channel_id)
    return match["owner"] if match else None


def channels_partition(owner: str, tenant_id: str) -> Partition:
    """The ledger partition with an owner's channels: the one of its policies."""
    if owner == ORGANISATION_WIDE:
        return organisation_policies(tenant_id)
    return policy_partition(owner)


def channel_document_id(channel_id: str) -> str:
    return f"channel:{channel_id}"


def put_operation(partition: Partition, channel: AlertChannel) -> Operation:
    """Write a channel if its predecessor stands: revision 1 is created, n replaces n - 1."""
    document = {
        "id": channel_document_id(channel.channel_id),
        "pk": partition.key,
        "type": "alert_channel",
        "revision": channel.revision,
        "channel": _stored(channel),
    }
    if channel.revision == 1:
        return Create(document)
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": document[name]}
        for name in ("revision", "channel")
    )
    return Patch(
        channel_document_id(channel.channel_id), steps, equal({"revision": channel.revision - 1})
    )


def read_channel(document: Mapping[str, Any]) -> AlertChannel:
    stored = document["channel"]
    return AlertChannel(
        **{
            **stored,
            "recipients": tuple(stored["recipients"]),
            "secrets": tuple(Secret(**each) for each in stored["secrets"]),
            "events": tuple(stored.get("events", ())),  # channels of before have none
            "revision": int(stored["revision"]),
        }
    )


def shown_in_audit(channel: AlertChannel | None) -> dict[str, str | int | bool | None]:
    """What audit events say of a channel: no address of a person, no path of a URL, no secret."""
    if channel is None or channel.deleted:
        return {}
    return {
        "kind": channel.kind,
        "enabled": channel.enabled,
        "host": urlsplit(channel.url).hostname if channel.url else None,
        "recipients": len(channel.recipients),
        "events": ",".join(channel.events) or "all",
    }


def _stored(channel: AlertChannel) -> Document:
    return {
        **vars(channel),
        "recipients": list(channel.recipients),
        "secrets": [dict(vars(each)) for each in channel.secrets],
        "events": list(channel.events),
    }
