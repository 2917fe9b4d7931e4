"""The decision about a text: what was found in it, what the policy says, what may leave.

What is kept of a finding is its category, its place and a keyed hash of its text; the text itself
goes nowhere. Masks are as long as what they cover, so that places stay places.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shared.domain.identifiers import Finding
from shared.domain.identifiers_text import folded
from shared.domain.privacy_overrides import PrivacyOverride
from shared.domain.privacy_policies import STRICTNESS, Action, EffectivePolicy

MASK: Final = "*"
MAC_HEX_DIGITS: Final = 32
FINDINGS_KEPT_MAX: Final = 50  # in a record or an answer: more of them say nothing new
FINDINGS_PER_EVENT_MAX: Final = 200  # keeps an audit event far below what a log entry may hold
STOPPING: Final[frozenset[Action]] = frozenset({"warn", "block"})


@dataclass(frozen=True)
class Judged:
    """One finding in one field, and what happens to it."""

    field: str
    finding: Finding
    action: Action
    fingerprint: str
    override_id: str | None = None  # the override by which a warning was passed

    @property
    def stops(self) -> bool:
        return self.action in STOPPING and self.override_id is None

    def as_json(self) -> dict[str, Any]:
        """What records keep and callers see; the fingerprint is for the audit alone."""
        found = self.finding
        return {
            "field": self.field,
            "category": found.category,
            "data_class": found.data_class,
            "action": self.action,
            "offset": found.start,
            "length": found.end - found.start,
            "layer": found.layer,
            "rule": found.rule,
            "override_id": self.override_id,
        }

    @property
    def audit_text(self) -> str:
        """One word for an audit event."""
        found = self.finding
        verb = "override" if self.override_id else self.action
        length = found.end - found.start
        return f"{self.field}:{found.category}:{verb}:at{found.start}+{length}={self.fingerprint}"


@dataclass(frozen=True)
class Verdict:
    """What may leave of one request: its fields as they may be sent, and what was found."""

    texts: Mapping[str, str]  # by field; masked where the policy says so
    judged: tuple[Judged, ...]
    policy_version: str

    @property
    def blocked(self) -> bool:
        return any(each.stops for each in self.judged)

    @property
    def overridable(self) -> bool:
        """Whether an override would let it pass: nothing that stops it is blocked outright."""
        return all(each.action == "warn" for each in self.judged if each.stops)

    @property
    def noted(self) -> tuple[Judged, ...]:
        """What is worth telling: everything but what the policy allows."""
        return tuple(each for each in self.judged if each.action != "allow")

    def as_json(self) -> dict[str, Any] | None:
        """What the generation's record keeps; None if there was nothing to keep."""
        if not self.noted:
            return None
        return {
            "policy": self.policy_version,
            "redacted": any(each.action == "redact" for each in self.noted),
            "findings": [each.as_json() for each in self.noted[:FINDINGS_KEPT_MAX]],
        }


@dataclass(frozen=True)
class Judge:
    """All that a decision about one person's texts depends on, at one moment."""

    policy: EffectivePolicy
    user_key: str
    now: datetime
    key: bytes = field(repr=False)
    overrides: Sequence[PrivacyOverride] = ()

    def judged(self, name: str, text: str, findings: Sequence[Finding]) -> tuple[Judged, ...]:
        """What happens to each finding of a field."""
        return tuple(
            Judged(
                field=name,
                finding=finding,
                action=self.policy.action(finding.data_class),
                fingerprint=fingerprint(self.key, finding, text),
                override_id=self._override_id(finding),
            )
            for finding in findings
        )

    def sendable(self, text: str, findings: Sequence[Finding]) -> str | None:
        """The text as a further layer may see it; None if it may go nowhere."""
        judged = self.judged("", text, findings)
        return None if any(each.stops for each in judged) else masked(text, judged)

    def verdict(self, texts: Mapping[str, str], found: Mapping[str, Sequence[Finding]]) -> Verdict:
        """What may leave of a request; `found` is by text."""
        judged = {name: self.judged(name, text, found[text]) for name, text in texts.items()}
        return Verdict(
            texts={name: masked(text, judged[name]) for name, text in texts.items()},
            judged=tuple(each for of_text in judged.values() for each in of_text),
            policy_version=self.policy.version,
        )

    def _override_id(self, finding: Finding) -> str | None:
        if self.policy.action(finding.data_class) != "warn":
            return None
        for override in self.overrides:
            if override.lets_through(finding.data_class, self.user_key, self.now):
                return override.override_id
        return None


def masked(text: str, judged: Sequence[Judged]) -> str:
    """The text with what must be redacted covered, character for character.

    Where a finding that is redacted shares characters with one that may pass, they are covered.
    """
    letters = list(text)
    for each in judged:
        if each.action == "redact":
            found = each.finding
            letters[found.start : found.end] = MASK * (found.end - found.start)
    return "".join(letters)


def fingerprint(key: bytes, finding: Finding, text: str) -> str:
    """A keyed hash of what was found: the same value gives the same one, and nobody can guess it
    without the key."""
    value = f"{finding.category}\x1f{folded(text[finding.start : finding.end])}"
    return keyed_hash(key, value)[:MAC_HEX_DIGITS]


def keyed_hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def strictest(judged: Sequence[Judged]) -> Action:
    """The hardest thing that happens to any of the findings."""
    return max((each.action for each in judged), key=lambda a: STRICTNESS[a], default="allow")


def audit_texts(judged: Sequence[Judged]) -> list[str]:
    """Findings as audit events carry them, cut so that no event grows too large."""
    words = [each.audit_text for each in judged]
    return [
        ",".join(words[first : first + FINDINGS_PER_EVENT_MAX])
        for first in range(0, len(words), FINDINGS_PER_EVENT_MAX)
    ]


@dataclass(frozen=True)
class Detection:
    """What one layer found in one text, or that it could not read that text."""

    findings: tuple[Finding, ...] = ()
    failure: str | None = None  # our word for what went wrong


@dataclass(frozen=True)
class DetectionTerms:
    """What a detector needs of the policy; `patient`: many texts wait together, so pauses pay."""

    policy: EffectivePolicy
    patient: bool = False
