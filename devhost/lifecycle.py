"""Azure's lifecycle engine for Azurite, which has none: the daily runs of some days to come.

It reads bicep/lifecycle.json as Azure would and knows nothing of the app. A run looks at every
blob and does the cheapest thing that a matching rule asks for: delete, archive, cold, cool.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

LIFECYCLE_FILE = Path(__file__).resolve().parents[1] / "bicep" / "lifecycle.json"
ACTIONS = ("delete", "tierToArchive", "tierToCold", "tierToCool")  # cheapest first
TIER_OF = {"tierToArchive": "Archive", "tierToCold": "Cold", "tierToCool": "Cool"}
WARMTH = ("Archive", "Cold", "Cool", "Hot")

Rules = list[dict[str, Any]]


@dataclass(frozen=True)
class Blob:
    """A blob as the storage account lists it; `path` begins with its container."""

    path: str
    tier: str
    size_bytes: int
    created: datetime
    modified: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    tier_changed: datetime | None = None
    last_accessed: datetime | None = None


@dataclass(frozen=True)
class Step:
    """What the run of one day (1 is tomorrow) does to a blob; `tier` None: it is deleted."""

    day: int
    rule: str
    tier: str | None


def read_rules(path: Path = LIFECYCLE_FILE) -> Rules:
    rules: Rules = json.loads(path.read_text("utf-8"))["rules"]
    return rules


def steps(rules: Rules, blob: Blob, now: datetime, days: int) -> list[Step]:
    """What the runs of so many days do to a blob, one run a day, in their order."""
    matching = [rule for rule in rules if rule["enabled"] and _matches(rule, blob)]
    taken: list[Step] = []
    for day in range(1, days + 1):
        moment = now + timedelta(days=day)
        found = _cheapest(matching, blob, moment)
        if found is None:
            continue
        rule, action = found
        taken.append(Step(day, rule["name"], TIER_OF.get(action)))
        if action == "delete":
            break
        blob = replace(blob, tier=TIER_OF[action], tier_changed=moment)
    return taken


def _matches(rule: Mapping[str, Any], blob: Blob) -> bool:
    filters = rule["definition"]["filters"]
    return any(blob.path.startswith(prefix) for prefix in filters["prefixMatch"]) and all(
        blob.tags.get(each["name"]) == each["value"] for each in filters.get("blobIndexMatch", ())
    )


def _cheapest(
    rules: Iterable[Mapping[str, Any]], blob: Blob, moment: datetime
) -> tuple[Mapping[str, Any], str] | None:
    rules = list(rules)
    for action in ACTIONS:
        if action != "delete" and WARMTH.index(TIER_OF[action]) >= WARMTH.index(blob.tier):
            continue
        for rule in rules:
            conditions = rule["definition"]["actions"].get("baseBlob", {}).get(action)
            if conditions is not None and _is_old_enough(conditions, blob, moment):
                return rule, action
    return None


def _is_old_enough(conditions: Mapping[str, int], blob: Blob, moment: datetime) -> bool:
    since = {
        "daysAfterCreationGreaterThan": blob.created,
        "daysAfterModificationGreaterThan": blob.modified,
        "daysAfterLastAccessTimeGreaterThan": blob.last_accessed,
        "daysAfterLastTierChangeGreaterThan": blob.tier_changed,
    }
    for name, days in conditions.items():
        start = since[name]
        if start is None and name == "daysAfterLastTierChangeGreaterThan":
            continue  # it was never moved
        if start is None or moment - start <= timedelta(days=days):
            return False
    return True
