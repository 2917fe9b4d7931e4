"""A second set of prompts for the privacy screen, which shares nothing with `privacy_prompts`.

Identifiers are drawn until the library that checks them says they are valid, and are written in
twelve surface forms each, as they turn up in forms, chats, tables and in texts of people who hide
them. The harmless prompts are full of numbers of other things. Everything is made from a seed.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from stdnum import iban, luhn
from stdnum.au import abn, acn, tfn


@dataclass(frozen=True)
class Surface:
    """A prompt with one identifier, at `start..end`, and the form in which it is written."""

    category: str
    form: str
    text: str
    start: int
    end: int


def _random(rng: random.Random, count: int, first: str = "0123456789") -> str:
    return rng.choice(first) + "".join(rng.choices("0123456789", k=count - 1))


def _drawn(
    rng: random.Random, count: int, first: str, is_valid: Callable[[str], bool], prefix: str = ""
) -> str:
    while True:
        value = prefix + _random(rng, count - len(prefix), first)
        if is_valid(value):
            return value


def _is_medicare(value: str) -> bool:
    total = sum(int(value[n]) * (1, 3, 7, 9, 1, 3, 7, 9)[n] for n in range(8))
    return total % 10 == int(value[8]) and value[9] != "0"


def _iban(rng: random.Random) -> str:
    country, count = rng.choice((("GB", 14), ("DE", 18), ("NL", 10), ("FR", 23)))
    body = ("ABNA" if country == "NL" else "WEST" if country == "GB" else "") + _random(rng, count)
    return country + iban.calc_check_digits(f"{country}00{body}") + body


def _card(rng: random.Random) -> str:
    prefix, count = rng.choice((("4", 16), ("51", 16), ("2223", 16), ("37", 15), ("6011", 16)))
    return _drawn(rng, count, "0123456789", luhn.is_valid, prefix)


DRAWN: Final[dict[str, Callable[[random.Random], str]]] = {
    "au_tfn": lambda rng: _drawn(rng, 9, "123456789", tfn.is_valid),
    "au_medicare": lambda rng: _drawn(rng, 10, "23456", _is_medicare),
    "au_abn": lambda rng: _drawn(rng, 11, "123456789", abn.is_valid),
    "au_acn": lambda rng: _drawn(rng, 9, "0123456789", acn.is_valid),
    "au_ihi": lambda rng: _drawn(rng, 16, "0123456789", luhn.is_valid, "800360"),
    "card": _card,
    "iban": _iban,
    "phone": lambda rng: rng.choice(("04", "+614")) + _random(rng, 8),
    "email": lambda rng: f"{rng.choice(('kim', 'o.brien', 'li_na'))}{_random(rng, 3)}@example.net",
    "passport": lambda rng: rng.choice(("N", "PA", "RB")) + _random(rng, 7, "123456789"),
    "au_bank_account": lambda rng: f"0{_random(rng, 5)} {_random(rng, 8)}",
    "ip_address": lambda rng: ".".join(str(rng.randint(11, 250)) for _ in range(4)),
}
NAMES: Final = {
    "au_tfn": "TFN", "au_medicare": "Medicare", "au_abn": "ABN", "au_acn": "ACN", "au_ihi": "IHI",
    "card": "card", "iban": "IBAN", "phone": "ph", "email": "mail", "passport": "passport",
    "au_bank_account": "BSB", "ip_address": "host",
}  # fmt: skip
NUMBERS: Final = ("au_tfn", "au_medicare", "au_abn", "au_acn", "au_ihi", "card")
_SIZES: Final = {
    "au_tfn": (3, 3, 3), "au_medicare": (4, 5, 1), "au_abn": (2, 3, 3, 3), "au_acn": (3, 3, 3),
    "au_ihi": (4, 4, 4, 4),
}  # fmt: skip
_WORDS: Final = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_SCRIPTS: Final = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0x1040, 0x1D7F6, 0xFF10)


def _groups(category: str, value: str) -> list[str]:
    sizes = _SIZES.get(category) or ((4, 6, 5) if len(value) == 15 else (4, 4, 4, 4))
    found, at = [], 0
    for size in sizes:
        found.append(value[at : at + size])
        at += size
    return found


def _joined(category: str, value: str, signs: str) -> str:
    parts = _groups(category, value)
    return parts[0] + "".join(signs[n % len(signs)] + part for n, part in enumerate(parts[1:]))


def _in_script(rng: random.Random, value: str) -> str:
    zero = rng.choice(_SCRIPTS)
    return "".join(chr(zero + int(c)) if c.isdigit() else c for c in value)


def _between(value: str, marks: str) -> str:
    return "".join(c + marks[n % len(marks)] for n, c in enumerate(value[:-1])) + value[-1]


Writer = Callable[[random.Random, str, str], tuple[str, str, str]]  # before, written, after
OF_NUMBERS: Final[dict[str, Writer]] = {
    "form field": lambda _, c, v: (f"{NAMES[c]} number (required): ", v, "\nSignature:"),
    "glued to its name": lambda _, c, v: (NAMES[c].lower(), v, "!"),
    "commas": lambda _, c, v: (f"{NAMES[c]} is ", _joined(c, v, ","), " ok"),
    "colons": lambda _, c, v: ("she has ", _joined(c, v, ":"), f", her {NAMES[c]}"),
    "slashes": lambda _, c, v: (f"{NAMES[c]} ", _joined(c, v, "/"), ""),
    "mixed signs": lambda _, c, v: (f"{NAMES[c]}=", _joined(c, v, "-/. "), ";"),
    "between letters": lambda rng, c, v: (f"on a wall: {rng.choice('xЖ字ß')}", v, "z, at night"),
    "filled": lambda rng, c, v: (f"{NAMES[c]} ", _between(v, "\u3164\u115f\uffa0"), " here"),
    "not drawn": lambda rng, c, v: (f"{NAMES[c]} ", _between(v, "\ufe0f\U000e0041\u2063"), ""),
    "another script": lambda rng, c, v: (f"{NAMES[c]} ", _in_script(rng, v), "."),
    "json": lambda _, c, v: (f'{{"{NAMES[c]}": "', v, '", "style": "oil"}'),
    "in words": lambda _, c, v: (f"{NAMES[c]} ", " ".join(_WORDS[int(d)] for d in v), ", slowly"),
}
OF_OTHERS: Final[dict[str, Writer]] = {
    "form field": lambda _, c, v: (f"{NAMES[c]} number (required): ", v, "\nSignature:"),
    "plain": lambda _, c, v: (f"my {NAMES[c]} ", v, " thanks"),
    "brackets": lambda _, c, v: (f"{NAMES[c]} (", v, ")"),
    "quotes": lambda _, c, v: (f"{NAMES[c]} «", v, "»"),
    "semicolon": lambda _, c, v: (f"a;{NAMES[c]};", v, ";b"),
    "new line": lambda _, c, v: (f"{NAMES[c]}\n", v, "\n"),
    "full width": lambda _, c, v: (
        f"{NAMES[c]} ", "".join(chr(ord(x) + 0xFEE0) if "!" <= x <= "~" else x for x in v), "。"
    ),
    "filled": lambda rng, c, v: (f"{NAMES[c]} ", _between(v, "\u3164\u1160"), " here"),
    "not drawn": lambda rng, c, v: (f"{NAMES[c]} ", _between(v, "\u200d\U000e007e"), ""),
    "another script": lambda rng, c, v: (f"{NAMES[c]} ", _in_script(rng, v), "."),
    "json": lambda _, c, v: (f'{{"{NAMES[c]}": "', v, '", "style": "oil"}'),
    "sentence end": lambda _, c, v: (f"Write the {NAMES[c]}: ", v, ". Soft light."),
}  # fmt: skip
_SCENES: Final = (
    "Ein Hafen",
    "A quiet library",
    "Neon street",
    "海辺の町",
    "Un gato",
    "Opera house",
)


def surfaces(seed: int, per_form: int) -> Iterator[Surface]:
    """Prompts with one identifier each, so many of every kind and form."""
    rng = random.Random(seed)
    for category, draw in DRAWN.items():
        forms = OF_NUMBERS if category in NUMBERS else OF_OTHERS
        for form, write in forms.items():
            for _ in range(per_form):
                before, written, after = write(rng, category, draw(rng))
                start = f"{rng.choice(_SCENES)}. {before}"
                end = len(start) + len(written)
                yield Surface(category, form, start + written + after, len(start), end)


def _isbn13(rng: random.Random) -> str:
    body = f"978{_random(rng, 9)}"
    check = -sum(int(d) * (3 if n % 2 else 1) for n, d in enumerate(body)) % 10
    return f"{body[:3]}-{body[3]}-{body[4:7]}-{body[7:12]}-{check}"


def _isbn10(rng: random.Random) -> str:
    body = _random(rng, 9)
    check = -sum(int(d) * (10 - n) for n, d in enumerate(body)) % 11
    return f"{body[0]}-{body[1:4]}-{body[4:9]}-{'X' if check == 10 else check}"


def _hex(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=count))


_THINGS: Final[tuple[Callable[[random.Random], str], ...]] = (
    lambda r: f"{r.choice((512, 768, 1024, 1536, 2048, 3840))} x {r.choice((512, 1080, 2160))} px",
    lambda r: f"made in {r.randint(1700, 2030)}, restored {r.randint(1900, 2030)}",
    lambda r: f"for ${r.randint(1, 999)},{r.randint(100, 999)}.{r.randint(10, 99)}",
    lambda r: f"A$ {r.randint(1, 999)} {r.randint(100, 999)} {r.randint(100, 999)} at auction",
    lambda r: f"palette #{_hex(r, 6)} and #{_hex(r, 8)}",
    lambda r: f"rgb({r.randint(0, 255)}, {r.randint(0, 255)}, {r.randint(0, 255)})",
    lambda r: f"cover with ISBN {_isbn13(r)}",
    lambda r: f"cover with ISBN-10: {_isbn10(r)}",
    lambda r: f"barcode {_random(r, 13, '9')}",
    lambda r: f"at {r.uniform(-89, 89):.{r.randint(3, 6)}f}, {r.uniform(-179, 179):.4f}",
    lambda r: f"coordinates {r.randint(1, 89)}°{r.randint(1, 59)}'{r.randint(1, 59)}\"S",
    lambda r: f"seed {r.randint(0, 2**32 - 1)}",
    lambda r: f"--seed {r.randint(0, 2**32 - 1)} --ar 16:9",
    lambda r: f"{r.randint(1, 31)}.{r.randint(1, 12)}.{r.randint(1900, 2030)}",
    lambda r: f"20{r.randint(10, 29)}-0{r.randint(1, 9)}-{r.randint(10, 28)}T10:42:00Z",
    lambda r: f"IMG_20{r.randint(10, 29)}0{r.randint(1, 9)}{r.randint(10, 28)}_{_random(r, 6)}.jpg",
    lambda r: f"DSC{_random(r, 5)}.NEF",
    lambda r: f"population {r.randint(1, 999)},{r.randint(100, 999)},{r.randint(100, 999)}",
    lambda r: f"{r.randint(1, 99)},{r.randint(100, 999)},{r.randint(100, 999)} stars",
    lambda r: f"build {r.randint(1, 20)}.{r.randint(0, 99)}.{r.randint(0, 9999)}",
    lambda r: f"asset {_hex(r, 8)}-{_hex(r, 4)}-4{_hex(r, 3)}-a{_hex(r, 3)}-{_hex(r, 12)}",
    lambda r: f"sha256 {_hex(r, 64)}",
    lambda r: f"commit {_hex(r, 7)}",
    lambda r: f"{r.randint(0, 9)}:{r.randint(10, 59)}:{r.uniform(10, 59):.3f} lap time",
    lambda r: f"score {r.randint(0, 120)}-{r.randint(0, 120)}, {r.randint(0, 99)}-7",
    lambda r: f"flight QF{r.randint(1, 999)}, gate {r.randint(1, 60)}, row {r.randint(1, 80)}",
    lambda r: f"postcodes {r.randint(2000, 6999)}, {r.randint(2000, 6999)} and 2600",
    lambda r: f"f/{r.choice((1.4, 2.8))}, 1/{r.choice((60, 4000))} s, ISO {r.choice((100, 6400))}",
    lambda r: f"steps {r.randint(10, 80)}, cfg {r.uniform(1, 15):.1f}, denoise {r.random():.6f}",
    lambda r: f"{r.randint(2, 90)} mm x {r.randint(2, 90)} mm x {r.randint(2, 90)} mm",
    lambda r: f"number plate {r.choice(('ABC', 'XYZ'))}-{_random(r, 3)}",
    lambda r: f"1, 2, 3, 4, 5, 6, 7, {r.randint(8, 9)}",
    lambda r: f"lotto numbers {', '.join(str(r.randint(1, 45)) for _ in range(6))}",
    lambda r: f"years {r.randint(1900, 1950)}-{r.randint(1951, 2000)} and {r.randint(2001, 2026)}",
    lambda r: f"call 13 {r.randint(10, 99)} {r.randint(10, 99)} or 1300 {_random(r, 3)} 555",
    lambda r: f"{r.random() * 1e9:.0f} particles",
    lambda r: f"pi {31415926535 + 0}, e 2.718281828",
    lambda r: f"a flag bearer {r.choice(('sun-drenched', 'wide-eyed', 'mid-stride'))}",
    lambda r: f"secret key {r.choice(('half-buried', 'moss-covered'))} in {r.randint(10, 99)} bits",
    lambda r: f"stamp 0{r.randint(1, 9)}/0{r.randint(1, 9)}/2024 {r.randint(10, 23)}:45",
    lambda r: f"VHS 0{r.randint(1, 9)}.{r.randint(10, 12)}.1998 {r.randint(10, 23)}:15",
    lambda r: f"2023/0{r.randint(1, 9)}/0{r.randint(1, 9)} {r.randint(10, 23)}:30:15",
    lambda r: f"an account of {r.randint(100, 999)} 000 soldiers, 1914-19{r.randint(15, 99)}",
    lambda r: f"account: {r.randint(100, 999)},{_random(r, 3)} people, 20{r.randint(10, 29)}-2030",
    lambda r: f"look at {r.choice(('live.tv', 'live dot net', 'me dot in'))}",
    lambda r: f"meet me @ {r.choice(('noon.today', 'museum.exhibit'))}",
    lambda r: f"Unreal Engine 5.{r.randint(0, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}",
    lambda r: f"order no. {_random(r, r.randint(5, 8), '123456789')}",
)  # fmt: skip
_OF: Final = ("a tram", "an old map", "a tax office", "a card table", "two foxes", "a server")


def plain_prompts(seed: int, count: int) -> list[str]:
    """Image prompts without anybody's data and with one to four numbers of other things."""
    rng = random.Random(seed)
    return [
        f"{rng.choice(_SCENES)}, {rng.choice(_OF)}, "
        + ", ".join(thing(rng) for thing in rng.sample(_THINGS, rng.randint(1, 4)))
        for _ in range(count)
    ]
