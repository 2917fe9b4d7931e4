"""The local layer: recall and precision on synthetic prompts, Unicode, hostile texts."""

import time
from collections import Counter

import pytest

from shared.domain.identifiers import Finding, Span, merged, without_overlaps
from shared.domain.identifiers_scan import find_identifiers
from shared.domain.identifiers_text import plain_texts, with_digits
from shared.domain.identifiers_words import speaks_of_health
from tests.privacy_prompts import CHECKSUMMED, MAKERS, WRITINGS, harmless, samples

SEED = 20261122
PER_CATEGORY = 864  # 72 of each of the twelve writings; 10 368 prompts in all
HARMLESS = 2_000
HOSTILE_S_MAX = 2.0  # on a busy machine; the slowest takes a fraction of it


def found_in(text: str) -> list[tuple[str, str]]:
    return [(each.category, text[each.start : each.end]) for each in find_identifiers(text)]


def test_identifiers_are_found_in_ten_thousand_prompts() -> None:
    hits: Counter[str] = Counter()
    total: Counter[str] = Counter()
    claimed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for sample in samples(SEED, PER_CATEGORY):
        total[sample.category] += 1
        findings = find_identifiers(sample.text)
        covered = any(
            each.category == sample.category
            and each.start <= sample.start + 2  # a quote or a direction mark may stay outside
            and each.end >= sample.end - 2
            for each in findings
        )
        hits[sample.category] += covered
        missed[f"{sample.category} {sample.writing}"] += not covered
        for each in findings:
            claimed[each.category] += 1
            overlaps = each.start < sample.end and sample.start < each.end
            right[each.category] += overlaps and each.category == sample.category
    assert total.total() >= 10_000
    print(f"\n{total.total()} prompts, seed {SEED}, {len(WRITINGS)} writings")
    for category in MAKERS:
        recall = hits[category] / total[category]
        precision = right[category] / max(1, claimed[category])
        print(f"  {category:16} recall {recall:7.2%}  precision {precision:7.2%}")
        if category in CHECKSUMMED:
            assert recall >= 0.99, (category, +missed)
            assert precision >= 0.99, category
        else:
            assert recall >= 0.95, (category, +missed)
            assert precision >= 0.95, category


def test_harmless_prompts_are_left_alone() -> None:
    prompts = harmless(SEED, HARMLESS)
    wrong = {prompt: findings for prompt in prompts if (findings := found_in(prompt))}
    rate = len(wrong) / len(prompts)
    print(f"\n{len(prompts)} harmless prompts: {len(wrong)} false positives ({rate:.2%})")
    assert rate <= 0.02, list(wrong.items())[:5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TFN123456782", [("au_tfn", "123456782")]),
        ("tfn 12.34.56.78.2 on a form", [("au_tfn", "12.34.56.78.2")]),
        ("123 456 782 is my tax file number", [("au_tfn", "123 456 782")]),
        ("population 123,456,782", []),
        ("price $123456782", []),
        ("order A123456782Z", [("au_tfn", "123456782")]),
        ("Medicare 2123 45670 1/2", [("au_medicare", "2123 45670 1/2")]),
        ("ACN 004 085 616", [("au_acn", "004 085 616")]),
        ("ABN 51824753556", [("au_abn", "51824753556")]),
        ("BSB 062-000 Account 1234 5678", [("au_bank_account", "062-000 Account 1234 5678")]),
        ("account 12345678, BSB 062000", [("au_bank_account", "12345678, BSB 062000")]),
        ("jane (at) example (dot) com", [("email", "jane (at) example (dot) com")]),
        ("meet me at the corner dot com", []),
        (
            "0412 345 678 0412 345 679",
            [("phone", "0412 345 678"), ("phone", "0412 345 679")],
        ),
        ("ring +44 20 7946 0958", [("phone", "+44 20 7946 0958")]),
        ("call 13 11 14 or 1800 555 000", []),
        ("2001:db8::ff00:42:8329", [("ip_address", "2001:db8::ff00:42:8329")]),
        ("at 10:45:30, std::vector, v1.2.3.4", []),
        ("password: hunter2abc", [("secret", "hunter2abc")]),
        ("the secret garden, a token gesture, password forgotten", []),
        ("AKIAIOSFODNN7EXAMPLE", [("secret", "AKIAIOSFODNN7EXAMPLE")]),
        ("https://bob:s3cret!@example.com/x", [("secret", "bob:s3cret!")]),
    ],
)
def test_one_text_gives_what_a_person_would_see(text: str, expected: list[tuple[str, str]]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH "])
def test_a_private_key_is_found_whole(kind: str) -> None:
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nMIIEow\nAAAA==\n-----END {kind}PRIVATE KEY-----"
    assert found_in(f"a poster of\n{key}") == [("secret", key)]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("１２３ ４５６ ７８２", "123 456 782"),
        ("1\u200b2\u200d3\ufeff456782", "123456782"),
        ("1\u03012\u0301", "12"),
        ("\U0001d7d9\U0001d7da", "12"),
        ("\u0967\u0968", "12"),
        ("1\u20132", "1-2"),
        ("1\u00a02", "1 2"),
        ("\u0440\u0430ul@\u0435x\u0430mple.com", "paul@example.com"),
        ("e\u0301", "e"),
    ],
)
def test_a_text_is_read_as_it_looks(text: str, seen: str) -> None:
    assert plain_texts(text)[0].text == seen


def test_places_are_those_of_the_text_as_given() -> None:
    text = "\u200b\u200bxé ﬁ TFN １２３\u200b４５６\u0301７８２!"
    assert found_in(text) == [("au_tfn", "１２３\u200b４５６\u0301７８２")]


def test_what_is_written_backwards_is_read_as_it_is_shown() -> None:
    assert found_in("sign \u202e287654321\u202c here") == [("au_tfn", "287654321")]
    assert found_in("sign 287654321 here") == []


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("l23 456 7B2", "123 456 782"),
        ("O412 345 678", "0412 345 678"),
        ("Bold Oil, I see all", "Bold Oil, I see all"),
    ],
)
def test_letters_pass_for_digits_inside_numbers_only(text: str, read: str) -> None:
    assert with_digits(text) == read


def test_words_of_the_house_name_an_identifier() -> None:
    text = "reference 12.34.56.78.2"
    assert find_identifiers(text) == ()
    assert [f.category for f in find_identifiers(text, {"au_tfn": ("reference",)})] == ["au_tfn"]


def test_a_text_on_health_is_told_from_a_picture_of_a_hospital() -> None:
    assert speaks_of_health("the PATIENT was seen on Monday")
    assert not speaks_of_health("a nurse in a hospital, patiently waiting")
    assert speaks_of_health("ward 7", {"health_information": ("ward",)})


def test_a_claim_of_digits_alone_yields_to_what_explains_them() -> None:
    bare, longer, named = (
        Span("au_tfn", 4, 13, 1),
        Span("phone", 0, 13, 1),
        Span("au_abn", 4, 15, 4),
    )
    assert without_overlaps([bare, longer]) == [longer]
    assert without_overlaps([bare, named]) == [named]
    email = Span("email", 0, 25, 5)  # says nothing about the digits of its name
    assert without_overlaps([bare, email]) == [email, bare]


def test_claims_of_equal_weight_stand_beside_each_other() -> None:
    alike = [Span("au_tfn", 0, 9, 1), Span("au_acn", 0, 9, 1)]
    assert without_overlaps(alike) == alike
    both_named = [Span("au_abn", 0, 11, 4), Span("au_tfn", 2, 11, 4)]
    assert without_overlaps(both_named) == both_named


def test_findings_that_touch_are_one_and_keep_the_local_word() -> None:
    cut = Finding("email", "contact", 10, 14, "language", 80)
    whole = Finding("email", "contact", 5, 14, "local")
    other = Finding("email", "contact", 20, 25, "language", 70)
    assert merged([cut, other, whole]) == (whole, other)


HOSTILE = {
    "digits": "1" * 32_000,
    "digits apart": "1 " * 16_000,
    "nines": "9-" * 16_000,
    "at": "a@" * 16_000,
    "locals": "a." * 16_000 + "@",
    "dots": "a@" + "b." * 16_000,
    "colons": ":" * 32_000,
    "hex": "a:b:" * 8_000,
    "iban": "DE89" * 8_000,
    "iban apart": "DE89 3704 " * 3_200,
    "phones": "(02) " * 6_400,
    "phone numbers": "0412 345 678 " * 2_400,
    "keys": "-----BEGIN PRIVATE KEY-----" * 1_100,
    "jwt": "eyJ" * 10_600,
    "passwords": "password " * 3_500,
    "urls": "://a:" * 6_400,
    "bsb": "bsb 062000 " * 2_900,
    "marks": "1\u0301" * 16_000,
    "overrides": "\u202e1" * 16_000,
    "letters": "lO" * 16_000,
    "blanks": " " * 32_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_of_the_greatest_length_is_read_in_time(name: str) -> None:
    started = time.process_time()
    find_identifiers(HOSTILE[name])
    took_s = time.process_time() - started
    print(f"\n{name}: {took_s:.2f} s")
    assert took_s < HOSTILE_S_MAX
