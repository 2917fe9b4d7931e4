"""Privacy policies: what happens to each class of data, by organisation and by department.

Both owners' policies hold at once. For a class that both speak of, the stricter word counts; what
neither speaks of follows the defaults. Rules and allowed values add up, and a model must be allowed
by the residency of both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.budget_policies import policy_partition
from shared.domain.identifiers import DataClass
from shared.domain.ids import Partition
from shared.domain.ledger import Create, Operation, Patch
from shared.domain.organisation_policies import organisation_policies
from shared.domain.policy_versions import revisions_of
from shared.domain.predicates import equal
from shared.domain.privacy_rules import PrivacyRule, read_rule

Action = Literal["allow", "redact", "warn", "block"]
STRICTNESS: Final[Mapping[Action, int]] = MappingProxyType(
    {"allow": 0, "redact": 1, "warn": 2, "block": 3}
)
DEFAULT_ACTIONS: Final[Mapping[DataClass, Action]] = MappingProxyType(
    {
        "secret": "block",  # nosec B105  # a class of data and what is done with it
        "health": "warn",
        "government": "block",
        "financial": "block",
        "contact": "redact",
        "location": "redact",
        "network": "redact",
        "person": "allow",  # a name alone is mostly the subject of a picture
        "business": "allow",  # public registers
        "custom": "block",
    }
)
DEFAULT_LANGUAGE: Final = "en"
# What the Language service reads for personal information (its language support page).
LANGUAGES: Final = frozenset({
    "af", "am", "ar", "as", "az", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es",
    "et", "eu", "fa", "fi", "fr", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "it", "ja",
    "ka", "kk", "km", "kn", "ko", "ku", "ky", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms",
    "my", "nb", "ne", "nl", "no", "or", "pa", "pl", "ps", "pt", "pt-BR", "pt-PT", "ro", "ru", "sk",
    "sl", "so", "sq", "sr", "ss", "sv", "sw", "ta", "te", "th", "tr", "ug", "uk", "ur", "uz", "vi",
    "zh", "zh-hans", "zh-hant",
})  # fmt: skip
DEFAULT_CONFIDENCE_PERCENT: Final = 60  # what the Language service is surer of counts
AUSTRALIA: Final = "AU"

ResidencyMode = Literal["anywhere", "australia", "named"]


@dataclass(frozen=True)
class Residency:
    """Where prompts may be processed: ISO 3166 countries besides Australia, or anywhere."""

    mode: ResidencyMode = "anywhere"
    regions: tuple[str, ...] = ()  # of the mode `named`, besides Australia

    def allows(self, model_regions: Sequence[str]) -> bool:
        """Whether everything a model may do with a prompt stays where it may be."""
        if self.mode == "anywhere":
            return True
        return set(model_regions) <= {AUSTRALIA, *self.regions}


@dataclass(frozen=True)
class PrivacyPolicy:
    """One owner's policy as it stands; None and missing classes: this owner does not say."""

    owner: str  # a department, or ORGANISATION_WIDE
    actions: Mapping[DataClass, Action] = field(default_factory=dict)
    rules: tuple[PrivacyRule, ...] = ()
    allowed_values: tuple[str, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    language: str | None = None
    confidence_percent: int | None = None
    residency: Residency | None = None
    updated_at: str = ""
    revision: int = 0  # 0: nobody has written one
    change_id: str = ""  # of the write that made this revision: whose it is when answers get lost


@dataclass(frozen=True)
class EffectivePolicy:
    """What holds for a department: its own policy and the organisation's together."""

    department: PrivacyPolicy
    organisation: PrivacyPolicy

    @property
    def version(self) -> str:
        """Names both revisions, for audit events and records."""
        department, organisation = self.department, self.organisation
        return revisions_of(department.owner, department.revision, organisation.revision)

    def action(self, data_class: DataClass) -> Action:
        """What happens to data of a class: the stricter word, or the default."""
        stated = [
            policy.actions[data_class]
            for policy in (self.organisation, self.department)
            if data_class in policy.actions
        ]
        if not stated:
            return DEFAULT_ACTIONS[data_class]
        return max(stated, key=lambda action: STRICTNESS[action])

    @property
    def asks_for_health(self) -> bool:
        """Whether one of the owners has said that health information does not simply pass.

        Then each text is looked at for it, not only those with words of health, and whoever is
        named in one is somebody whose health it may be about.
        """
        stated = any("health" in policy.actions for policy in (self.organisation, self.department))
        return stated and self.action("health") != "allow"

    @property
    def rules(self) -> tuple[PrivacyRule, ...]:
        return self.organisation.rules + self.department.rules

    @property
    def allowed_values(self) -> tuple[str, ...]:
        return self.organisation.allowed_values + self.department.allowed_values

    @property
    def synonyms(self) -> dict[str, tuple[str, ...]]:
        ours, theirs = self.department.synonyms, self.organisation.synonyms
        return {name: theirs.get(name, ()) + ours.get(name, ()) for name in {*ours, *theirs}}

    @property
    def language(self) -> str:
        return self.department.language or self.organisation.language or DEFAULT_LANGUAGE

    @property
    def confidence_percent(self) -> int:
        """The lower of two thresholds finds more, so it counts."""
        stated = [
            policy.confidence_percent
            for policy in (self.organisation, self.department)
            if policy.confidence_percent is not None
        ]
        return min(stated, default=DEFAULT_CONFIDENCE_PERCENT)

    def allows_model_in(self, regions: Sequence[str]) -> bool:
        """Whether both owners let prompts be processed where a model runs."""
        both = (self.organisation.residency, self.department.residency)
        return all(each is None or each.allows(regions) for each in both)


def privacy_partition(owner: str, tenant_id: str) -> Partition:
    """The ledger partition with an owner's privacy policy: the one of its other policies."""
    if owner == ORGANISATION_WIDE:
        return organisation_policies(tenant_id)
    return policy_partition(owner)


POLICY_DOCUMENT_ID: Final = "privacy_policy"


def policy_object_id(owner: str) -> str:
    """What audit events call an owner's privacy policy."""
    return f"privacy_policy:{owner}"


def put_operation(partition: Partition, policy: PrivacyPolicy) -> Operation:
    """Write a policy if its predecessor stands: revision 1 is created, n replaces n - 1."""
    document = {
        "id": POLICY_DOCUMENT_ID,
        "pk": partition.key,
        "type": "privacy_policy",
        "revision": policy.revision,
        "policy": _stored(policy),
    }
    if policy.revision == 1:
        return Create(document)
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": document[name]}
        for name in ("revision", "policy")
    )
    return Patch(POLICY_DOCUMENT_ID, steps, equal({"revision": policy.revision - 1}))


def read_policy(document: Mapping[str, Any]) -> PrivacyPolicy:
    stored = dict(document["policy"])
    residency = stored["residency"]
    stored |= {
        "rules": tuple(read_rule(rule) for rule in stored["rules"]),
        "allowed_values": tuple(stored["allowed_values"]),
        "synonyms": {name: tuple(words) for name, words in stored["synonyms"].items()},
        "residency": Residency(residency["mode"], tuple(residency["regions"]))
        if residency
        else None,
        "revision": int(stored["revision"]),
    }
    return PrivacyPolicy(**stored)


def shown_in_audit(policy: PrivacyPolicy | None) -> dict[str, str | int | bool | None]:
    """What audit events say of a policy: actions and counts, no term and no pattern."""
    if policy is None:
        return {}
    residency = policy.residency
    return {
        **{f"action_{name}": action for name, action in policy.actions.items()},
        "rules": len(policy.rules),
        "allowed_values": len(policy.allowed_values),
        "synonyms": sum(len(words) for words in policy.synonyms.values()),
        "language": policy.language,
        "confidence_percent": policy.confidence_percent,
        "residency": ",".join((residency.mode, *residency.regions)) if residency else None,
    }


def _stored(policy: PrivacyPolicy) -> dict[str, Any]:
    residency = policy.residency
    return {
        **vars(policy),
        "actions": dict(policy.actions),
        "rules": [rule.as_json() for rule in policy.rules],
        "allowed_values": list(policy.allowed_values),
        "synonyms": {name: list(words) for name, words in policy.synonyms.items()},
        "residency": {"mode": residency.mode, "regions": list(residency.regions)}
        if residency
        else None,
    }
