"""Ways to reach or to name somebody: e-mail, phone, IBAN, passport, IP address."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from shared.domain.identifiers import Span
from shared.domain.identifiers_numbers import BARE, IN_FORM, NAMED_BEFORE, Surroundings

# Kinds of numbers as the metadata count them: fixed, mobile, either, VoIP, personal, pager.
_PERSONAL: Final = frozenset({0, 1, 2, 6, 7, 8})
_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_](?:[A-Za-z0-9._%+'-]{0,63})"
    r"(?:@|[ ]?[\[(][ ]?at[ ]?[\])][ ]?)"
    r"[A-Za-z0-9-]{1,63}(?:(?:\.|[ ]?[\[(][ ]?dot[ ]?[\])][ ]?)[A-Za-z0-9-]{1,63}){0,8}"
    r"(?:\.|[ ]?[\[(][ ]?dot[ ]?[\])][ ]?)[A-Za-z]{2,24}(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
# Ten digits from the area code on, or the country code and nine; brackets around the area code.
_AUSTRALIAN: Final = re.compile(
    r"(?<![0-9A-Za-z+])(?:\(0[2378]\)|0[2-478]|(?:\+|0011[ ]?)61[ -]?(?:\(0\)[ ]?)?\(?[2-478]\)?)"
    r"(?:[ .-]{0,2}[0-9]){8}(?![0-9])"
)
_INTERNATIONAL: Final = re.compile(r"(?<![0-9A-Za-z])\+[0-9][0-9 +()./-]{6,}[0-9](?![0-9A-Za-z])")
_MOBILE: Final = "4"  # what every mobile number of Australia begins with after the 0
PHONE_TRIES_MAX: Final = 100  # of the matcher, on one such stretch
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){10,32}", re.IGNORECASE
)
_IBAN_CHARS_MIN: Final = 15
_PASSPORT: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{1,2}[ -]?[0-9]{7}(?![A-Za-z0-9])")
_IPV4: Final = re.compile(r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_IPV6: Final = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{6,39}(?![0-9A-Za-z:])")
_IPV6_COLONS_MIN: Final = 3
_VERSION: Final = re.compile(r"(?:\bv|\bver|\bversion|\brelease|\bsection)\.?\s?\Z", re.IGNORECASE)
_VERSION_CHARS: Final = 10
SURE: Final = NAMED_BEFORE + IN_FORM


def find_contacts(around: Surroundings) -> Iterator[Span]:
    """Every address by which somebody is reached, and documents named after a person."""
    text = around.text
    if "@" in text or "at" in text.casefold():
        for found in _EMAIL.finditer(text):
            yield Span("email", *found.span(), SURE)
    yield from _passports(around)
    yield from _ibans(text)
    yield from _ip_addresses(text)
    if around.digit_runs:
        yield from _phones(text)


def _phones(text: str) -> Iterator[Span]:
    """Numbers that are in service by the metadata of the numbering plans.

    Those of Australia may be written without a country code. Service numbers (13, 1300, 1800)
    belong to nobody in particular.
    """
    import phonenumbers
    from phonenumbers import Leniency, PhoneNumberMatcher

    for found in _AUSTRALIAN.finditer(text):
        if _is_australian(found[0]):
            yield Span("phone", *found.span(), BARE + IN_FORM)
    for stretch in _INTERNATIONAL.finditer(text):
        matcher = PhoneNumberMatcher(stretch[0], None, Leniency.VALID, PHONE_TRIES_MAX)
        for match in matcher:
            if phonenumbers.number_type(match.number) in _PERSONAL:
                start = stretch.start()
                yield Span("phone", start + match.start, start + match.end, BARE + IN_FORM)


def _is_australian(candidate: str) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(candidate, "AU")
    except phonenumbers.NumberParseException:
        return False
    if str(number.national_number).startswith(_MOBILE):
        return phonenumbers.is_possible_number(number)  # ranges are opened faster than listed
    return phonenumbers.number_type(number) in _PERSONAL


def _passports(around: Surroundings) -> Iterator[Span]:
    for found in _PASSPORT.finditer(around.text):
        strength = around.strength("passport", *found.span())
        if strength != BARE:
            yield Span("passport", *found.span(), strength + IN_FORM)


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        end = _end_of_iban(text, found.start(), found.end())
        if end is not None:
            yield Span("iban", found.start(), end, SURE)


def _end_of_iban(text: str, start: int, end: int) -> int | None:
    """Where the longest valid IBAN from `start` on ends: words may follow without a border."""
    while end - start >= _IBAN_CHARS_MIN:
        whole = end == len(text) or not text[end].isalnum()
        if whole and text[end - 1].isalnum() and _is_iban(text[start:end]):
            return end
        end -= 1
    return None


def _is_iban(candidate: str) -> bool:
    """By its country's form and its check digits, whether or not a bank is known to exist."""
    from stdnum import iban
    from stdnum.exceptions import ValidationError

    try:
        iban.validate(candidate, check_country=False)
    except ValidationError:
        return False
    return True


def _ip_addresses(text: str) -> Iterator[Span]:
    if text.count(".") >= 3:
        for found in _IPV4.finditer(text):
            start = found.start()
            is_version = _VERSION.search(text, max(0, start - _VERSION_CHARS), start)
            if _is_ip(found[0]) and not is_version:
                yield Span("ip_address", start, found.end(), SURE)
    if text.count(":") >= _IPV6_COLONS_MIN:
        for found in _IPV6.finditer(text):
            if found[0].count(":") >= _IPV6_COLONS_MIN and _is_ip(found[0]):
                yield Span("ip_address", *found.span(), SURE)


def _is_ip(candidate: str) -> bool:
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return True
