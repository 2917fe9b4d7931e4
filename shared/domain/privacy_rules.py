"""Rules of the house: patterns, terms, allowed values and synonyms that an organisation adds.

Patterns and terms are run by RE2, which has no backtracking: each search takes a time that grows
with the text only. What RE2 does not offer (look-around, back references) is refused, and so is a
pattern that is too large or that matches nothing at all. Many matches of many rules can still add
up: whoever runs them says when it is enough.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal

from shared.domain.identifiers import CUSTOM, NO_SYNONYMS, DataClass, Finding, Synonyms
from shared.domain.identifiers_letters import plain_letter
from shared.domain.identifiers_text import PlainText, folded, plain_texts
from shared.domain.identifiers_words import WordsTooLarge, word_search
from shared.errors import FieldFault, Invalid

if TYPE_CHECKING:
    import re2

RULES_MAX: Final = 50  # of one owner; each is run over every prompt
PATTERN_CHARS_MAX: Final = 500
PATTERN_BYTES_MAX: Final = 1 << 20  # of the compiled program and its automaton
# Steps of the compiled program: one search of the longest text takes half a second at worst, and
# nothing can end it.
PATTERN_STEPS_MAX: Final = 5_000
TERMS_MAX: Final = 500  # of one rule
TERM_CHARS_MAX: Final = 200
OWNER_TERMS_MAX: Final = 5_000  # of all rules of one owner
OWNER_TERM_CHARS_MAX: Final = 50_000  # likewise; a few thousand names and phrases
MATCHES_MAX: Final = 1_000  # of one rule in one text
COMPILED_KEPT: Final = 256  # patterns of a few owners

_WIDE_CLASS: Final = re.compile(r"\[[^\]]*[^\x00-\x7f]")  # folded, it would match other letters
# A letter and the marks behind it; conjoining Hangul is one syllable.
_CLUSTER: Final = re.compile(
    "[\u1100-\u11ff]+|.[\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u093c\u1ab0-\u1aff\u20d0-\u20ff\u3099\u309a]*",
    re.DOTALL,
)

RuleKind = Literal["pattern", "terms"]
SpansOf = Callable[[str], Iterator[tuple[int, int]]]


@dataclass(frozen=True)
class PrivacyRule:
    """What the house looks for: an RE2 pattern, or terms in any case and spelling."""

    name: str
    kind: RuleKind
    data_class: DataClass = "custom"
    pattern: str | None = None
    terms: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "terms": list(self.terms)}


def read_rule(stored: Mapping[str, Any]) -> PrivacyRule:
    return PrivacyRule(**{**stored, "terms": tuple(stored["terms"])})


def check_rules(rules: Sequence[PrivacyRule], synonyms: Synonyms = NO_SYNONYMS) -> None:
    """Raise Invalid naming every rule, and every category with synonyms, that cannot be run."""
    faults = [
        FieldFault(f"/rules/{number}/{rule.kind}", problem)
        for number, rule in enumerate(rules)
        if (problem := _problem(rule))
    ]
    names = [rule.name for rule in rules]
    faults += [
        FieldFault(f"/rules/{number}/name", "give each rule a name of its own")
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    faults += _beyond_all(rules)
    faults += [
        FieldFault(f"/synonyms/{category}", "too many or too long")
        for category, words in synonyms.items()
        if not _can_be_searched(words, spread=True)
    ]
    if faults:
        raise Invalid("Some rules cannot be run.", code="invalid_rule", faults=faults)


def _beyond_all(rules: Sequence[PrivacyRule]) -> list[FieldFault]:
    """The first rule whose terms, with those before, are more than an owner may have."""
    terms = chars = 0
    for number, rule in enumerate(rules):
        terms += len(rule.terms)
        chars += sum(len(term) for term in rule.terms)
        if terms > OWNER_TERMS_MAX or chars > OWNER_TERM_CHARS_MAX:
            said = f"at most {OWNER_TERMS_MAX} terms and {OWNER_TERM_CHARS_MAX} characters of terms"
            return [FieldFault(f"/rules/{number}/terms", f"{said} in all rules together")]
    return []


@dataclass(frozen=True)
class CompiledRule:
    """A rule with what finds its matches: in plain text, and in the text as it is written."""

    rule: PrivacyRule
    in_plain: tuple[SpansOf, ...]
    as_written: tuple[SpansOf, ...]


def compiled_rules(rules: Sequence[PrivacyRule]) -> list[CompiledRule]:
    """Rules ready to be run; raises if one of them cannot be."""
    return [CompiledRule(rule, tuple(_folded(rule)), tuple(_searches(rule))) for rule in rules]


def find_by_rules(
    text: str, rules: Sequence[CompiledRule], check_time: Callable[[], None]
) -> list[Finding]:
    """What the rules of the house find; offsets are those of the text as given.

    `check_time` is called between searches and raises when they have taken too long.
    """
    if not rules:
        return []
    # What is not ASCII in a pattern is found in the text as it is, and folded in folded text.
    plain = plain_texts(text)
    as_written = [] if text.isascii() else [PlainText(text), *_composed(text)]
    found: set[Finding] = set()
    for each in rules:
        for views, searches in ((plain, each.in_plain), (as_written, each.as_written)):
            for view, search in product(views, searches):
                check_time()
                for start, end in _matches(view, search):
                    check_time()
                    found.add(_finding(each.rule, start, end))
    return sorted(found, key=lambda each: (each.start, each.end))


def _finding(rule: PrivacyRule, start: int, end: int) -> Finding:
    return Finding(
        category=CUSTOM,
        data_class=rule.data_class,
        start=start,
        end=end,
        layer="rule",
        rule=rule.name,
    )


def _composed(text: str) -> list[PlainText]:
    """The text with each letter and its marks as one character, where there is such a one."""
    if unicodedata.is_normalized("NFC", text):
        return []
    kept: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for cluster in _CLUSTER.finditer(text):
        composed = unicodedata.normalize("NFC", cluster[0])
        kept.append(composed)
        starts += [cluster.start()] * len(composed)
        ends += [cluster.end()] * len(composed)
    return [PlainText("".join(kept), tuple(starts), tuple(ends))]


def without_allowed(
    text: str, findings: Sequence[Finding], allowed: Sequence[str]
) -> tuple[Finding, ...]:
    """The findings but for those whose whole text is an allowed value, in any spelling."""
    if not allowed or not findings:
        return tuple(findings)
    values = {folded(value) for value in allowed}
    return tuple(each for each in findings if folded(text[each.start : each.end]) not in values)


def _searches(rule: PrivacyRule) -> list[SpansOf]:
    """What finds a rule's matches in a text."""
    if rule.kind == "terms":
        return [word_search(rule.terms).spans]
    return [_spans_of(rule.pattern or "")]


def _folded(rule: PrivacyRule) -> list[SpansOf]:
    """What finds a rule's matches in plain text: also its pattern in the form that texts have."""
    other = _folded_pattern(rule.pattern) if rule.pattern else None
    return [*_searches(rule), *([_spans_of(other)] if other else [])]


def _spans_of(pattern: str) -> SpansOf:
    compiled = _compiled(pattern)
    return lambda text: (found.span() for found in compiled.finditer(text))


@lru_cache(maxsize=COMPILED_KEPT)
def _folded_pattern(pattern: str) -> str | None:
    """A pattern with its letters folded; None if there is nothing to fold or a class may widen."""
    if pattern.isascii() or _WIDE_CLASS.search(pattern):
        return None
    plain = "".join(c if c.isascii() else f"(?:{re.escape(plain_letter(c))})" for c in pattern)
    return None if _pattern_problem(plain) else plain


def _matches(plain: PlainText, search: SpansOf) -> Iterator[tuple[int, int]]:
    for number, (start, end) in enumerate(search(plain.text)):
        if number == MATCHES_MAX:  # so many that the rest is taken for one
            yield plain.original(start, len(plain.text))
            return
        if start < end:
            yield plain.original(start, end)


def _problem(rule: PrivacyRule) -> str | None:
    if rule.kind == "pattern":
        return _pattern_problem(rule.pattern or "")
    return None if _can_be_searched(rule.terms) else "too many or too long"


def _can_be_searched(words: tuple[str, ...], *, spread: bool = False) -> bool:
    try:
        word_search(words, spread=spread)
    except WordsTooLarge:
        return False
    return True


def _pattern_problem(pattern: str) -> str | None:
    import re2

    if not pattern or len(pattern) > PATTERN_CHARS_MAX:
        return f"1 to {PATTERN_CHARS_MAX} characters"
    try:
        compiled = _compiled(pattern)
    except re2.error:
        return "not a pattern that RE2 can run"
    if compiled.programsize > PATTERN_STEPS_MAX:
        return "too large: fewer or shorter repetitions, and narrower classes"
    if compiled.search("") is not None:
        return "it matches the empty text"
    return None


@lru_cache(maxsize=COMPILED_KEPT)
def _compiled(pattern: str) -> "re2._Regexp[str]":
    import re2

    options = re2.Options()
    options.max_mem = PATTERN_BYTES_MAX
    options.log_errors = False  # they quote the pattern
    options.case_sensitive = False
    options.never_capture = True  # only the whole match counts, and groups cost
    return re2.compile(pattern, options)
