"""Ways to reach or to name somebody: e-mail, phone, IBAN, passport, IP address."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from shared.domain.identifiers import Span
from shared.domain.identifiers_ibans import find_ibans
from shared.domain.identifiers_phones import find_phones
from shared.domain.identifiers_surroundings import BARE, IN_FORM, NAMED_BEFORE, Surroundings

_AT: Final = r"(?:@|[ ]?[\[({<][ ]?(?:at|@)[ ]?[\])}>][ ]?)"
_DOT: Final = r"(?:\.|[ ]\.[ ]|[ ]dot[ ]|[ ]?[\[({<][ ]?(?:dot|\.)[ ]?[\])}>][ ]?)"
_LOCAL: Final = r"[\w][\w.%+'-]{0,63}(?:[\[({<][ ]?dot[ ]?[\])}>][\w.%+'-]{1,63}){0,3}"
_ANY_TOP: Final = r"[^\W\d_]{2,24}"
# Behind a blank and an @ the last word may be any word ("meet me @ noon.today"): only these count.
_USUAL_TOP: Final = r"(?:[a-z]{2}|com|net|org|edu|gov|mil|int|info|biz|name|asn|email|mail)"
_EMAILS: Final = tuple(
    re.compile(
        rf"(?<![\w.%+-]){_LOCAL}{at}[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{0,8}}"
        rf"{_DOT}{top}(?![\w-])",
        re.IGNORECASE,
    )
    for at, top in ((_AT, _ANY_TOP), ("[ ]@[ ]", _USUAL_TOP))
)
# In words alone: shouted, or where the host is one that everybody has a mailbox with. Some of
# these are words, too, and have mailboxes under .com only: "look at live.tv", "at me dot in".
_EMAIL_IN_WORDS: Final = re.compile(
    r"(?<!\w)[\w.%+'-]{1,64} (?:AT [\w-]{1,63}(?: DOT [\w-]{1,63}){1,4}"
    r"|(?i:at (?:(?:gmail|googlemail|outlook|hotmail|yahoo|icloud|proton|protonmail|bigpond"
    r"|optusnet|tpg|iinet|gmx|qq|163)(?: dot |\.)[a-z]{2,3}|(?:live|me)(?: dot |\.)com)"
    r"(?:(?: dot |\.)[a-z]{2})?))(?!\w)"
)
_PASSPORT: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{1,2}[^0-9A-Za-z]{0,2}[0-9](?:[^0-9A-Za-z]{0,2}[0-9]){6}(?![0-9])"
)
_IPV4: Final = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9]|\.[0-9])")
_BYTE_MAX: Final = 255
_IPV6: Final = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{6,39}(?![0-9A-Za-z:])")
_IPV6_COLONS_MIN: Final = 3
_VERSION: Final = re.compile(
    r"\b(?:v|ver|version|release|section|engine|build|firmware|driver|patch|update|sdk)\.?\s?\Z",
    re.IGNORECASE,
)
_VERSION_CHARS: Final = 10
SURE: Final = NAMED_BEFORE + IN_FORM
_OF_DIGITS: Final = (("iban", find_ibans, SURE), ("phone", find_phones, BARE + IN_FORM))


def find_contacts(around: Surroundings) -> Iterator[Span]:
    """Every address by which somebody is reached, and documents named after a person."""
    text = around.text
    if "@" in text or "at" in text.casefold():
        for pattern in (*_EMAILS, _EMAIL_IN_WORDS):
            for found in pattern.finditer(text):
                yield Span("email", *found.span(), SURE)
    if not around.digit_runs:
        return
    yield from _passports(around)
    yield from _ip_addresses(text)
    for category, find, strength in _OF_DIGITS:
        for span in find(text):
            if not around.is_in_hex(*span):
                yield Span(category, *span, strength)


def _passports(around: Surroundings) -> Iterator[Span]:
    for found in _PASSPORT.finditer(around.text):
        strength = around.strength("passport", *found.span())
        if strength != BARE:
            yield Span("passport", *found.span(), strength + IN_FORM)


def _ip_addresses(text: str) -> Iterator[Span]:
    if text.count(".") >= 3:
        for found in _IPV4.finditer(text):
            start = found.start()
            is_version = _VERSION.search(text, max(0, start - _VERSION_CHARS), start)
            if max(map(int, found[0].split("."))) <= _BYTE_MAX and not is_version:
                yield Span("ip_address", start, found.end(), SURE)
    if text.count(":") >= _IPV6_COLONS_MIN:
        for found in _IPV6.finditer(text):
            if found[0].count(":") >= _IPV6_COLONS_MIN and _is_ipv6(found[0]):
                yield Span("ip_address", *found.span(), SURE)


def _is_ipv6(candidate: str) -> bool:
    try:
        ipaddress.IPv6Address(candidate)
    except ValueError:
        return False
    return True
