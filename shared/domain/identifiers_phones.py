"""Telephone numbers, by the numbering plans' metadata.

Those of Australia may be written without a country code. Service numbers (13, 1300, 1800) belong
to nobody in particular.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

_GAP: Final = r"(?:[^0-9A-Za-z+,]{0,3}|,)"
_ISBN: Final = re.compile(r"(?:isbn(?:-1[03])?\W{0,3}|97[89][ -])\Z", re.IGNORECASE)
_ISBN_CHARS: Final = 12
# Ten digits from the area code on, or the country code and nine; brackets around the area code.
_AUSTRALIAN: Final = re.compile(
    rf"(?<![0-9+])(?<![0-9][.,])"
    rf"(?:\(0[ -]?[23478]\)|0[ -]?[23478]|00(?:11)?{_GAP}61{_GAP}(?:\(?0\)?{_GAP})?[23478])"
    rf"(?:{_GAP}[0-9]){{8}}(?![0-9])"
)
_INTERNATIONAL: Final = re.compile(
    r"(?<![0-9])\+[^0-9A-Za-z]{0,2}[0-9](?:[^0-9A-Za-z+]{0,3}[0-9]){6,17}"
)
_WITH_WEIGHT: Final = re.compile(r"[^:]{9,}::?[0-9]{1,2}")  # nine digits and 1.2 in (n:1.2)
_MOMENT: Final = re.compile(
    r"(?<![0-9])(?:[0-9]{1,2}([-/.])[0-9]{1,2}\1(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}([-/.])[0-9]{1,2}\2[0-9]{1,2})"
    r"(?:[ ,T]|, )[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?(?![0-9])"
)
_DIGIT: Final = re.compile(r"[0-9]")
_NATIONAL_DIGITS: Final = 9
_AUSTRALIA: Final = "61"
DIGITS_MIN, DIGITS_MAX, COUNTRY_CODE_DIGITS_MAX = 8, 15, 3  # of an international number (E.164)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers stand that may be in service."""
    moments = [found.span() for found in _MOMENT.finditer(text)]
    for found in _AUSTRALIAN.finditer(text):
        national = "".join(_DIGIT.findall(found[0]))[-_NATIONAL_DIGITS:]
        start = found.start()
        named = _ISBN.search(text, max(0, start - _ISBN_CHARS), start)
        is_book = named is not None and _is_isbn(named[0], found[0])
        if is_book or _WITH_WEIGHT.fullmatch(found[0]) or _is_within(moments, found.span()):
            continue
        if _plan(_AUSTRALIA).fullmatch(national):
            yield found.span()
    if "+" in text:
        for found in _INTERNATIONAL.finditer(text):
            end = _end(found)
            if end is not None:
                yield found.start(), end


def _is_within(places: Sequence[tuple[int, int]], span: tuple[int, int]) -> bool:
    """Whether one of some places, in order, holds all of a span."""
    at = bisect_right(places, (span[0], sys.maxsize)) - 1
    return at >= 0 and span[1] <= places[at][1]


def _is_isbn(before: str, number: str) -> bool:
    """Whether the check digit of a book number is right: of ten digits, or of thirteen."""
    digits = [int(each) for each in _DIGIT.findall(number)]
    prefix = [int(each) for each in _DIGIT.findall(before)[-3:]]
    if prefix in ([9, 7, 8], [9, 7, 9]):
        weights = (1, 3) * 7
        return sum(d * w for d, w in zip(prefix + digits, weights, strict=False)) % 10 == 0
    return sum(d * (10 - n) for n, d in enumerate(digits)) % 11 == 0


def _end(found: re.Match[str]) -> int | None:
    """Where the longest number that a plan knows ends; other digits may follow it."""
    places = [each.end() for each in _DIGIT.finditer(found.string, *found.span())]
    digits = "".join(found.string[place - 1] for place in places)
    for length in range(min(DIGITS_MAX, len(digits)), DIGITS_MIN - 1, -1):
        end = places[length - 1]
        whole = end == len(found.string) or not found.string[end].isdigit()
        if whole and _is_known(digits[:length]):
            return end
    return None


def _is_known(digits: str) -> bool:
    """Whether it is a number of a country; a trunk prefix in brackets may stand in between."""
    for length in range(1, COUNTRY_CODE_DIGITS_MAX + 1):
        code, national = digits[:length], digits[length:]
        if code in _country_codes():
            plan = _plan(code)
            return bool(plan.fullmatch(national) or plan.fullmatch(national.removeprefix("0")))
    return False


@cache
def _country_codes() -> frozenset[str]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return frozenset(str(code) for code in COUNTRY_CODE_TO_REGION_CODE)


@cache
def _plan(country_code: str) -> re.Pattern[str]:
    """The numbers of people and offices under a country code; any mobile of Australia, whose
    ranges are opened faster than listed."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    patterns = ["4[0-9]{8}"] if country_code == _AUSTRALIA else []
    for region in COUNTRY_CODE_TO_REGION_CODE[int(country_code)]:
        metadata = PhoneMetadata.metadata_for_region(region, None)
        if metadata is not None:
            kinds = (metadata.fixed_line, metadata.mobile, metadata.voip, metadata.personal_number)
            named = [kind.national_number_pattern for kind in kinds if kind is not None]
            patterns += [each for each in named if each]
    return re.compile("|".join(f"(?:{each})" for each in patterns) or r"(?!)")
