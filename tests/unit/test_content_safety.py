"""Thresholds of Content Safety: what is refused, and how they are written."""

import pytest

from shared.domain.content_safety import (
    CATEGORIES,
    SafetyFinding,
    SafetyThresholds,
    parse_thresholds,
)
from shared.errors import InvariantBroken

HARMLESS = dict.fromkeys(CATEGORIES, 0)


@pytest.mark.parametrize(
    ("severities", "reasons"),
    [
        ({}, ()),
        ({"violence": 3}, ()),
        ({"violence": 4}, ("violence",)),
        ({"hate": 2, "sexual": 7}, ("hate", "sexual")),
        ({"self_harm": 1}, ()),
    ],
)
def test_reasons_begin_at_the_threshold(
    severities: dict[str, int], reasons: tuple[str, ...]
) -> None:
    finding = SafetyFinding({**HARMLESS, **severities})
    assert parse_thresholds("").reasons(finding) == reasons


def test_reasons_name_every_blocklist_that_was_hit() -> None:
    finding = SafetyFinding(HARMLESS, ("brands", "people"))
    assert parse_thresholds("").reasons(finding) == ("blocklist:brands", "blocklist:people")


def test_thresholds_are_written_over_the_defaults() -> None:
    thresholds = parse_thresholds("violence=6 hate=off")
    worst = SafetyFinding({**HARMLESS, "violence": 5, "hate": 7, "sexual": 2})
    assert thresholds.reasons(worst) == ("sexual",)


@pytest.mark.parametrize("text", ["violence", "violence=0", "violence=8", "anger=2", "hate=x"])
def test_thresholds_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_thresholds(text)


def test_thresholds_name_every_category() -> None:
    with pytest.raises(InvariantBroken):
        SafetyThresholds({"hate": 2})


def test_finding_of_two_parts_is_the_worst_of_both() -> None:
    first = SafetyFinding({**HARMLESS, "hate": 4}, ("b",))
    second = SafetyFinding({**HARMLESS, "hate": 2, "sexual": 6}, ("a", "b"))
    assert first.joined(second) == SafetyFinding({**HARMLESS, "hate": 4, "sexual": 6}, ("a", "b"))
