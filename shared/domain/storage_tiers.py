"""Tiers of stored blobs and the rules that move them: Azure's lifecycle policy as data.

A policy is carried out once a day. A run looks at each blob, takes every action of an enabled rule
whose filters match and whose ages are all exceeded, and carries out the cheapest one: deletion
before archive, cold and cool. Nothing ever moves to a warmer tier.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.errors import InvariantBroken

Tier = Literal["hot", "cool", "cold", "archive"]
Target = Literal["cool", "cold", "archive", "deleted"]
Age = Literal["creation", "modification", "last_access", "tier_change"]

TIERS: Final[tuple[Tier, ...]] = ("hot", "cool", "cold", "archive")  # each cheaper than the last
DAY: Final = timedelta(days=1)
RULES_MAX: Final = 100  # of one policy, says Azure
PREFIXES_MAX: Final = 10  # of one rule
TAGS_MAX: Final = 10  # of one rule
BY_AGE: Final = "pictures-by-age"
BY_LAST_ACCESS: Final = "pictures-by-last-access"
_CHEAPNESS: Final[Mapping[str, int]] = {
    "hot": 0, "cool": 1, "cold": 2, "archive": 3, "deleted": 4,
}  # fmt: skip
_ACTIONS: Final[Mapping[str, Target]] = {
    "tierToCool": "cool",
    "tierToCold": "cold",
    "tierToArchive": "archive",
    "delete": "deleted",
}
_AGES: Final[Mapping[str, Age]] = {
    "daysAfterCreationGreaterThan": "creation",
    "daysAfterModificationGreaterThan": "modification",
    "daysAfterLastAccessTimeGreaterThan": "last_access",
    "daysAfterLastTierChangeGreaterThan": "tier_change",
}


@dataclass(frozen=True)
class StoredBlob:
    """A blob as the rules see it; `path` begins with its container."""

    path: str
    tier: Tier
    size_bytes: int
    created: datetime
    modified: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    tier_changed: datetime | None = None  # None: it never left the tier it was created in
    last_accessed: datetime | None = None  # None: the account does not track access
    rehydrating: bool = False

    @property
    def readable(self) -> bool:
        """Whether its bytes can be had now."""
        return self.tier != "archive" and not self.rehydrating


@dataclass(frozen=True)
class Action:
    """What a rule does to a blob that is older, in days, than every one of its ages."""

    target: Target
    ages: Mapping[Age, int]

    def due(self, blob: StoredBlob) -> datetime | None:
        """The moment after which a run carries it out; None while that cannot be told."""
        moments = []
        for age, days in self.ages.items():
            since = _since(blob, age)
            if since is not None:
                moments.append(since + days * DAY)
            elif age == "last_access":
                return None
        return max(moments) if moments else None

    def applies_to(self, blob: StoredBlob) -> bool:
        return _CHEAPNESS[self.target] > _CHEAPNESS[blob.tier]


@dataclass(frozen=True)
class Rule:
    """Filters, all of which must match, and actions."""

    name: str
    enabled: bool
    prefixes: tuple[str, ...]
    tags: Mapping[str, str]
    actions: tuple[Action, ...]
    version_days: int | None = None  # older versions are deleted so long after their creation

    def matches(self, blob: StoredBlob) -> bool:
        return blob.path.startswith(self.prefixes) and all(
            blob.tags.get(name) == value for name, value in self.tags.items()
        )


@dataclass(frozen=True)
class Change:
    """What one daily run does to a blob; run 0 is the first."""

    run: int
    rule: str
    target: Target


@dataclass(frozen=True)
class LifecyclePolicy:
    """The rules of one storage account."""

    rules: tuple[Rule, ...]

    def for_account(self, *, tracks_access: bool) -> "LifecyclePolicy":
        """The same policy with the tiering rule that suits the account switched on."""
        switched = {BY_AGE: not tracks_access, BY_LAST_ACCESS: tracks_access}
        return LifecyclePolicy(
            tuple(replace(r, enabled=switched.get(r.name, r.enabled)) for r in self.rules)
        )

    def retention_days(self, tag: str) -> dict[str, int]:
        """After how many days each value of a retention tag has a blob deleted."""
        return {
            rule.tags[tag]: max(action.ages.values())
            for rule in self.rules
            for action in rule.actions
            if rule.enabled and action.target == "deleted" and tag in rule.tags
        }

    def online_days(self, blob: StoredBlob) -> int:
        """How long a blob that came back from the archive is left where it can be read."""
        found = [
            action.ages.get("tier_change") or action.ages.get("last_access", 0)
            for _, action in self._actions(blob)
            if action.target == "archive"
        ]
        return max(found, default=0)

    def deletion(self, blob: StoredBlob) -> datetime | None:
        """When the rules delete a blob as it is tagged now; None if they never do."""
        found = [a.due(blob) for _, a in self._actions(blob) if a.target == "deleted"]
        return min((due for due in found if due is not None), default=None)

    def changes(self, blob: StoredBlob, first_run: datetime, runs: int) -> Iterator[Change]:
        """What so many daily runs do to a blob, in their order."""
        run = 0
        while (found := self._next(blob, first_run, run)) is not None and found.run < runs:
            yield found
            if found.target == "deleted":
                return
            run = found.run
            blob = replace(blob, tier=found.target, tier_changed=first_run + run * DAY)

    def _next(self, blob: StoredBlob, first_run: datetime, run: int) -> Change | None:
        """The first change from a run on: in the earliest run, the cheapest action."""
        found = []
        for rule, action in self._actions(blob):
            due = action.due(blob)
            if due is not None and action.applies_to(blob):
                at = max(run, _first_run_after(due, first_run))
                found.append((at, -_CHEAPNESS[action.target], Change(at, rule.name, action.target)))
        return min(found, key=lambda each: each[:2])[2] if found else None

    def _actions(self, blob: StoredBlob) -> Iterator[tuple[Rule, Action]]:
        for rule in self.rules:
            if rule.enabled and rule.matches(blob):
                for action in rule.actions:
                    yield rule, action


def parse_policy(document: Mapping[str, Any]) -> LifecyclePolicy:
    """Read a management policy; InvariantBroken for anything that we would not carry out."""
    try:
        (key,) = document
        rules = tuple(_rule(each) for each in document[key])
    except (KeyError, TypeError, ValueError) as fault:
        raise InvariantBroken("The lifecycle policy is malformed.") from fault
    names = [rule.name for rule in rules]
    if key != "rules" or not 0 < len(rules) <= RULES_MAX or len(set(names)) != len(names):
        raise InvariantBroken("A lifecycle policy has 1 to 100 rules of different names.")
    return LifecyclePolicy(rules)


def _rule(document: Mapping[str, Any]) -> Rule:
    name, enabled, kind, definition = _only(document, "name", "enabled", "type", "definition")
    filters, actions = _only(definition, "filters", "actions")
    tags = {
        each["name"]: each["value"]
        for each in filters.get("blobIndexMatch", [])
        if _only(each, "name", "op", "value")[1] == "=="
    }
    prefixes = tuple(filters["prefixMatch"])
    version = actions.get("version")
    rule = Rule(
        name=name,
        enabled=enabled,
        prefixes=prefixes,
        tags=tags,
        actions=tuple(_action(*each) for each in actions.get("baseBlob", {}).items()),
        version_days=None if version is None else _version_days(version),
    )
    if (
        kind != "Lifecycle"
        or type(enabled) is not bool
        or not set(filters) <= {"blobTypes", "prefixMatch", "blobIndexMatch"}
        or filters["blobTypes"] != ["blockBlob"]
        or not 0 < len(prefixes) <= PREFIXES_MAX
        or len(tags) != len(filters.get("blobIndexMatch", []))
        or len(tags) > TAGS_MAX
        or not set(actions) <= {"baseBlob", "version"}
        or (tags and version is not None)  # index tags select base blobs only
        or not (rule.actions or version)
    ):
        raise ValueError(f"rule {name} is none that we know how to carry out")
    return rule


def _action(name: str, conditions: Mapping[str, int]) -> Action:
    ages = {_AGES[each]: days for each, days in conditions.items()}
    others = set(ages) - {"tier_change"}
    if (
        len(others) != 1
        or any(type(days) is not int or days < 0 for days in ages.values())
        # Azure takes the age of a tier change beside one other age, and for the archive only.
        or ("tier_change" in ages and (name != "tierToArchive" or others != {"modification"}))
    ):
        raise ValueError(f"{name} has conditions that Azure refuses")
    return Action(_ACTIONS[name], ages)


def _version_days(document: Mapping[str, Any]) -> int:
    (delete,) = _only(document, "delete")
    (days,) = _only(delete, "daysAfterCreationGreaterThan")
    return int(days)


def _only(document: Mapping[str, Any], *names: str) -> Sequence[Any]:
    """The values of exactly these fields; ValueError if there are others."""
    if set(document) != set(names):
        raise ValueError("a field is missing or unknown")
    return [document[name] for name in names]


def _since(blob: StoredBlob, age: Age) -> datetime | None:
    if age == "creation":
        return blob.created
    if age == "modification":
        return blob.modified
    return blob.last_accessed if age == "last_access" else blob.tier_changed


def _first_run_after(due: datetime, first_run: datetime) -> int:
    return 0 if due < first_run else (due - first_run) // DAY + 1
