"""International bank account numbers, by country, length and check digits (ISO 13616)."""

import re
from collections.abc import Iterator
from typing import Final

# Characters of each country's IBAN, from the register that SWIFT keeps (release 99).
_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK", 21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG YE", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_START: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}")
_ALNUM: Final = re.compile(r"[0-9A-Za-z]")
_GAP: Final = re.compile(r"[^0-9A-Za-z]+")
_NUMBERS: Final = {ord("A") + n: str(10 + n) for n in range(26)}  # of letters in the check
_SPREAD: Final = 3  # characters of the text for each one of a number, signs in between included


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers stand whose check digits hold, whatever is between or beside them."""
    places = [found.start() for found in _ALNUM.finditer(text)]
    compact = "".join(text[place] for place in places).upper()
    at = 0
    while (found := _START.search(compact, at)) is not None:
        at = found.start() + 1
        length = _LENGTHS.get(found[0][:2], 0)
        number = compact[at - 1 : at - 1 + length]
        if len(number) == length > 0 and _is_right(number):
            start, end = places[at - 1], places[at + length - 2] + 1
            if end - start <= _SPREAD * length and _is_one(text[start:end]):
                yield start, end


def _is_one(written: str) -> bool:
    """Mostly digits, with the same sign between all groups: words beside a number are not so."""
    digits = sum(each.isdigit() for each in written)
    letters = sum(each.isalpha() for each in written)
    return digits >= letters and len(set(_GAP.findall(written))) <= 1


def _is_right(number: str) -> bool:
    turned = number[4:] + number[:4]
    return int(turned.translate(_NUMBERS)) % 97 == 1
