"""Which fields of audit events may be hashed in the log: texts of people, reviewed one by one.

Whatever else is hashed hides what was decided. The fakes of Cosmos DB check every event that any
test writes, the integration suite every event of its audit container.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.domain.audit_entries import without_texts

# By the first word of the action. `reason` is the event's own, `details.reason` one of its details.
TEXTS: Final[Mapping[str, frozenset[str]]] = {
    "access": frozenset({"details.asked_for"}),
    "allocation": frozenset({"reason"}),
    "case": frozenset({"details.reason"}),
    "data_key": frozenset({"reason"}),
    "department": frozenset({"details.before.name", "details.after.name"}),
    "freeze": frozenset({"details.before_reason", "details.after_reason"}),
    "grant": frozenset({"details.reason"}),
    "hold": frozenset({"details.reason"}),
    "privacy_override": frozenset({"reason"}),
    "provider_batch": frozenset({"reason"}),  # the provider's own word
    "retention": frozenset({"details.reason"}),
    "role": frozenset({"details.before.name", "details.after.name"}),
    "user": frozenset({"reason"}),
}
_KEY: Final = b"any"


def hashed_fields(event: Mapping[str, Any]) -> set[str]:
    """The fields of an event that the log shows as hashes; its correlation id always is one."""
    kept = without_texts(event, _KEY)
    named = {f"details.{name}": value for name, value in kept["details"].items()}
    return {name for name, value in (named | {"reason": kept["reason"]}).items() if _is_hash(value)}


def check_shown(event: Mapping[str, Any]) -> None:
    """Fail for an event that hides more than texts of people."""
    hidden = hashed_fields(event) - TEXTS.get(event["action"].partition(".")[0], frozenset())
    assert not hidden, f"{event['action']} hides {sorted(hidden)} from the log"


def check_kept(event: Mapping[str, Any]) -> None:
    """Fail for an event of the audit container that hides more, or that tells a text of people."""
    check_shown(event)
    assert without_texts(event, _KEY) == event, f"{event['action']} keeps a text for ever"


def _is_hash(value: Any) -> bool:
    return isinstance(value, dict)
