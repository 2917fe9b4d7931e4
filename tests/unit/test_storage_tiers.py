"""The lifecycle rules: what they say, and that the app and the local engine read them alike."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devhost import lifecycle
from devhost.resources import read_resources
from shared.adapters.lifecycle_file import LIFECYCLE_PATH, load_lifecycle
from shared.domain.blob_paths import DEFAULT_RETENTION, HELD, INDEFINITE, RETENTION_TAG, UNDECIDED
from shared.domain.retention import retention_classes
from shared.domain.storage_tiers import (
    BY_AGE,
    BY_LAST_ACCESS,
    LifecyclePolicy,
    StoredBlob,
    Tier,
    parse_policy,
)
from shared.errors import InvariantBroken

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DOCUMENT: dict[str, Any] = json.loads(LIFECYCLE_PATH.read_text("utf-8"))
POLICY = load_lifecycle(tracks_access=False)
TRACKED = load_lifecycle(tracks_access=True)
CLASSES = retention_classes(POLICY.retention_days(RETENTION_TAG))
PICTURE = "images/marketing/202611/g/0"
THUMBNAIL = "thumbnails/marketing/202611/g/0.webp"

# Containers that no rule may touch, and why. What is missing here and in the rules fails a test.
NEVER_TOUCHED = {
    "auditlog": "the audit log's tiles are evidence",
    "auditstate": "the sequencer's place in the log",
    "auditcheckpoints": "immutable by a policy of its own account",
    "auditwitness": "what the witness has seen",
}


def blob(path: str = PICTURE, age_days: float = 0, **fields: Any) -> StoredBlob:
    made = NOW - timedelta(days=age_days)
    tags = {"retention": DEFAULT_RETENTION, "hold": "none"}
    values: dict[str, Any] = {"tier": "hot", "size_bytes": 1, "tags": tags} | fields
    return StoredBlob(path=path, created=made, modified=made, **values)


def way(of: StoredBlob, days: int, policy: LifecyclePolicy = POLICY) -> list[tuple[int, str]]:
    """(day, what happens); day 1 is tomorrow's run."""
    changes = policy.changes(of, NOW + timedelta(days=1), days)
    return [(change.run + 1, change.target) for change in changes]


def test_pictures_grow_cold_by_steps_and_are_deleted_when_their_class_says() -> None:
    cooling = [(31, "cool"), (61, "cold"), (91, "archive")]
    assert way(blob(), 2555) == cooling
    assert way(blob(), 2556) == [*cooling, (2556, "deleted")]


def test_pictures_that_are_old_go_to_the_archive_at_once() -> None:
    assert way(blob(age_days=100), 1) == [(1, "archive")]


@pytest.mark.parametrize(("name", "days"), CLASSES.items())
def test_every_retention_class_deletes_pictures_and_thumbnails_alike(
    name: str, days: int | None
) -> None:
    tags = {"retention": name, "hold": "none"}
    ends = [way(blob(path, tags=tags), 4_000)[-1:] for path in (PICTURE, THUMBNAIL)]
    if days is None:
        assert ends == [[(91, "archive")], []]
    else:
        assert ends == [[(days + 1, "deleted")]] * 2


@pytest.mark.parametrize(
    "tags",
    [
        {"retention": "ninety-days", "hold": HELD},
        {"retention": "ninety-days"},
        {"hold": "none"},
        {"retention": UNDECIDED, "hold": "none"},
        {"retention": "Ninety-Days", "hold": "none"},
        {},
    ],
)
def test_what_is_held_or_not_fully_tagged_is_never_deleted(tags: dict[str, str]) -> None:
    for policy in (POLICY, TRACKED):
        assert policy.deletion(blob(tags=tags)) is None
        assert (10_000, "deleted") not in way(blob(tags=tags, age_days=9_000), 10_000, policy)
        assert all(end != "deleted" for _, end in way(blob(tags=tags, age_days=9_000), 1, policy))


def test_thumbnails_never_leave_the_hot_tier() -> None:
    indefinite = {"retention": INDEFINITE, "hold": "none"}
    assert way(blob(THUMBNAIL, tags=indefinite), 10_000) == []


def test_a_picture_that_came_back_is_left_online_for_four_weeks() -> None:
    back = blob(age_days=200, tier="cold", tier_changed=NOW)
    assert POLICY.online_days(back) == 28
    assert way(back, 100) == [(29, "archive")]


def test_by_last_access_a_picture_that_is_looked_at_stays() -> None:
    seen = blob(age_days=500, last_accessed=NOW - timedelta(days=3))
    assert way(seen, 100, TRACKED) == [(28, "cool"), (58, "cold"), (88, "archive")]
    assert way(seen, 1, POLICY) == [(1, "archive")]
    assert way(blob(age_days=500), 100, TRACKED) == []  # no access time: it was never tracked


def test_exactly_one_of_the_tiering_rules_is_on() -> None:
    for policy, name in ((POLICY, BY_AGE), (TRACKED, BY_LAST_ACCESS)):
        on = {r.name for r in policy.rules if r.enabled} & {BY_AGE, BY_LAST_ACCESS}
        assert on == {name}
    assert parse_policy(DOCUMENT) == POLICY  # as deployed, unless the account tracks access


def test_uploads_plans_and_results_have_rules_of_their_own() -> None:
    assert way(blob("uploads/slot/file.csv", tags={}), 4_000) == [(31, "deleted")]
    assert way(blob("batches/b/p/00000.json", tags={}), 4_000) == [(401, "deleted")]
    results = way(blob("results/b/receipt.json", tags={}), 4_000)
    assert results == [(31, "cool"), (91, "cold"), (2556, "deleted")]  # read at once, whatever age


def test_every_container_is_under_rules_or_named_as_never_touched() -> None:
    containers = set(read_resources().blob_containers)
    ruled = {prefix.rstrip("/") for rule in POLICY.rules for prefix in rule.prefixes}
    assert ruled & set(NEVER_TOUCHED) == set()
    assert containers == ruled | set(NEVER_TOUCHED)


def test_older_versions_are_deleted_in_every_container_that_rules_delete_from() -> None:
    (versions,) = [rule for rule in POLICY.rules if rule.version_days is not None]
    deleting = {
        prefix
        for rule in POLICY.rules
        for action in rule.actions
        for prefix in rule.prefixes
        if action.target == "deleted"
    }
    assert set(versions.prefixes) == deleting


def test_what_is_archived_is_only_what_the_api_can_bring_back() -> None:
    archiving = {
        prefix
        for rule in POLICY.rules
        for action in rule.actions
        for prefix in rule.prefixes
        if action.target == "archive"
    }
    assert archiving == {"images/"}


def _broken(**changes: Any) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    document["rules"][0] |= changes
    return document


def _action(name: str, **conditions: int) -> dict[str, Any]:
    filters = {"blobTypes": ["blockBlob"], "prefixMatch": ["images/"]}
    return {"filters": filters, "actions": {"baseBlob": {name: conditions}}}


AGE, CHANGE = "daysAfterModificationGreaterThan", "daysAfterLastTierChangeGreaterThan"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"rules": []},
        {"policy": DOCUMENT["rules"]},
        {"rules": [*DOCUMENT["rules"], DOCUMENT["rules"][0]]},
        _broken(type="Deathcycle"),
        _broken(enabled="yes"),
        _broken(comment="more"),
        _broken(definition=_action("tierToHot", **{AGE: 1})),
        _broken(definition=_action("tierToCool", **{AGE: 1, CHANGE: 1})),
        _broken(definition=_action("tierToArchive", **{CHANGE: 1})),
        _broken(
            definition=_action("tierToArchive", **{"daysAfterCreationGreaterThan": 1, CHANGE: 1})
        ),
        _broken(definition=_action("delete", **{AGE: -1})),
        _broken(definition=_action("delete", daysAfterTea=1)),
        _broken(
            definition=_action("delete", **{AGE: 1})
            | {"filters": {"blobTypes": ["blockBlob"], "prefixMatch": []}}
        ),
        _broken(
            definition=_action("delete", **{AGE: 1})
            | {
                "filters": {
                    "blobTypes": ["blockBlob"],
                    "prefixMatch": ["images/"],
                    "blobIndexMatch": [{"name": "a", "op": "!=", "value": "b"}],
                }
            }
        ),
    ],
)
def test_policies_that_azure_or_we_would_not_carry_out_are_refused(document: Any) -> None:
    with pytest.raises(InvariantBroken):
        parse_policy(document)


TIER_NAMES: dict[Tier, str] = {"hot": "Hot", "cool": "Cool", "cold": "Cold", "archive": "Archive"}
PATHS = (
    PICTURE, THUMBNAIL, "uploads/s/f.csv", "batches/b/p/0.json", "results/b/r.json", "other/x",
    "imagesnot/x",
)  # fmt: skip
hours = st.integers(0, 24 * 3_000)
moments = hours.map(lambda each: NOW - timedelta(hours=each))
some_days = st.integers(0, 120)
tag_values = st.sampled_from([*CLASSES, UNDECIDED, "none", HELD, "x"])


@st.composite
def stored_blobs(draw: st.DrawFn) -> StoredBlob:
    created = draw(moments)
    return StoredBlob(
        path=draw(st.sampled_from(PATHS)),
        tier=draw(st.sampled_from(list(TIER_NAMES))),
        size_bytes=1,
        created=created,
        modified=max(created, draw(moments)),
        tags=draw(st.dictionaries(st.sampled_from(["retention", "hold", "more"]), tag_values)),
        tier_changed=draw(st.none() | moments),
        last_accessed=draw(st.none() | moments),
    )


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Policies of any rules that Azure takes, overlapping as they like."""
    ages = ["daysAfterCreationGreaterThan", AGE, "daysAfterLastAccessTimeGreaterThan"]
    rules = []
    for number in range(draw(st.integers(1, 4))):
        actions = {}
        for name in draw(st.sets(st.sampled_from(lifecycle.ACTIONS), min_size=1)):
            age = draw(st.sampled_from(ages))
            actions[name] = {age: draw(some_days)}
            if name == "tierToArchive" and age == AGE and draw(st.booleans()):
                actions[name][CHANGE] = draw(some_days)
        filters: dict[str, Any] = {
            "blobTypes": ["blockBlob"],
            "prefixMatch": draw(
                st.lists(
                    st.sampled_from(["images/", "thumbnails/", "results/b", "i"]),
                    min_size=1,
                    max_size=3,
                )
            ),
        }
        if draw(st.booleans()):
            value = draw(tag_values)
            filters["blobIndexMatch"] = [{"name": "retention", "op": "==", "value": value}]
        definition = {"filters": filters, "actions": {"baseBlob": actions}}
        rules.append(
            {
                "name": f"rule-{number}",
                "enabled": draw(st.booleans()),
                "type": "Lifecycle",
                "definition": definition,
            }
        )
    return {"rules": rules}


def engine_way(document: dict[str, Any], of: StoredBlob, days: int) -> list[tuple[int, str]]:
    """The same by the local engine, which runs day after day."""
    seen = lifecycle.Blob(
        of.path, TIER_NAMES[of.tier], of.size_bytes, of.created, of.modified, of.tags,
        of.tier_changed, of.last_accessed,
    )  # fmt: skip
    taken = lifecycle.steps(document["rules"], seen, NOW, days)
    return [(step.day, (step.tier or "deleted").lower()) for step in taken]


@given(stored_blobs(), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_the_local_run_does_what_the_rules_say(of: StoredBlob, days: int) -> None:
    assert engine_way(DOCUMENT, of, days) == way(of, days)


@given(policies(), stored_blobs(), st.integers(1, 200))
@settings(max_examples=300, deadline=None)
def test_the_local_run_does_what_any_rules_say(
    document: dict[str, Any], of: StoredBlob, days: int
) -> None:
    assert engine_way(document, of, days) == way(of, days, parse_policy(document))


def test_rules_ship_with_the_app_and_the_rest_of_bicep_does_not() -> None:
    lines = (LIFECYCLE_PATH.parents[1] / ".funcignore").read_text("utf-8").split()
    ignored = {line for line in lines if fnmatch("bicep/lifecycle.json", line) or line == "bicep"}
    assert ignored == set()
    assert {"bicep/*.bicep", "bicep/modules", "bicep/params"} <= set(lines)
