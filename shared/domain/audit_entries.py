"""Log entries: audit events as canonical JSON (RFC 8785), with free text replaced by keyed hashes.

Neither the audit container nor the log forgets, and the log is made to be handed out, so nothing
that a person typed stands in them: a reason or a comment appears as HMAC-SHA256 under a key of
ours, which can show later that a given text was meant. Codes, ids, versions, amounts and hashes
stay as they are. An event is committed so on its way into the container; one that was copied before
that was done there has the same entry. Whatever the container holds has an entry: a document that
is no event, or none that the log can take, is logged by its hash.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from shared.domain.audit_events import is_detail
from shared.domain.log_tiles import ENTRY_BYTES_MAX
from shared.domain.merkle import leaf_hash

ENTRY_VERSION: Final = 1
KEY_BYTES: Final = 16  # of an entry's key: 2^64 events before two are likely to share one
PARTITION_CHARS_MAX: Final = 2_048  # what Cosmos DB takes
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:|/+,=-]*(?: [A-Za-z0-9_.:|/+,=-]+:[A-Za-z0-9_.:|-]+)*")
_CODE: Final = re.compile(r"[a-z][a-z0-9_.]{0,99}")
_SHOWABLE: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
_OWN_CORRELATION: Final = re.compile(r"[0-9a-f]{32}")  # as telemetry makes them: no text in it
_WORDS: Final = re.compile(r"[_.]")
_TYPED_BY_PEOPLE: Final = frozenset({"reason", "comment", "note", "name", "label"})
_COMMITMENT: Final = "hmac_sha256"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SIGNIFICANT: Final = ("event_id", "occurred_at", "action", "object_id", "actor", "outcome")
_OUTCOMES: Final = frozenset({"success", "denied", "failure"})
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
    is_readable: bool = True  # False: the document was logged by its hash

    @property
    def key(self) -> bytes:
        return entry_key(self.partition_key, self.event_id)


def entry_key(partition_key: str, event_id: str) -> bytes:
    """What an event is found by; event ids are unique within a partition."""
    return hashlib.sha256(f"{partition_key}\0{event_id}".encode()).digest()[:KEY_BYTES]


def without_texts(event: Mapping[str, Any], text_key: bytes) -> dict[str, Any]:
    """An event as it is kept: what somebody typed by its keyed hash, which stays if done again."""
    reason = event.get("reason")
    is_code = event.get("reason_is_code") is True and isinstance(reason, str)
    if not (reason is None or _is_commitment(reason) or (is_code and _CODE.fullmatch(reason))):
        reason = _committed(event["event_id"], "reason", reason, text_key)
    shown = {name: _shown(event, name, value, text_key) for name, value in event["details"].items()}
    kept = {**event, "reason": reason, "details": shown}
    correlation_id = event.get("correlation_id")
    if isinstance(correlation_id, str) and _OWN_CORRELATION.fullmatch(correlation_id) is None:
        kept["correlation_id"] = _correlation(correlation_id, text_key)
    return kept


def entry_of(record: AuditRecord, text_key: bytes) -> LogEntry:
    """The entry of an audit document; one that holds no event is logged by its hash."""
    if not _is_event(record):
        return _note(record, UNREADABLE, _digest(record.event))
    event = without_texts(record.event, text_key)
    details = event["details"]
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
        "reason": event["reason"],
        "policy_version": details.pop("policy_version", None),
        "price_version": details.pop("price_version", None),
        "correlation": _correlation(event.get("correlation_id"), text_key),
        "details": details,
    }
    try:
        content = rfc8785.dumps(body)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):  # not everybody reads it alike
        return _note(record, UNREADABLE, _digest(record.event))
    if len(content) > ENTRY_BYTES_MAX:
        return _note(record, UNREADABLE, _digest(record.event))
    return LogEntry(record.partition_key, event["event_id"], content)


def altered_entry(record: AuditRecord, index: int, text_key: bytes) -> LogEntry:
    """What is logged when an event that is in the log comes again with another content."""
    now = hashlib.sha256(entry_of(record, text_key).content).hexdigest()
    return _note(record, ALTERED, now, index=index)


def as_logged(entry: LogEntry) -> bytes:
    """The entry's leaf hash."""
    return leaf_hash(entry.content)


def is_entry_of(content: bytes, partition_key: str, event_id: str) -> bool:
    """Whether these logged bytes are the entry of that event."""
    entry = json.loads(content)
    return (entry.get("partition"), entry.get("id")) == (partition_key, event_id)


def _note(record: AuditRecord, action: str, sha256: str, **more: int) -> LogEntry:
    """An entry of the sequencer's own about a document that is not as it should be."""
    document = _digest(record.document_id)
    partition = record.partition_key
    if not _is_showable(partition) or len(partition) > PARTITION_CHARS_MAX:
        partition = f"sha256:{_digest(partition)}"
    event_id = f"{document[:32]}:{action}:{sha256[:16]}"
    content = rfc8785.dumps(
        {
            "v": ENTRY_VERSION,
            "partition": partition,
            "id": event_id,
            "actor": "system:sequencer",
            "action": action,
            "object": document,
            "outcome": "failure",
            "details": {"sha256": sha256, **more},
        }
    )
    return LogEntry(partition, event_id, content, is_readable=False)


def _is_event(record: AuditRecord) -> bool:
    """Whether a document is an event that every reader of the log takes alike."""
    event = record.event
    if not isinstance(event, dict) or event.get("event_id") != record.document_id:
        return False
    texts = [record.partition_key, *(event.get(name) for name in _SIGNIFICANT)]
    reason = "" if _is_commitment(event.get("reason")) else event.get("reason") or ""
    correlation = event.get("correlation_id")
    correlation = "" if _is_commitment(correlation) else correlation or ""
    texts += [event.get("actor_role") or "", correlation, reason]
    details = event.get("details")
    return (
        all(isinstance(text, str) and _is_showable(text) for text in texts[:-1])
        and isinstance(texts[-1], str)
        and event["outcome"] in _OUTCOMES
        and isinstance(details, dict)
        and all(_is_hashable(each) for each in details.items())
    )


def _is_hashable(named: tuple[Any, Any]) -> bool:
    """A detail is taken as it is, or by a keyed hash of its text whatever that is."""
    name, value = named
    return is_detail(named) or (is_detail((name, None)) and not isinstance(value, int))


def _is_showable(text: str) -> bool:
    return _SHOWABLE.fullmatch(text) is not None


def _shown(event: Mapping[str, Any], name: str, value: Any, text_key: bytes) -> Any:
    """A detail as it may be handed out: no text of people, and no other shape than a scalar."""
    if value is None or isinstance(value, bool | int) or _is_commitment(value):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if (
        isinstance(value, str)
        and _WORDS.split(name)[-1] not in _TYPED_BY_PEOPLE
        and _PLAIN.fullmatch(text)
    ):
        return value
    return _committed(event["event_id"], name, text, text_key)


def _correlation(correlation_id: Any, text_key: bytes) -> Any:
    """Callers choose it, so it is hashed; alike for all events of one request."""
    if correlation_id is None or _is_commitment(correlation_id):
        return correlation_id
    return _committed("", "correlation", correlation_id, text_key)


def _committed(event_id: str, name: str, text: str, text_key: bytes) -> dict[str, str]:
    message = "\0".join((event_id, name, text)).encode(errors="surrogatepass")
    return {_COMMITMENT: hmac.digest(text_key, message, "sha256").hex()}


def _is_commitment(value: Any) -> bool:
    """Whether it is what _committed gives; nobody can type it, for what is typed is no object."""
    return (
        isinstance(value, dict)
        and set(value) == {_COMMITMENT}
        and isinstance(value[_COMMITMENT], str)
        and _HASH.fullmatch(value[_COMMITMENT]) is not None
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
