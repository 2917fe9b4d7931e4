"""A text as the finders of numbers see it: its runs of digits, and the words that name them."""

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

from shared.domain.identifiers import Synonyms
from shared.domain.identifiers_words import context_words, word_search

BEFORE_CHARS: Final = 48  # how far a word may stand before the number that it names
AFTER_CHARS: Final = 24
BETWEEN_CHARS_MAX: Final = 6  # between two groups of one number: a comma, " and", " then"
SIGNS_MAX: Final = 40  # likewise, if there is no letter among them: blanks, dots, line breaks
# Strengths: a word before says more than a word after, a printed form more than loose digits.
NAMED_BEFORE, NAMED_AFTER, BARE, IN_FORM = 4, 2, 0, 1
_BETWEEN: Final = rf"(?:[^0-9]{{1,{BETWEEN_CHARS_MAX}}}|[\W_]{{1,{SIGNS_MAX}}})"
_RUN: Final = re.compile(rf"[0-9]+(?:{_BETWEEN}[0-9]+)*")
_JOINS: Final = frozenset("-./_,:+*#'")
GAPS_KEPT: Final = 1_024  # different ones; a text has a few
_GROUP: Final = re.compile(r"[0-9]+")
# Numbers of things, not of people: UUIDs and hashes, whose letters are those of hexadecimal.
_HEX: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9A-Fa-f]{24,128})"
    r"(?![0-9A-Za-z])"
)
_HEX_LETTER: Final = re.compile(r"[A-Fa-f]")


@dataclass(frozen=True)
class Gap:
    """What stands between two groups of digits, as far as it matters."""

    is_tight: bool  # no letter
    has_blank: bool
    has_letter: bool
    is_apart: bool  # more than a sign that joins two parts of one number


@dataclass(frozen=True)
class DigitRun:
    """Groups of digits with little between them: `digits` are all of them, one after another.

    `firsts` and `lasts` say of a place in `digits` which group begins, or ends, there; `gaps[n]`
    stands between the groups n and n + 1.
    """

    digits: str
    groups: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    gaps: tuple[Gap, ...]
    firsts: dict[int, int]
    lasts: dict[int, int]

    def place(self, at: int) -> int:
        """Where the digit `at` of the run stands in the text."""
        group = bisect_left(self._begins, at + 1) - 1
        return self.groups[group][0] + at - self._begins[group]

    @cached_property
    def is_tight(self) -> bool:
        """Whether no letter stands between any of its groups."""
        return all(gap.is_tight for gap in self.gaps)

    @cached_property
    def _begins(self) -> list[int]:
        return list(self.firsts)


class Surroundings:
    """A text with the places of the words that name identifiers, looked up when first needed."""

    def __init__(self, text: str, synonyms: Synonyms) -> None:
        self.text = text
        self._synonyms = synonyms
        self._places: dict[str, list[tuple[int, int]]] = {}

    def names(self, category: str) -> bool:
        """Whether any word of the text names identifiers of this kind."""
        return bool(self._of(category))

    def strength(self, category: str, start: int, end: int) -> int:
        """How strongly the words around say that this is one."""
        places = self._of(category)
        if not places:
            return BARE
        at = bisect_left(places, (start, -1))
        if at > 0 and places[at - 1][1] >= start - BEFORE_CHARS:
            return NAMED_BEFORE
        if at < len(places) and places[at][0] <= end + AFTER_CHARS:
            return NAMED_AFTER
        return BARE

    def words_near(self, category: str, start: int, end: int) -> set[str]:
        """The words around it, and between its parts, that name identifiers of this kind."""
        places = self._of(category)
        near = slice(
            bisect_left(places, (start - BEFORE_CHARS, 0)),
            bisect_left(places, (end + AFTER_CHARS + 1, 0)),
        )
        return {self.text[first:last].casefold() for first, last in places[near]}

    def _of(self, category: str) -> list[tuple[int, int]]:
        if category not in self._places:
            words = context_words(category, self._synonyms)
            self._places[category] = sorted(word_search(words, spread=True).spans(self.text))
        return self._places[category]

    def is_in_hex(self, start: int, end: int) -> bool:
        """Whether these characters share some with a UUID or a hash."""
        at = bisect_left(self._hex, (end, -1)) - 1
        return at >= 0 and start < self._hex[at][1]

    @cached_property
    def _hex(self) -> list[tuple[int, int]]:
        return [f.span() for f in _HEX.finditer(self.text) if _HEX_LETTER.search(f[0])]

    @cached_property
    def digit_runs(self) -> list[DigitRun]:
        return [self._run(found.start(), found.end()) for found in _RUN.finditer(self.text)]

    def _run(self, start: int, end: int) -> DigitRun:
        text = self.text
        groups = tuple(found.span() for found in _GROUP.finditer(text, start, end))
        firsts: dict[int, int] = {}
        lasts: dict[int, int] = {}
        at = 0
        for number, (first, last) in enumerate(groups):
            firsts[at] = number
            at += last - first
            lasts[at] = number
        return DigitRun(
            digits="".join(text[a:b] for a, b in groups),
            groups=groups,
            sizes=tuple(b - a for a, b in groups),
            gaps=tuple(_gap(text[left[1] : right[0]]) for left, right in pairwise(groups)),
            firsts=firsts,
            lasts=lasts,
        )


@lru_cache(maxsize=GAPS_KEPT)
def _gap(signs: str) -> Gap:
    has_letter = any(each.isalpha() for each in signs)
    return Gap(
        is_tight=not has_letter,
        has_blank=any(each.isspace() for each in signs),
        has_letter=has_letter,
        is_apart=any(each not in _JOINS for each in signs),
    )
