"""Log entries: audit events as canonical JSON (RFC 8785), with free text replaced by keyed hashes.

The log is made to be handed out, so nothing that a person typed stands in it: a reason or a comment
appears as HMAC-SHA256 under a key of ours, which can show later that a given text was meant. Codes,
ids, versions, amounts and hashes stay as they are.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from shared.domain.log_tiles import ENTRY_BYTES_MAX
from shared.domain.merkle import leaf_hash

ENTRY_VERSION: Final = 1
KEY_BYTES: Final = 16  # of an entry's key: 2^64 events before two are likely to share one
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:|/+,=-]*(?: [A-Za-z0-9_.:|/+,=-]+:[A-Za-z0-9_.:|-]+)*")
_CODE: Final = re.compile(r"[a-z][a-z0-9_.]{0,99}")
_TYPED_BY_PEOPLE: Final = frozenset({"reason", "comment", "note", "name", "label"})
_SIGNIFICANT: Final = ("event_id", "occurred_at", "action", "object_id", "actor", "outcome")
ALTERED: Final = "audit.altered"
UNREADABLE: Final = "audit.unreadable"


@dataclass(frozen=True)
class AuditRecord:
    """One document of the audit container: its partition, its id and what it holds."""

    partition_key: str
    document_id: str
    event: Any


@dataclass(frozen=True)
class LogEntry:
    """One entry of the log, and the partition and id under which it is found again."""

    partition_key: str
    event_id: str
    content: bytes

    @property
    def key(self) -> bytes:
        return entry_key(self.partition_key, self.event_id)


def entry_key(partition_key: str, event_id: str) -> bytes:
    """What an event is found by; event ids are unique within a partition."""
    return hashlib.sha256(f"{partition_key}\0{event_id}".encode()).digest()[:KEY_BYTES]


def entry_of(record: AuditRecord, text_key: bytes) -> LogEntry:
    """The entry of an audit document; one that holds no event is logged by its hash."""
    event = record.event
    if not _is_event(event, record.document_id):
        return _note(record, UNREADABLE, _digest(event))
    details = {
        name: _shown(event, name, value, text_key) for name, value in event["details"].items()
    }
    reason = event.get("reason")
    if isinstance(reason, str) and _CODE.fullmatch(reason) is None:
        reason = _committed(event["event_id"], "reason", reason, text_key)
    body = {
        "v": ENTRY_VERSION,
        "partition": record.partition_key,
        "id": event["event_id"],
        "at": event["occurred_at"],
        "actor": event["actor"],
        "role": event.get("actor_role"),
        "action": event["action"],
        "object": event["object_id"],
        "outcome": event["outcome"],
        "reason": reason,
        "policy_version": details.pop("policy_version", None),
        "price_version": details.pop("price_version", None),
        "correlation": event.get("correlation_id"),
        "details": details,
    }
    try:
        content = rfc8785.dumps(body)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):  # not everybody reads it alike
        return _note(record, UNREADABLE, _digest(event))
    if len(content) > ENTRY_BYTES_MAX:
        content = rfc8785.dumps(body | {"details": {"sha256": _digest(event)}})
    return LogEntry(record.partition_key, event["event_id"], content)


def altered_entry(record: AuditRecord, index: int, text_key: bytes) -> LogEntry:
    """What is logged when an event that is in the log comes again with another content."""
    now = hashlib.sha256(entry_of(record, text_key).content).hexdigest()
    return _note(record, ALTERED, now, index=index)


def as_logged(entry: LogEntry) -> bytes:
    """The entry's leaf hash."""
    return leaf_hash(entry.content)


def _note(record: AuditRecord, action: str, sha256: str, **more: int) -> LogEntry:
    """An entry of the sequencer's own about a document that is not as it should be."""
    document = _digest(record.document_id)
    event_id = f"{document[:32]}:{action}:{sha256[:16]}"
    content = rfc8785.dumps(
        {
            "v": ENTRY_VERSION,
            "partition": record.partition_key,
            "id": event_id,
            "actor": "system:sequencer",
            "action": action,
            "object": document,
            "outcome": "failure",
            "details": {"sha256": sha256, **more},
        }
    )
    return LogEntry(record.partition_key, event_id, content)


def _is_event(event: Any, document_id: str) -> bool:
    if not isinstance(event, dict) or event.get("event_id") != document_id:
        return False
    return isinstance(event.get("details"), dict) and all(
        isinstance(event.get(name), str) for name in _SIGNIFICANT
    )


def _shown(event: Mapping[str, Any], name: str, value: Any, text_key: bytes) -> Any:
    """A detail as it may be handed out: no text of people, and no other shape than a scalar."""
    if value is None or isinstance(value, bool | int):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if (
        isinstance(value, str)
        and name.rpartition("_")[2] not in _TYPED_BY_PEOPLE
        and _PLAIN.fullmatch(text)
    ):
        return value
    return _committed(event["event_id"], name, text, text_key)


def _committed(event_id: str, name: str, text: str, text_key: bytes) -> dict[str, str]:
    message = "\0".join((event_id, name, text)).encode()
    return {"hmac_sha256": hmac.digest(text_key, message, "sha256").hex()}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
