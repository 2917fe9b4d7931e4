"""What the access log says: who wanted to do what, on which object, and why it was decided so.

An event holds ids, codes and names of ours: no body, no name of a person. What an address names in
no form of ours somebody may have typed: it appears as a keyed hash, unless it exists.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.domain.access_decisions import Decisions
from shared.domain.audit_events import AuditEvent, Outcome
from shared.domain.ids import Partition, partition_of
from shared.domain.permissions import CLAIM_BY_ROLE, Permission

if TYPE_CHECKING:
    from shared.domain.identity import Caller, Principal

USES_PER_EVENT_MAX: Final = 80  # of 400 bytes at most: an event has 48 KB
MALFORMED: Final = "malformed"
_SAFE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")  # in the id of an event, too
_SAFE_AND_SLASHES: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_OURS: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Actor:
    """Who is decided on, and under which version of which rules."""

    key: str
    role: str
    home: str  # the department, or whatever else the log is kept by
    policy_version: str | None = None


NOBODY: Final = Actor("anonymous", "none", "nobody")
# Counts the rules of `provisioned` and of shared/services/scim.py: up with each change of them.
PROVISIONING: Final = Actor("system:scim", "system", "scim", policy_version="scim.1")


def actor_of(caller: "Caller") -> Actor:
    """A caller whom the directory knows."""
    role = CLAIM_BY_ROLE[caller.role]
    return Actor(caller.key, role, caller.department_id, policy_version(caller))


def stranger(principal: "Principal") -> Actor:
    """Somebody with a good token whom the directory does not know."""
    return Actor(principal.key, "none", principal.tenant_id)


def provisioned(*, is_read: bool) -> Decisions:
    """What the token of the provisioning app decides: all people of the organisation are its."""
    decisions = Decisions()
    decisions.met(Permission.USERS_READ if is_read else Permission.USERS_WRITE, "organisation")
    return decisions


def policy_version(caller: "Caller") -> str:
    """Names the rules that a caller is under: the role, and a digest of all that they say.

    Whoever has the role and the model rules as they stood can compute it again.
    """
    rights = caller.rights
    rules = (rights.rules, rights.role_rules, rights.organisation_rules) if rights else ()
    said = [
        {str(permission): int(reach) for permission, reach in caller.reaches.items()},
        [each.as_json() for each in rules],
    ]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return f"{caller.role_id}.{digest[:16]}"


@dataclass(frozen=True)
class Target:
    """What a request was for: the operation, and what its address names."""

    operation: str
    noun: str
    ids: tuple[str, ...] = ()
    asked_for: str | None = None  # whose, where the query says it

    def object_id(self, typed_key: bytes | None = None) -> str:
        """The object; with a key, ids in no form of ours appear as hashes under it."""
        return ":".join((self.noun, *(_shown(each, typed_key) for each in self.ids)))

    def wanted(self, typed_key: bytes | None = None) -> str | None:
        text = self.asked_for
        return None if text is None else _shown(text, typed_key, _SAFE_AND_SLASHES)


def _shown(text: str, typed_key: bytes | None, safe: re.Pattern[str] = _SAFE) -> str:
    if typed_key is not None and not (_OURS.fullmatch(text) or partition_of(text)):
        return "hmac." + hmac.digest(typed_key, text.encode(errors="replace"), "sha256").hex()[:32]
    return text if safe.fullmatch(text) else MALFORMED


@dataclass(frozen=True)
class Use:
    """What was decided, of one kind; many of them make one line of a summary."""

    outcome: Outcome
    operation: str
    permission: str  # several are joined by "+", their rules likewise
    rule: str
    object_id: str
    reason: str | None = None

    def line(self, times: int) -> str:
        """Parts by bars, in the letters that the verifiable log shows as they are."""
        parts = (self.operation, self.permission, self.rule, self.reason, self.object_id, times)
        return "|".join("-" if part is None else str(part) for part in parts)


@dataclass(frozen=True)
class Moment:
    """When an event is told, its own id, and the request it belongs to."""

    event_id: str
    at: str
    correlation_id: str


def partition_for(actor: Actor, day: str) -> Partition:
    """Of a day (yyyymmdd), so that no partition grows for ever."""
    return Partition(f"access:{actor.home}", day)


def decision_event(actor: Actor, use: Use, moment: Moment, asked_for: str | None) -> AuditEvent:
    """One decision, told by itself."""
    word = "allowed" if use.outcome == "success" else "denied"
    return AuditEvent(
        action=f"access.{word}.{moment.event_id}",
        object_id=use.object_id,
        actor=actor.key,
        actor_role=actor.role,
        outcome=use.outcome,
        occurred_at=moment.at,
        correlation_id=moment.correlation_id,
        reason=use.reason,
        details={
            "operation": use.operation,
            "permission": use.permission,
            "rule": use.rule,
            "asked_for": asked_for,
            "policy_version": actor.policy_version,
        },
    )


def summary_event(actor: Actor, uses: Mapping[Use, int], moment: Moment, since: str) -> AuditEvent:
    """Decisions on one actor with one outcome; at most USES_PER_EVENT_MAX kinds of them."""
    outcome = next(iter(uses)).outcome
    word = "allowed" if outcome == "success" else "denied"
    return AuditEvent(
        action=f"access.{word}_summary.{moment.event_id}",
        object_id=f"access:{actor.home}",
        actor=actor.key,
        actor_role=actor.role,
        outcome=outcome,
        occurred_at=moment.at,
        correlation_id=moment.correlation_id,
        details={
            "policy_version": actor.policy_version,
            "since": since,
            "decisions": sum(uses.values()),
            "uses": ",".join(use.line(times) for use, times in uses.items()),
        },
    )
