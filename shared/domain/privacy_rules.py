"""Rules of the house: patterns, terms, allowed values and synonyms that an organisation adds.

Patterns are RE2, which has no backtracking: no pattern and no text can make one run away. What RE2
does not offer (look-around, back references) is refused, and so is a pattern that is too large or
that matches nothing at all.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from shared.domain.identifiers import CUSTOM, DataClass, Finding
from shared.domain.identifiers_letters import plain_letter
from shared.domain.identifiers_text import PlainText, folded, plain_texts
from shared.domain.identifiers_words import words_pattern
from shared.errors import FieldFault, Invalid

if TYPE_CHECKING:
    import re2

RULES_MAX: Final = 50  # of one owner; each is run over every prompt
PATTERN_CHARS_MAX: Final = 500
PATTERN_BYTES_MAX: Final = 1 << 20  # of the compiled program and its automaton
TERMS_MAX: Final = 500
TERM_CHARS_MAX: Final = 200
MATCHES_MAX: Final = 1_000  # of one rule in one text
COMPILED_KEPT: Final = 256  # patterns of a few owners

_WIDE_CLASS: Final = re.compile(r"\[[^\]]*[^\x00-\x7f]")  # folded, it would match other letters
# A letter and the marks behind it; conjoining Hangul is one syllable.
_CLUSTER: Final = re.compile(
    "[\u1100-\u11ff]+|.[\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u093c\u1ab0-\u1aff\u20d0-\u20ff\u3099\u309a]*",
    re.DOTALL,
)

RuleKind = Literal["pattern", "terms"]


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


def check_rules(rules: Sequence[PrivacyRule]) -> None:
    """Raise Invalid naming every rule that cannot be run."""
    faults = [
        FieldFault(f"/rules/{number}/pattern", problem)
        for number, rule in enumerate(rules)
        if rule.kind == "pattern" and (problem := _problem(rule.pattern or ""))
    ]
    names = [rule.name for rule in rules]
    faults += [
        FieldFault(f"/rules/{number}/name", "give each rule a name of its own")
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    if faults:
        raise Invalid("Some rules cannot be run.", code="invalid_rule", faults=faults)


def find_by_rules(text: str, rules: Sequence[PrivacyRule]) -> list[Finding]:
    """What the rules of the house find; offsets are those of the text as given."""
    if not rules:
        return []
    # What is not ASCII in a pattern is found in the text as it is, and folded in folded text.
    plain = plain_texts(text)
    as_written = [] if text.isascii() else [PlainText(text), *_composed(text)]
    searches = [
        (view, rule, search)
        for rule in rules
        for views, found_by in ((plain, _folded(rule)), (as_written, _searches(rule)))
        for view in views
        for search in found_by
    ]
    found = {
        Finding(
            category=CUSTOM,
            data_class=rule.data_class,
            start=start,
            end=end,
            layer="rule",
            rule=rule.name,
        )
        for view, rule, search in searches
        for start, end in _matches(view, search)
    }
    return sorted(found, key=lambda each: (each.start, each.end))


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


def _searches(rule: PrivacyRule) -> list[Any]:
    """What finds a rule's matches in a text."""
    if rule.kind == "terms":
        return [words_pattern(rule.terms)]
    return [_compiled(rule.pattern or "")]


def _folded(rule: PrivacyRule) -> list[Any]:
    """What finds a rule's matches in plain text: also its pattern in the form that texts have."""
    other = _folded_pattern(rule.pattern) if rule.pattern else None
    return [*_searches(rule), *([_compiled(other)] if other else [])]


@lru_cache(maxsize=COMPILED_KEPT)
def _folded_pattern(pattern: str) -> str | None:
    """A pattern with its letters folded; None if there is nothing to fold or a class may widen."""
    if pattern.isascii() or _WIDE_CLASS.search(pattern):
        return None
    plain = "".join(c if c.isascii() else f"(?:{re.escape(plain_letter(c))})" for c in pattern)
    return None if _problem(plain) else plain


def _matches(plain: PlainText, pattern: Any) -> Iterator[tuple[int, int]]:
    for number, found in enumerate(pattern.finditer(plain.text)):
        start, end = found.span()
        if number == MATCHES_MAX:  # so many that the rest is taken for one
            yield plain.original(start, len(plain.text))
            return
        if start < end:
            yield plain.original(start, end)


def _problem(pattern: str) -> str | None:
    import re2

    if not pattern or len(pattern) > PATTERN_CHARS_MAX:
        return f"1 to {PATTERN_CHARS_MAX} characters"
    try:
        compiled = _compiled(pattern)
    except re2.error:
        return "not a pattern that RE2 can run"
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
    return re2.compile(pattern, options)
