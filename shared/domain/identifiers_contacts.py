"""Ways to reach or to name somebody: e-mail, phone, IBAN, passport, IP address."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from shared.domain.identifiers import Span
from shared.domain.identifiers_numbers import BARE, IN_FORM, NAMED_BEFORE, Surroundings

PHONE_DIGITS_MIN: Final = 8
_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_](?:[A-Za-z0-9._%+'-]{0,63})"
    r"(?:@|[ ]?[\[(][ ]?at[ ]?[\])][ ]?)"
    r"[A-Za-z0-9-]{1,63}(?:(?:\.|[ ]?[\[(][ ]?dot[ ]?[\])][ ]?)[A-Za-z0-9-]{1,63}){0,8}"
    r"(?:\.|[ ]?[\[(][ ]?dot[ ]?[\])][ ]?)[A-Za-z]{2,24}(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
# Everything that numbers side by side are made of: where one ends is for the matcher to say.
_PHONE: Final = re.compile(
    r"(?<![0-9A-Za-z#$.,])[+(]{0,2}[0-9][0-9 +()./-]{6,}[0-9](?![0-9A-Za-z])"
)
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
    for found in _PHONE.finditer(text):
        yield from _phones_within(text, *found.span())


def _phones_within(text: str, start: int, end: int) -> Iterator[Span]:
    """What the metadata of the numbering plans takes for a number of a person or an office.

    Numbers of Australia may be written without a country code. Service numbers (13, 1300, 1800)
    belong to nobody in particular.
    """
    import phonenumbers
    from phonenumbers import Leniency, PhoneNumberMatcher, PhoneNumberType

    personal = (
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.PAGER,
    )
    candidate = text[start:end]
    if sum(letter.isdigit() for letter in candidate) < PHONE_DIGITS_MIN:
        return
    for match in PhoneNumberMatcher(candidate, "AU", Leniency.VALID, PHONE_TRIES_MAX):
        if phonenumbers.number_type(match.number) in personal:
            yield Span("phone", start + match.start, start + match.end, BARE + IN_FORM)


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
    from stdnum import iban

    while end - start >= _IBAN_CHARS_MIN:
        whole = end == len(text) or not text[end].isalnum()
        if whole and text[end - 1].isalnum() and iban.is_valid(text[start:end]):
            return end
        end -= 1
    return None


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
