"""Prompts for the privacy screen, made from a seed: identifiers in many forms, and harmless ones.

Every identifier is made so that its checksum holds; none belongs to anybody on purpose.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

SCENES: Final = (
    "A lighthouse at dawn, gouache",
    "Product photo of a ceramic mug on oak, softbox light",
    "Wide shot of a desert highway, 35mm lens, f/1.8",
    "Watercolour of a harbour in the 1890s",
    "Isometric office interior, pastel palette",
    "Poster for a jazz festival, art deco",
    "Portrait of an astronaut reading, film grain",
    "Macro photograph of a honey bee on lavender",
    "Childrens book illustration of a fox in the snow",
    "Blueprint of a wooden bridge, white on blue",
)


@dataclass(frozen=True)
class Sample:
    """A prompt that holds one identifier, and where that stands."""

    category: str
    text: str
    start: int
    end: int
    writing: str


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _grouped(digits: str, groups: tuple[int, ...], between: str) -> str:
    parts, at = [], 0
    for size in groups:
        parts.append(digits[at : at + size])
        at += size
    return between.join(parts)


def _luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


TFN_WEIGHTS: Final = (1, 4, 3, 7, 5, 8, 6, 9, 10)
ACN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 1, 1)


def _weighs(digits: str, weights: tuple[int, ...], modulus: int) -> bool:
    if len(digits) != len(weights) or not digits.isdigit():
        return False
    return sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % modulus == 0


def is_tfn(digits: str) -> bool:
    return _weighs(digits, TFN_WEIGHTS, 11)


def is_acn(digits: str) -> bool:
    return _weighs(digits, ACN_WEIGHTS, 10)


def tfn(rng: random.Random) -> str:
    while True:
        digits = str(rng.randint(1, 9)) + _digits(rng, 8)
        if is_tfn(digits):
            return digits


def medicare(rng: random.Random) -> str:
    body = rng.choice("23456") + _digits(rng, 7)
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    check = sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 10
    return f"{body}{check}{rng.randint(1, 9)}"


def abn(rng: random.Random) -> str:
    weights = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
    while True:
        digits = str(rng.randint(1, 9)) + _digits(rng, 10)
        values = [int(d) for d in digits]
        values[0] -= 1
        if sum(v * w for v, w in zip(values, weights, strict=True)) % 89 == 0:
            return digits


def acn(rng: random.Random) -> str:
    body = _digits(rng, 8)
    total = sum(int(d) * w for d, w in zip(body, range(8, 0, -1), strict=True))
    return body + str(-total % 10)


def ihi(rng: random.Random) -> str:
    return _luhn("800360" + _digits(rng, 9))


def card(rng: random.Random) -> str:
    kind = rng.choice(("visa", "mastercard", "amex"))
    if kind == "visa":
        return _luhn("4" + _digits(rng, 14))
    if kind == "mastercard":
        return _luhn(str(rng.randint(51, 55)) + _digits(rng, 13))
    return _luhn(rng.choice(("34", "37")) + _digits(rng, 12))


def iban(rng: random.Random) -> str:
    country, body = rng.choice((("DE", _digits(rng, 18)), ("BE", None)))
    if body is None:
        account = _digits(rng, 10)
        check = int(account) % 97 or 97
        body = f"{account}{check:02d}"
    number = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    return f"{country}{98 - int(number) % 97:02d}{body}"


def email(rng: random.Random) -> str:
    name = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 9)))
    host = rng.choice(("example.com", "mail.example.org", "health.example.com.au"))
    return f"{name}.{rng.choice(('smith', 'nguyen', 'jones'))}{rng.randint(1, 99)}@{host}"


def phone(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return "04" + rng.choice("0123456789") + _digits(rng, 7)
    return rng.choice(("02", "03", "07", "08")) + rng.choice("89") + _digits(rng, 7)


def passport(rng: random.Random) -> str:
    return rng.choice(("N", "E", "PA", "PB", "RA")) + _digits(rng, 7)


def bank_account(rng: random.Random) -> str:
    return f"{rng.choice(('062', '732', '013', '484'))}{_digits(rng, 3)}|{_digits(rng, 8)}"


def ip_address(rng: random.Random) -> str:
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


MAKERS: Final[dict[str, Callable[[random.Random], str]]] = {
    "au_tfn": tfn,
    "au_medicare": medicare,
    "au_abn": abn,
    "au_acn": acn,
    "au_ihi": ihi,
    "card": card,
    "iban": iban,
    "email": email,
    "phone": phone,
    "passport": passport,
    "au_bank_account": bank_account,
    "ip_address": ip_address,
}
CHECKSUMMED: Final = ("au_tfn", "au_medicare", "au_abn", "au_acn", "au_ihi", "card", "iban")
WORDS: Final = {
    "au_tfn": ("TFN", "tax file number"),
    "au_medicare": ("Medicare", "medicare card"),
    "au_abn": ("ABN", "business number"),
    "au_acn": ("ACN", "company number"),
    "au_ihi": ("IHI", "healthcare identifier"),
    "card": ("card", "Visa card number"),
    "iban": ("IBAN", "transfer to"),
    "email": ("email", "write to"),
    "phone": ("phone", "call"),
    "passport": ("passport", "passport no"),
    "au_bank_account": ("BSB and account", "pay BSB"),
    "ip_address": ("IP", "server"),
}
GROUPS: Final = {
    "au_tfn": (3, 3, 3),
    "au_medicare": (4, 5, 1),
    "au_abn": (2, 3, 3, 3),
    "au_acn": (3, 3, 3),
    "au_ihi": (4, 4, 4, 4),
}


def _spaced(category: str, value: str, between: str) -> str:
    """A value in its printed groups; those without groups stay as they are."""
    if category == "card":
        groups = (4, 6, 5) if len(value) == 15 else (4, 4, 4, 4)
        return _grouped(value, groups, between)
    if category == "iban":
        return _grouped(value, (4,) * (len(value) // 4) + (len(value) % 4,), between).rstrip()
    if category == "phone":
        groups = (4, 3, 3) if value.startswith("04") else (2, 4, 4)
        return _grouped(value, groups, between)
    if category in GROUPS:
        return _grouped(value, GROUPS[category], between)
    return value


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _arabic(text: str) -> str:
    return "".join(chr(0x660 + int(c)) if c.isdigit() else c for c in text)


def _zero_width(text: str) -> str:
    return "\u200b".join(text)


def _combining(text: str) -> str:
    return "".join(c + "\u0301" if n % 3 == 1 and c.isalnum() else c for n, c in enumerate(text))


def _right_to_left(text: str) -> str:
    return f"\u202e{text[::-1]}\u202c"


# How the identifier is written: twelve ways, each with a word that names it or without.
Writing = Callable[[str, str], str]
WRITINGS: Final[dict[str, tuple[Writing, bool]]] = {
    "plain": (lambda c, v: v, True),
    "spaced": (lambda c, v: _spaced(c, v, " "), True),
    "hyphens": (lambda c, v: _spaced(c, v, "-"), True),
    "bare": (lambda c, v: v, False),
    "bare spaced": (lambda c, v: _spaced(c, v, " "), False),
    "full width": (lambda c, v: _full_width(v), True),
    "zero width": (lambda c, v: _zero_width(v), True),
    "combining": (lambda c, v: _combining(v), True),
    "other digits": (lambda c, v: _arabic(v), True),
    "right to left": (lambda c, v: _right_to_left(v), True),
    "no-break": (lambda c, v: _spaced(c, v, "\u00a0"), True),
    "quoted": (lambda c, v: f'"{_spaced(c, v, " ")}"', True),
}
NEEDS_WORD: Final = frozenset({"passport", "au_bank_account"})


def samples(seed: int, per_category: int) -> Iterator[Sample]:
    """Prompts with one identifier each, the writings in turn."""
    rng = random.Random(seed)
    writings = list(WRITINGS.items())
    for category, make in MAKERS.items():
        for number in range(per_category):
            writing, (write, named) = writings[number % len(writings)]
            value = make(rng)
            while not named and is_tfn(value) and is_acn(value):
                value = make(
                    rng
                )  # a bare number that is both: one of a hundred, taken for the first
            if category == "au_bank_account":
                branch, account = value.split("|")
                value = f"{branch[:3]}-{branch[3:]} {account}"
            written = write(category, value)
            scene = rng.choice(SCENES)
            word = rng.choice(WORDS[category]) if named or category in NEEDS_WORD else "with"
            before = f"{scene}, a note that says {word}{rng.choice((' ', ': ', ' is '))}"
            after = rng.choice((", soft light", "", "; bokeh", " in the corner"))
            yield Sample(
                category, before + written + after, len(before), len(before + written), writing
            )


_SUBJECTS: Final = (
    "a lighthouse", "two foxes", "an old tram", "a ceramic mug", "the skyline of Perth",
    "a nurse at a hospital reception", "an astronaut", "a credit card terminal", "a bank lobby",
    "a passport office queue", "Vincent van Gogh's bedroom", "a server room", "a tax office",
    "a business card mock-up", "a phone on a marble table", "a team of 12 people", "a 1967 Mustang",
)  # fmt: skip
# Phrases of pictures that look like a secret, a phone number, an account or an address.
PHRASES: Final = (
    "a knight discovers the secret key half-buried in moss",
    "a flag bearer sun-drenched in golden light",
    "a hacker guessing a password neon-green glow",
    "password: open-sesame written in sand",
    "access key carved-ivory handle",
    "timestamp 03/08/2024 12:30:15",
    "frame of 2024/03/08 12:30:15",
    "date stamp 07.04.1998 21:15",
    "An epic account of 250 000 soldiers marching, 1914-1918",
    "first-hand account: 100,000 people, 2024-2025",
    "look at live.tv",
    "meet me @ noon.today",
    "tag #art @ museum.exhibit",
    "looking at me dot in the centre",
    "look at live dot net pattern",
    "Unreal Engine 5.3.2.1",
)
_DETAILS: Final = (
    "35mm lens, f/1.8", "1920x1080", "ISO 3200, 1/250s", "--ar 16:9 --v 6.1 --seed 1234567",
    "seed 4242424242", "4k 60fps", "in 1984", "2026-11-22", "21/11/2026 at 10:45",
    "#ff8800 accents",
    "Pantone 19-4052", "50% opacity", "3,500,000 stars", "$1,299.00 price tag", "scale 1:24",
    "version 2.4.10.1", "hall B12", "route 66", "Boeing 747-400", "ISBN 978-3-16-148410-0",
    "10 x 15 cm", "temperature 0.75", "cfg 7.5 steps 50", "coordinates 31.9523, 115.8613",
    "model SM-G998B", "catalogue no 88012345", "queue number 123", "call centre 13 11 14",
    "toll free 1800 555 000", "aspect 2.39:1", "123456789 pixels",
    "uuid 8d3f2b1c-9a4e-4f6b-8c2d-1e5f7a9b3c4d",
    *PHRASES,
)  # fmt: skip
_STYLES: Final = (
    "gouache",
    "watercolour",
    "isometric",
    "film noir",
    "art deco",
    "pencil sketch",
    "vaporwave",
)


def harmless(seed: int, count: int) -> list[str]:
    """Image prompts without anybody's data, full of numbers that might be taken for it."""
    rng = random.Random(seed)
    return [
        f"{rng.choice(_STYLES)} of {rng.choice(_SUBJECTS)}, "
        + ", ".join(rng.sample(_DETAILS, rng.randint(1, 4)))
        for _ in range(count)
    ]
