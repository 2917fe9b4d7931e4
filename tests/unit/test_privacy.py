"""The rules of the privacy screen: policies, decisions, and the rules of the house."""

import json
import random
import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.identifiers import DATA_CLASSES, IDENTIFIERS, Finding
from shared.domain.identifiers_text import plain_texts
from shared.domain.identifiers_words import word_search
from shared.domain.models import MODELS
from shared.domain.privacy import FINDINGS_PER_EVENT_MAX, Judge, audit_texts
from shared.domain.privacy_overrides import PrivacyOverride
from shared.domain.privacy_policies import (
    DEFAULT_ACTIONS,
    Action,
    EffectivePolicy,
    PrivacyPolicy,
    Residency,
)
from shared.domain.privacy_rules import (
    OWNER_TERM_CHARS_MAX,
    OWNER_TERMS_MAX,
    PrivacyRule,
    check_rules,
    compiled_rules,
    find_by_rules,
)
from shared.errors import (
    Invalid,
)
from tests import builders
from tests.fakes.clock import NOON

KEY = b"k" * 32
EVENT_BYTES_MAX = 32_000  # an entry of the audit log holds at most 65 535


def policy(
    department: PrivacyPolicy | None = None, organisation: PrivacyPolicy | None = None
) -> EffectivePolicy:
    return EffectivePolicy(
        department or PrivacyPolicy("marketing"), organisation or PrivacyPolicy(ORGANISATION_WIDE)
    )


def ruled(text: str, *rules: PrivacyRule) -> list[Finding]:
    return find_by_rules(text, compiled_rules(rules), lambda: None)


def override(**changes: Any) -> PrivacyOverride:
    values: dict[str, Any] = {
        "override_id": f"marketing-{'0' * 32}",
        "tenant_id": builders.TENANT,
        "department_id": "marketing",
        "data_classes": ("health",),
        "reason": "consent",
        "granted_by": "t.m",
        "created_at": NOON.isoformat(),
        "ends_at": (NOON + timedelta(hours=1)).isoformat(),
        "status": "active",
    }
    return PrivacyOverride(**(values | changes))


# --- policies ----------------------------------------------------------------------------------


def test_every_class_has_a_default_and_every_category_a_class() -> None:
    assert set(DEFAULT_ACTIONS) == set(DATA_CLASSES)
    assert {each.data_class for each in IDENTIFIERS.values()} | {"custom"} == set(DATA_CLASSES)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (None, None, "redact"),  # the default of contact
        ("allow", None, "allow"),
        (None, "block", "block"),
        ("allow", "redact", "redact"),
        ("warn", "redact", "warn"),
        ("warn", "block", "block"),
    ],
)
def test_the_stricter_of_two_words_counts(
    ours: Action | None, theirs: Action | None, expected: Action
) -> None:
    one, other = ({"contact": word} if word else {} for word in (ours, theirs))
    both = policy(PrivacyPolicy("m", actions=one), PrivacyPolicy("o", actions=other))  # type: ignore[arg-type]
    assert both.action("contact") == expected


def test_rules_words_and_values_of_both_owners_add_up() -> None:
    rule = PrivacyRule("a", "terms", terms=("x",))
    ours = PrivacyPolicy(
        "m", rules=(rule,), allowed_values=("a",), synonyms={"au_tfn": ("one",)}, language="fr"
    )
    theirs = replace(ours, owner="o", synonyms={"au_tfn": ("two",)}, confidence_percent=90)
    both = policy(replace(ours, confidence_percent=70), theirs)
    assert both.rules == (rule, rule)
    assert both.allowed_values == ("a", "a")
    assert both.synonyms == {"au_tfn": ("two", "one")}
    assert (both.language, both.confidence_percent) == ("fr", 70)


@pytest.mark.parametrize(
    ("residency", "allowed"),
    [
        (Residency("anywhere"), {"*", "US", "AU"}),
        (Residency("australia"), {"AU"}),
        (Residency("named", ("US",)), {"US", "AU"}),
    ],
)
def test_residency_lets_a_model_run_where_prompts_may_go(
    residency: Residency, allowed: set[str]
) -> None:
    assert {each for each in ("*", "US", "AU") if residency.allows((each,))} == allowed
    assert residency.allows(("AU", "US")) == ({"AU", "US"} <= allowed)


def test_a_model_must_be_allowed_by_both_owners() -> None:
    ours = PrivacyPolicy("m", residency=Residency("anywhere"))
    theirs = PrivacyPolicy("o", residency=Residency("australia"))
    assert not policy(ours, theirs).allows_model_in(("US",))
    assert policy(ours).allows_model_in(("US",))


def test_every_model_says_where_it_runs() -> None:
    for model in MODELS.values():
        assert model.regions
        assert all(each == "*" or (len(each) == 2 and each.isupper()) for each in model.regions)


# --- decisions ---------------------------------------------------------------------------------


def judge(effective: EffectivePolicy, *overrides: PrivacyOverride) -> Judge:
    return Judge(effective, "t.p", NOON, KEY, overrides)


def test_a_mask_is_as_long_as_what_it_covers_and_keeps_the_places() -> None:
    text = "to jane@example.com now"
    found = Finding("email", "contact", 3, 19)
    verdict = judge(policy()).verdict({"prompt": text}, {text: (found,)})
    assert verdict.texts == {"prompt": "to **************** now"}
    assert not verdict.blocked
    kept = verdict.as_json()
    assert kept is not None and kept["redacted"] is True
    assert "jane" not in json.dumps(kept)


def test_what_is_allowed_is_not_kept() -> None:
    found = Finding("person", "person", 0, 4)
    verdict = judge(policy()).verdict({"prompt": "Jane sings"}, {"Jane sings": (found,)})
    assert verdict.as_json() is None and verdict.texts == {"prompt": "Jane sings"}


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, True),
        ({"status": "pending"}, False),
        ({"status": "ended"}, False),
        ({"data_classes": ("contact",)}, False),
        ({"user_key": "t.p"}, True),
        ({"user_key": "t.q"}, False),
        ({"ends_at": NOON.isoformat()}, False),
    ],
)
def test_an_override_passes_its_class_person_and_time_only(
    change: dict[str, Any], passes: bool
) -> None:
    found = Finding("au_medicare", "health", 0, 4)
    verdict = judge(policy(), override(**change)).verdict({"prompt": "text"}, {"text": (found,)})
    assert verdict.blocked is not passes
    assert verdict.overridable
    assert verdict.texts == {"prompt": "text"}


def test_no_override_passes_what_is_blocked() -> None:
    found = Finding("au_tfn", "government", 0, 4)
    wide = override(data_classes=DATA_CLASSES)
    verdict = judge(policy(), wide).verdict({"prompt": "text"}, {"text": (found,)})
    assert verdict.blocked and not verdict.overridable


def test_one_value_has_one_fingerprint_whatever_its_spelling() -> None:
    spellings = ["Jane@Example.com", "jane@example\u200b.com", "ｊａｎｅ@example.com"]
    prints = {
        judge(policy())
        .judged("f", text, [Finding("email", "contact", 0, len(text))])[0]
        .fingerprint
        for text in spellings
    }
    assert len(prints) == 1
    other_key = replace(judge(policy()), key=b"x" * 32)
    (other,) = other_key.judged("f", spellings[0], [Finding("email", "contact", 0, 16)])
    assert other.fingerprint not in prints


def test_audit_events_of_many_findings_stay_small() -> None:
    text = "x" * 10_000
    findings = [Finding("custom", "custom", n, n + 1) for n in range(1_000)]
    words = audit_texts(judge(policy()).judged("49999/negative_prompt", text, findings))
    assert len(words) == 1_000 / FINDINGS_PER_EVENT_MAX
    assert max(map(len, words)) < EVENT_BYTES_MAX


# --- rules of the house ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["(a", r"(a)\1", "(?=a)b", "(?<!a)b", "a*", "", "x{1001}", ".{0,900}b"]
)
def test_a_pattern_that_cannot_be_run_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_rules([PrivacyRule("a", "pattern", pattern=pattern)])
    assert refused.value.problem_code == "invalid_rule"
    assert pattern not in refused.value.detail or not pattern


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", r"([a-z]+)*\d", "(a?){50}a{50}b"]
)
def test_no_pattern_runs_away(pattern: str) -> None:
    rule = PrivacyRule("a", "pattern", pattern=pattern)
    started = time.process_time()
    ruled("a" * 32_000 + "!", rule)
    assert time.process_time() - started < 2.0


def test_terms_are_found_whole_in_any_spelling() -> None:
    rule = PrivacyRule("a", "terms", terms=("project nightingale", "c++"))
    for text in (
        "PROJECT  Nightingale",
        "project\u00a0night\u200bingale",
        "ｐroject nightingale",
        "C++",
    ):
        (found,) = ruled(text, rule)
        assert (found.start, found.end) == (0, len(text))
    assert ruled("projects nightingales", rule) == []


@pytest.mark.parametrize(
    ("terms", "text", "expected"),
    [
        (("nightingale",), "nightingale nightingale", ["nightingale"] * 2),
        (("art new", "new york"), "smart new york", ["new york"]),
        (("new", "new york"), "new york, new", ["new york", "new"]),
        (("++x", "c++"), "++x c++ c++x", ["++x", "c++"]),
        (("東京", "бай"), "в東京に бай бая", ["東京", "бай"]),
        (("STRASSE",), "(straße)—Straße", ["straße", "Straße"]),
    ],
)
def test_each_term_is_found_where_no_letter_touches_it(
    terms: tuple[str, ...], text: str, expected: list[str]
) -> None:
    found = ruled(text, PrivacyRule("a", "terms", terms=terms))
    assert [text[each.start : each.end] for each in found] == expected


@given(
    terms=st.lists(st.text("ab +ß東", min_size=1, max_size=5), min_size=1, max_size=6),
    text=st.text("ab +B東1", max_size=24),
)
@settings(max_examples=300, deadline=None)
def test_terms_are_what_a_plain_search_of_each_finds(terms: list[str], text: str) -> None:
    search = word_search(tuple(terms))
    places = set()
    for term in terms:
        parts = [re.escape(part) for part in plain_texts(term)[0].text.split()]
        if parts:
            before = "" if parts[0][0] == "東" else r"(?<![^\W\d_])"
            after = "" if parts[-1][-1] == "東" else r"(?![^\W\d_])"
            pattern = before + "(?=(" + r"\s+".join(parts) + ")" + after + ")"
            places |= {found.span(1) for found in re.finditer(pattern, text, re.IGNORECASE)}
    found = list(search.spans(text))
    assert set(found) <= places
    assert all(any(a < end and start < b for a, b in found) for start, end in places)


HOSTILE_TERMS = {
    "one beginning, a word at a time": (" ".join(["a"] * 80) + " {}", "a " * 16_000),
    "one beginning, one word": ("a" * 150 + "{}", ("a" * 149 + " ") * 213),
    "each a beginning of the next": ("a" * 190, "a" * 32_000),
    "blanks": ("a " + "b" * 90 + "{}", "a" + " " * 31_998 + "b"),
}


@pytest.mark.parametrize("name", HOSTILE_TERMS)
@pytest.mark.parametrize("spread", [False, True])
def test_no_terms_run_away(name: str, spread: bool) -> None:
    form, text = HOSTILE_TERMS[name]
    rnd = random.Random(1)
    words = tuple(
        form.format("".join(rnd.choice("bcdefgh") for _ in range(8))) if "{" in form else form[:n]
        for n in range(1, 191)
    )
    started = time.process_time()
    found = list(word_search(words, spread=spread).spans(text))
    took_s = time.process_time() - started
    print(f"\n{name}: {took_s * 1_000:.0f} ms")
    assert not found and took_s < 1.0


def test_the_terms_of_all_rules_together_are_bounded() -> None:
    def rules(number: int, term: str) -> list[PrivacyRule]:
        return [PrivacyRule(f"r{n}", "terms", terms=(term,) * 500) for n in range(number)]

    check_rules(rules(OWNER_TERMS_MAX // 500, "bay"))
    for too_many in (rules(OWNER_TERMS_MAX // 500 + 1, "bay"), rules(2, "b" * 100)):
        with pytest.raises(Invalid) as refused:
            check_rules(too_many)
        assert refused.value.problem_code == "invalid_rule"
        assert [each.field for each in refused.value.faults] == [
            f"/rules/{len(too_many) - 1}/terms"
        ]
    assert OWNER_TERM_CHARS_MAX < 2 * 500 * 100


def test_what_is_too_large_to_be_searched_for_is_refused_with_its_field() -> None:
    long = tuple(f"{'a ' * 90}{n}" for n in range(500))
    with pytest.raises(Invalid) as refused:
        check_rules([PrivacyRule("a", "terms", terms=("\ufdfa" * 200,))], {"au_tfn": long[:5]})
    assert [each.field for each in refused.value.faults] == ["/rules/0/terms"]
    distinct = tuple(f"{n} {'a ' * 90}" for n in range(500))
    with pytest.raises(Invalid) as refused:
        check_rules([], {"au_tfn": distinct})
    assert [each.field for each in refused.value.faults] == ["/synonyms/au_tfn"]
