"""Freezes: which targets there are, which work they touch, and how long it waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.budgets import Charge
from shared.domain.freezes import (
    WAIT_S_MAX,
    WAIT_S_MIN,
    Freeze,
    Target,
    freeze_document,
    parse_target,
    read_freeze,
    standing_freeze,
    targets_of_models,
    targets_of_scopes,
)
from tests.fakes.clock import NOON

PERSON = "00000000-0000-4000-8000-000000000001"
GLOBAL = Freeze(Target("global"), "audit", "t.o", NOON.isoformat())


@pytest.mark.parametrize(
    "text",
    [
        "global",
        "provider:replicate",
        "model:gpt-image-2",
        "department:marketing",
        f"user:{PERSON}",
        "project:marketing.apollo",
        "cost_centre:marketing.CC-100",
    ],
)
def test_target_is_named_as_it_was_read(text: str) -> None:
    target = parse_target(text)
    assert target is not None
    assert target.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Global",
        "global:",
        "global:x",
        "provider:adobe",
        "model:",
        "model:GPT-image-2",
        "department:Marketing",
        "department:marketing|202611",
        "user:me",
        f"user:{PERSON.upper()}x",
        "project:apollo",
        "project:marketing.",
        "project:.apollo",
        "project:marketing.apollo/../x",
        "ledger:x",
        "marketing",
    ],
)
def test_target_that_cannot_be_frozen_is_none(text: str) -> None:
    assert parse_target(text) is None


def test_work_is_touched_by_everything_it_uses_and_is_charged_to() -> None:
    scopes = Charge("marketing", f"tenant.{PERSON}", "apollo", "cc1").scopes()
    targets = [*targets_of_models(["sdxl"]), *targets_of_scopes("marketing", scopes)]
    assert [target.text for target in targets] == [
        "global",
        "provider:replicate",
        "model:sdxl",
        "department:marketing",
        f"user:{PERSON}",
        "project:marketing.apollo",
        "cost_centre:marketing.cc1",
    ]
    for target in targets:
        freeze = replace(GLOBAL, target=target)
        assert standing_freeze([freeze], targets, NOON) == freeze
    others = [Target("model", "flux-schnell"), Target("project", "design.apollo")]
    freezes = [replace(GLOBAL, target=target) for target in others]
    assert standing_freeze(freezes, targets, NOON) is None


def test_lifted_and_ended_freezes_stop_nothing() -> None:
    ending = replace(GLOBAL, ends_at=(NOON + timedelta(seconds=1)).isoformat())
    assert ending.stands(NOON)
    assert not ending.stands(NOON + timedelta(seconds=1))
    assert not replace(GLOBAL, lifted=True).stands(NOON)


@pytest.mark.parametrize(
    ("frozen_s", "ends_in_s", "wait_s"),
    [
        (0, None, WAIT_S_MIN),
        (40, None, 10),
        (3_600, None, 900),
        (86_400, None, WAIT_S_MAX),
        (3_600, 30, 30),
        (3_600, 0.5, WAIT_S_MIN),
        (-60, None, WAIT_S_MIN),
    ],
)
def test_paused_work_waits_longer_the_longer_it_is_frozen(
    frozen_s: float, ends_in_s: float | None, wait_s: float
) -> None:
    now: datetime = NOON + timedelta(seconds=frozen_s)
    ends_at = (now + timedelta(seconds=ends_in_s)).isoformat() if ends_in_s else None
    assert replace(GLOBAL, ends_at=ends_at).wait_s(now) == wait_s


def test_extension_keeps_the_beginning_and_a_new_freeze_has_its_own() -> None:
    later = NOON + timedelta(hours=1)
    change = replace(GLOBAL, reason="still", since=later.isoformat())
    extended = GLOBAL.followed_by(change, later)
    assert (extended.since, extended.revision) == (GLOBAL.since, 2)
    lifted = replace(GLOBAL, lifted=True, revision=5)
    again = lifted.followed_by(change, later)
    assert (again.since, again.revision) == (later.isoformat(), 6)


def test_freeze_is_read_back_from_its_document() -> None:
    freeze = replace(GLOBAL, target=Target("model", "sdxl"), change_id="x")
    assert read_freeze(freeze_document("tenant", freeze)) == freeze
