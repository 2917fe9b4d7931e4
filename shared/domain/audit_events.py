"""Audit events: who did what to which object, with what outcome; no prompt.

An event is bounded where it is written, so that nothing reaches the log that it cannot take. What
somebody typed (a reason, a name) is in it until it is copied: audit_entries.without_texts. So a
decision is written in the letters that stay: words joined by commas, no braces, no `@`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.domain.audit_reasons import is_reason_code
from shared.domain.ids import Partition
from shared.errors import InvariantBroken

EVENT_SCHEMA_VERSION = 1
# A log entry has 65,535 bytes: this, 84 for the hash of each short text, and a partition of 2,048.
EVENT_BYTES_MAX: Final = 48 * 1024
DETAILS_MAX: Final = 64
WHOLE_MAX: Final = 2**53 - 1  # the largest number that every JSON reader takes alike
# Cosmos DB takes ids of 1,023 bytes without / \ ? and #; the outbox puts two before them.
_ID: Final = re.compile(r"[ !\"$-.0->@-\[\]-~]{1,1000}")
_DETAIL: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")
Outcome = Literal["success", "denied", "failure"]


@dataclass(frozen=True)
class AuditEvent:
    """One change of state or one denial. `object_id` plus `action` makes the event unique."""

    action: str
    object_id: str
    actor: str  # "{tenant_id}.{object_id}" of a person, or "system:{what}"
    actor_role: str
    outcome: Outcome
    occurred_at: str
    correlation_id: str
    reason: str | None = None
    details: Mapping[str, str | int | bool | None] = field(default_factory=dict)

    @property
    def event_id(self) -> str:
        return f"{self.object_id}:{self.action}"

    def as_json(self) -> dict[str, Any]:
        """The body that is copied into the append-only container, its texts as keyed hashes.

        Raises InvariantBroken for what the log could not take.
        """
        body = {
            "schema_version": EVENT_SCHEMA_VERSION,
            "event_id": self.event_id,
            "occurred_at": self.occurred_at,
            "action": self.action,
            "object_id": self.object_id,
            "actor": self.actor,
            "actor_role": self.actor_role,
            "outcome": self.outcome,
            "reason": self.reason,
            "reason_is_code": is_reason_code(self.reason),
            "correlation_id": self.correlation_id,
            "details": dict(self.details),
        }
        if _ID.fullmatch(self.event_id) is None:
            raise InvariantBroken("An audit event has an id that no log can take.")
        if len(self.details) > DETAILS_MAX or not all(map(is_detail, self.details.items())):
            raise InvariantBroken("An audit event has details that no log can take.")
        try:
            size = len(json.dumps(body, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            raise InvariantBroken("An audit event has a text that is no Unicode.") from None
        if size > EVENT_BYTES_MAX:
            raise InvariantBroken("An audit event is too long for the log.")
        return body


def is_detail(named: tuple[Any, Any]) -> bool:
    """Whether a name and its value are what the log shows alike to every reader."""
    name, value = named
    if not isinstance(name, str) or _DETAIL.fullmatch(name) is None:
        return False
    if isinstance(value, int):
        return abs(value) <= WHOLE_MAX
    return value is None or isinstance(value, str)


def event_mark(partition: Partition, event: AuditEvent) -> str:
    """What binds one event in another: its id and the SHA-256 of what makes it that event.

    The hash is over fields that the log shows as they are, so that whoever has the entry can
    compute it again.
    """
    bound = {
        "action": event.action,
        "actor": event.actor,
        "at": event.occurred_at,
        "id": event.event_id,
        "object": event.object_id,
        "outcome": event.outcome,
        "partition": partition.key,
        "role": event.actor_role,
    }
    text = json.dumps(bound, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f"{event.event_id}={hashlib.sha256(text.encode()).hexdigest()}"


def outbox_document(partition: Partition, event: AuditEvent) -> dict[str, Any]:
    """The outbox item that commits in the same transaction as the change it tells of."""
    return {
        "id": f"e:{event.event_id}",
        "pk": partition.key,
        "type": "outbox",
        "event": event.as_json(),
    }
