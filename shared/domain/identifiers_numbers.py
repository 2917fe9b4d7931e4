"""Numbers that prove themselves: tax file, Medicare, business, company and card numbers, accounts.

A number counts if its checksum holds and either a word beside it says what it is, in whatever
grouping it is written, or it stands alone in one of the forms in which such numbers are printed.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from shared.domain.identifiers import Span, Synonyms, context_words, words_pattern

BEFORE_CHARS: Final = 48  # how far a word may stand before the number that it names
AFTER_CHARS: Final = 24
DIGITS_MAX: Final = 19  # of a card number, the longest of all
_RUN: Final = re.compile(r"[0-9]+(?:[ \-./_\t\r\n]{1,3}[0-9]+)*")
_GROUP: Final = re.compile(r"[0-9]+")
_LETTERS_BEFORE: Final = re.compile(r"[A-Za-z]{2,8}\Z")
_LETTERS_MAX: Final = 9
_JOINS: Final = frozenset("-./_,")  # what ties a number to another one beside it
_NOT_BEFORE: Final = frozenset("+$€£¥#")
# Strengths: a word before says more than a word after, a printed form more than loose digits.
NAMED_BEFORE, NAMED_AFTER, BARE, IN_FORM = 4, 2, 0, 1
_MEDICARE_WEIGHTS: Final = (1, 3, 7, 9, 1, 3, 7, 9)
_ABN_WEIGHTS: Final = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
_BSB_FIRST: Final = re.compile(
    r"(?<![0-9A-Za-z])[0-9]{3}[ -]?[0-9]{3}(?![0-9])[^0-9]{1,32}[0-9](?:[ -]?[0-9]){4,9}"
    r"(?![0-9A-Za-z])"
)
_BSB_LAST: Final = re.compile(
    r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){4,9}(?![0-9])[^0-9]{1,32}[0-9]{3}[ -]?[0-9]{3}"
    r"(?![0-9A-Za-z])"
)
_BSB_WORD: Final = re.compile(r"(?<![A-Za-z])bsb(?![A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """One kind of number: its lengths, the forms in which it is printed, its check."""

    category: str
    lengths: frozenset[int]
    forms: frozenset[tuple[int, ...]]
    is_valid: Callable[[str], bool]


@dataclass(frozen=True)
class DigitRun:
    """Groups of digits with little between them."""

    text: str
    groups: tuple[tuple[int, int], ...]

    def windows(self) -> Iterator[tuple[int, int, str]]:
        """First group, last group and digits of each stretch that is not too long."""
        for first in range(len(self.groups)):
            digits = ""
            for last in range(first, len(self.groups)):
                start, end = self.groups[last]
                digits += self.text[start:end]
                if len(digits) > DIGITS_MAX:
                    break
                yield first, last, digits


class Surroundings:
    """A text with the places of the words that name identifiers, looked up when first needed."""

    def __init__(self, text: str, synonyms: Synonyms) -> None:
        self.text = text
        self._synonyms = synonyms
        self._places: dict[str, list[tuple[int, int]]] = {}

    def strength(self, category: str, start: int, end: int) -> int:
        """How strongly the words around say that this is one."""
        places = self._of(category)
        at = bisect_left(places, (start, -1))
        if at > 0 and places[at - 1][1] >= start - BEFORE_CHARS:
            return NAMED_BEFORE
        if at < len(places) and places[at][0] <= end + AFTER_CHARS:
            return NAMED_AFTER
        return BARE

    def _of(self, category: str) -> list[tuple[int, int]]:
        if category not in self._places:
            pattern = words_pattern(context_words(category, self._synonyms))
            self._places[category] = [found.span() for found in pattern.finditer(self.text)]
        return self._places[category]

    def is_named_by_prefix(self, category: str, start: int) -> bool:
        """Whether the letters right before are a word for it, as in TFN123456782."""
        before = _LETTERS_BEFORE.search(self.text, max(0, start - _LETTERS_MAX), start)
        words = context_words(category, self._synonyms)
        return before is not None and before[0].casefold() in {word.casefold() for word in words}

    @cached_property
    def digit_runs(self) -> list[DigitRun]:
        return [
            DigitRun(
                self.text,
                tuple(g.span() for g in _GROUP.finditer(self.text, run.start(), run.end())),
            )
            for run in _RUN.finditer(self.text)
        ]


def find_numbers(around: Surroundings) -> Iterator[Span]:
    """Every number whose checksum holds, where form or words make it likely."""
    for run in around.digit_runs:
        for first, last, digits in run.windows():
            for kind in _BY_LENGTH.get(len(digits), ()):
                if kind.is_valid(digits):
                    span = _judged(around, run, kind, first, last)
                    if span is not None:
                        yield span


def find_bank_accounts(around: Surroundings) -> Iterator[Span]:
    """A BSB and an account number side by side, named as such: neither has a checksum."""
    for pattern in (_BSB_FIRST, _BSB_LAST):
        for found in pattern.finditer(around.text):
            start, end = found.span()
            lo = max(0, start - BEFORE_CHARS)
            if _BSB_WORD.search(around.text, lo, end):
                yield Span("au_bank_account", start, end, NAMED_BEFORE + IN_FORM)


def _judged(around: Surroundings, run: DigitRun, kind: Kind, first: int, last: int) -> Span | None:
    start, end = run.groups[first][0], run.groups[last][1]
    text = around.text
    strength = around.strength(kind.category, start, end)
    if (start and text[start - 1].isalnum()) or (end < len(text) and text[end].isalnum()):
        after_is_free = end == len(text) or not text[end].isalnum()
        if not (after_is_free and around.is_named_by_prefix(kind.category, start)):
            return None
        strength = NAMED_BEFORE
    in_form = _is_printed_form(run, kind, first, last)
    if strength == BARE and not (in_form and _stands_alone(text, start, end)):
        return None
    return Span(kind.category, start, end, strength + (IN_FORM if in_form else 0))


def _is_printed_form(run: DigitRun, kind: Kind, first: int, last: int) -> bool:
    groups = run.groups[first : last + 1]
    form = tuple(end - start for start, end in groups)
    if form not in kind.forms:
        return False
    between = {run.text[left[1] : right[0]] for left, right in pairwise(groups)}
    return between <= {" "} or between <= {"-"} or between <= {" ", "/"}


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Neither a part of a longer number nor an amount, a colour or an international number."""
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    if before in _NOT_BEFORE:
        return False
    joined_before = before in _JOINS and start >= 2 and text[start - 2].isdigit()
    joined_after = after in _JOINS and end + 1 < len(text) and text[end + 1].isdigit()
    return not joined_before and not joined_after


def _is_tfn(digits: str) -> bool:
    from stdnum.au import tfn

    return bool(tfn.is_valid(digits))


def _is_abn(digits: str) -> bool:
    """One less in the first digit, weighed, divisible by 89 (Australian Business Register)."""
    values = [int(digit) for digit in digits]
    values[0] -= 1
    total = sum(value * weight for value, weight in zip(values, _ABN_WEIGHTS, strict=True))
    return digits[0] != "0" and total % 89 == 0


def _is_acn(digits: str) -> bool:
    from stdnum.au import acn

    return bool(acn.is_valid(digits))


def _is_luhn(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


def _is_medicare(digits: str) -> bool:
    """Eight digits from 2 to 6 on, a check digit, the issue, and perhaps the person's number."""
    if digits[0] not in "23456":
        return False
    total = sum(int(d) * weight for d, weight in zip(digits, _MEDICARE_WEIGHTS, strict=False))
    return total % 10 == int(digits[8]) and digits[9] != "0"


def _is_ihi(digits: str) -> bool:
    return digits.startswith("800360") and _is_luhn(digits)


def _is_card(digits: str) -> bool:
    """A number in the ranges of the large card schemes with a good check digit."""
    two, three, four = int(digits[:2]), int(digits[:3]), int(digits[:4])
    length = len(digits)
    known = (
        (digits[0] == "4" and length in (13, 16, 19))
        or (length == 16 and (51 <= two <= 55 or 2221 <= four <= 2720 or 3528 <= four <= 3589))
        or (length == 15 and two in (34, 37))
        or (length == 14 and (300 <= three <= 305 or two in (36, 38, 39)))
        or (length >= 16 and (four == 6011 or 644 <= three <= 659 or two == 62))
    )
    return known and len(set(digits)) > 1 and _is_luhn(digits)


_KINDS: Final = (
    Kind("au_ihi", frozenset({16}), frozenset({(16,), (4, 4, 4, 4)}), _is_ihi),
    Kind(
        "card",
        frozenset(range(13, DIGITS_MAX + 1)),
        frozenset(
            {(n,) for n in range(13, DIGITS_MAX + 1)}
            | {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1)}
        ),
        _is_card,
    ),
    Kind(
        "au_medicare",
        frozenset({10, 11}),
        frozenset({(10,), (4, 5, 1), (4, 5, 1, 1), (10, 1), (4, 6)}),
        _is_medicare,
    ),
    # Eight digits are an old tax file number, but also a date: only words make them one.
    Kind("au_tfn", frozenset({8, 9}), frozenset({(9,), (3, 3, 3)}), _is_tfn),
    Kind("au_abn", frozenset({11}), frozenset({(11,), (2, 3, 3, 3)}), _is_abn),
    Kind("au_acn", frozenset({9}), frozenset({(9,), (3, 3, 3)}), _is_acn),
)
_BY_LENGTH: Final[Mapping[int, tuple[Kind, ...]]] = {
    length: tuple(kind for kind in _KINDS if length in kind.lengths)
    for length in range(8, DIGITS_MAX + 1)
}
