"""Numbers that prove themselves: tax file, Medicare, business, company and card numbers, accounts.

A number counts if its checksum holds and either a word beside it says what it is, in whatever
grouping it is written; or, without a word, it is written as one number: in a form in which such
numbers are printed, digit by digit, or in any other grouping if nothing else is joined to it.
Letters may touch it. Card numbers and healthcare identifiers need neither word nor form.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

from shared.domain.identifiers import Span
from shared.domain.identifiers_cards import LuhnSums, card_lengths, find_glued
from shared.domain.identifiers_surroundings import (
    BARE,
    IN_FORM,
    NAMED_BEFORE,
    DigitRun,
    Surroundings,
)

_TFN_WEIGHTS: Final = (1, 4, 3, 7, 5, 8, 6, 9, 10)
_OLD_TFN_WEIGHTS: Final = (10, 7, 8, 4, 6, 3, 5, 1)
_ACN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 1, 1)  # the last digit makes it a multiple of ten
_MEDICARE_WEIGHTS: Final = (1, 3, 7, 9, 1, 3, 7, 9)
_ABN_WEIGHTS: Final = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
_SURE_LENGTHS: Final = frozenset({15, 16})  # of cards that are still issued
# What makes digits an amount, a place, a moment or a thing, if no word says otherwise.
_NOT_BEFORE: Final = re.compile(
    r"(?:[$€£¥]\s?|rgba?\(|(?:population|price|cost|worth|budget|salary|revenue|seed|isbn(?:-1[03])?"
    r"|sku|ean|upc|aud|usd|eur)s?(?:\W{0,3}|\s(?:of|is|was)\s))\Z",
    re.IGNORECASE,
)
_NOT_BEFORE_CHARS: Final = 16
_NOT_AFTER: Final = re.compile(
    r"\W{0,2}(?:px|pixels?|people|persons|inhabitants|stars|dollars|aud|usd|eur|euros?|km|cm|mm|kg"
    r"|views|followers|likes|particles|pieces|years?|polygons|triangles|light[ -]years|%)(?!\w)",
    re.IGNORECASE,
)
_MONTH: Final = r"(?:0?[1-9]|1[0-2])"
_DAY: Final = r"(?:0?[1-9]|[12][0-9]|3[01])"
_LIST: Final = re.compile(r",\s")
_SHAPES: Final = re.compile(
    rf"(?<![0-9])(?:[0-9]{{4}}[-/.]{_MONTH}[-/.]{_DAY}|{_DAY}[-/.]{_MONTH}[-/.][0-9]{{2}}(?:[0-9]{{2}})?"
    rf"|{_MONTH}/{_DAY}/[0-9]{{4}})(?![0-9])"
    r"|(?<![0-9])[0-2]?[0-9]:[0-5][0-9](?![0-9])"  # a time
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?"  # an amount
    r"|[0-9]{1,3}\.[0-9]+[,;/ ]+-?[0-9]{1,3}\.[0-9]+"  # a place on earth
    r"|[0-9]+\.[0-9]+"  # one number with a fraction
    r"|,\s"  # a list
)
# What says how much a part of a prompt counts: (123456782:1.2), 123456782::2, [123456782:0.5].
_WEIGHT: Final = re.compile(r"::?-?(?:[0-9]{1,2}(?:\.[0-9]{1,4})?|\.[0-9]{1,4})(?!\.?[0-9]|:)")
_BSB_PARTS: Final = r"(?P<bsb>[0-9]{3}[^0-9A-Za-z]{0,2}[0-9]{3})"
_THOUSANDS: Final = re.compile(r"[1-9][0-9]{2}[ ,.'][0-9]{3}")  # 250 000 of whatever is told
_ACCOUNT_PARTS: Final = r"[0-9](?:[^0-9A-Za-z]{0,2}[0-9]){4,9}"
_BANK_ACCOUNTS: Final = tuple(
    re.compile(rf"(?<![0-9]){first}(?![0-9])[^0-9]{{1,32}}{last}(?![0-9])")
    for first, last in ((_BSB_PARTS, _ACCOUNT_PARTS), (_ACCOUNT_PARTS, _BSB_PARTS))
)


def _weighed(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(map(mul, digits, weights))


def _is_tfn(digits: Sequence[int]) -> bool:
    return _weighed(digits, _TFN_WEIGHTS) % 11 == 0 and any(digits)


def _is_old_tfn(digits: Sequence[int]) -> bool:
    """Eight digits; some check them with the weights of nine."""
    return _weighed(digits, _OLD_TFN_WEIGHTS) % 11 == 0 or _is_tfn(digits)


def _is_abn(digits: Sequence[int]) -> bool:
    """One less in the first digit, weighed, divisible by 89 (Australian Business Register)."""
    return (_weighed(digits, _ABN_WEIGHTS) - _ABN_WEIGHTS[0]) % 89 == 0 and digits[0] > 0


def _is_acn(digits: Sequence[int]) -> bool:
    return _weighed(digits, _ACN_WEIGHTS) % 10 == 0


def _is_medicare(digits: Sequence[int]) -> bool:
    """Eight digits from 2 to 6 on, a check digit, the issue, and perhaps the person's number."""
    if not 2 <= digits[0] <= 6 or digits[9] == 0:
        return False
    return _weighed(digits, _MEDICARE_WEIGHTS) % 10 == digits[8]


@dataclass(frozen=True)
class Kind:
    """One kind of number: the forms in which it is printed, and its check."""

    category: str
    length: int
    forms: frozenset[tuple[int, ...]]
    is_valid: Callable[[Sequence[int]], bool] = any
    needs_word: bool = False

    @property
    def proves_itself(self) -> bool:
        return self.category in ("au_ihi", "card")


_KINDS: Final = (
    Kind("au_medicare", 10, frozenset({(10,), (4, 5, 1), (4, 6), (9, 1)}), _is_medicare),
    Kind(
        "au_medicare", 11, frozenset({(11,), (4, 5, 1, 1), (10, 1), (4, 5, 2), (4, 6, 1)}),
        _is_medicare,
    ),
    Kind("au_tfn", 9, frozenset({(9,), (3, 3, 3)}), _is_tfn),
    # Eight digits are an old tax file number, but also a date: only words make them one.
    Kind("au_tfn", 8, frozenset({(8,), (3, 3, 2), (2, 3, 3)}), _is_old_tfn, needs_word=True),
    Kind("au_abn", 11, frozenset({(11,), (2, 3, 3, 3)}), _is_abn),
    Kind("au_acn", 9, frozenset({(9,), (3, 3, 3)}), _is_acn),
)  # fmt: skip
_DIGITS_MIN: Final = min(kind.length for kind in _KINDS)
_CARD_FORMS: Final = frozenset(
    {(n,) for n in range(13, 20)}
    | {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 5, 6)}
)
_CARD: Final = Kind("card", 16, _CARD_FORMS)
_IHI: Final = Kind("au_ihi", 16, frozenset({(16,), (4, 4, 4, 4)}))
_IHI_PREFIX: Final = "800360"


def find_numbers(around: Surroundings) -> Iterator[Span]:
    """Every number whose checksum holds, where form or words make it likely."""
    kinds = [kind for kind in _KINDS if around.names(kind.category) or not kind.needs_word]
    for run in around.digit_runs:
        if len(run.digits) < _DIGITS_MIN:
            continue
        for kind, first, last in _valid(run, kinds):
            span = _judged(around, run, kind, first, last)
            if span is not None:
                yield span
        for start, end in find_glued(run.digits, [*run.firsts, len(run.digits)]):
            yield Span("card", run.place(start), run.place(end - 1) + 1, BARE)


def find_bank_accounts(around: Surroundings) -> Iterator[Span]:
    """A BSB and an account number side by side, named as such: neither has a checksum."""
    for pattern in _BANK_ACCOUNTS:
        for found in pattern.finditer(around.text):
            strength = around.strength("au_bank_account", *found.span())
            if strength != BARE and not _is_told(around, found):
                yield Span("au_bank_account", *found.span(), strength + IN_FORM)


def _is_told(around: Surroundings, found: re.Match[str]) -> bool:
    """Whether it may as well be an account of 250 000 soldiers, 1914-1918: no BSB is named."""
    if _THOUSANDS.fullmatch(found["bsb"]) is None:
        return False
    words = around.words_near("au_bank_account", *found.span())
    return len(words) < 2 and "bsb" not in words


def _valid(run: DigitRun, kinds: Sequence[Kind]) -> Iterator[tuple[Kind, int, int]]:
    """Each stretch of whole groups whose checksum holds: its kind, its first and last group."""
    digits = [ord(each) - ord("0") for each in run.digits]
    sums = LuhnSums(run.digits)
    lasts = run.lasts
    for at, first in run.firsts.items():
        for kind in kinds:
            end = at + kind.length
            if end in lasts and kind.is_valid(digits[at:end]):
                yield kind, first, lasts[end]
        for length in card_lengths(run.digits, at):
            end = at + length
            if end in lasts and sums.is_right(at, end):
                yield _CARD, first, lasts[end]
        end = at + _IHI.length
        if run.digits.startswith(_IHI_PREFIX, at) and end in lasts and sums.is_right(at, end):
            yield _IHI, first, lasts[end]


def _judged(around: Surroundings, run: DigitRun, kind: Kind, first: int, last: int) -> Span | None:
    start, end = run.groups[first][0], run.groups[last][1]
    strength = around.strength(kind.category, start, end)
    is_tight = run.is_tight or all(gap.is_tight for gap in run.gaps[first:last])
    if not is_tight and (strength != NAMED_BEFORE or around.is_in_hex(start, end)):
        return None
    sizes = run.sizes[first : last + 1]
    one_by_one = len(sizes) == sum(sizes)
    in_form = is_tight and (one_by_one or sizes in kind.forms)
    if _takes_from_a_list(around.text, run, first, last):
        return None
    if strength == BARE:
        if one_by_one and (_LIST.search(around.text, start, end) or _goes_on(run, first, last)):
            return None
        if kind.needs_word or around.is_in_hex(start, end):
            return None
        if kind.proves_itself:
            has_length = sum(sizes) in _SURE_LENGTHS
            counts = in_form or (has_length and _SHAPES.search(around.text, start, end) is None)
        else:
            counts = _is_one_number(around.text, run, first, last, in_form=in_form)
        if not counts:
            return None
    return Span(kind.category, start, end, strength + (IN_FORM if in_form else 0))


def _takes_from_a_list(text: str, run: DigitRun, first: int, last: int) -> bool:
    """Whether the last digits belong to the next item of a list, as in "438233230, 4k"."""
    if first == last:
        return False
    (_, before), (after, end) = run.groups[last - 1], run.groups[last]
    return text[end : end + 1].isalpha() and _LIST.search(text, before, after) is not None


def _goes_on(run: DigitRun, first: int, last: int) -> bool:
    """Whether digits that are written one by one are part of more of them: a list."""
    before = first > 0 and run.sizes[first - 1] == 1 and run.gaps[first - 1].is_tight
    after = last + 1 < len(run.sizes) and run.sizes[last + 1] == 1 and run.gaps[last].is_tight
    return before or after


def _is_one_number(text: str, run: DigitRun, first: int, last: int, *, in_form: bool) -> bool:
    """Whether digits without a word are one number, and of nothing that is counted or measured."""
    start, end = run.groups[first][0], run.groups[last][1]
    outside = list(run.gaps[max(0, first - 1) : first])
    if not (in_form and _WEIGHT.match(text, end)):
        outside += run.gaps[last : last + 1]
    if not all(gap.is_apart for gap in outside):
        return False
    if not in_form:
        has_blank = any(gap.has_blank for gap in run.gaps[first:last])
        if has_blank and not all(gap.has_letter for gap in outside):
            return False
        if _SHAPES.search(text, start, end):
            return False
    if _NOT_BEFORE.search(text, max(0, start - _NOT_BEFORE_CHARS), start):
        return False
    return _NOT_AFTER.match(text, end) is None
