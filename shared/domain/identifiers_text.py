"""Text as a reader would see it, with the way back: each character knows where it came from.

Zero-width characters, direction marks and combining marks are dropped; compatibility forms (full
width, mathematical, circled) and digits of all scripts become ASCII; look-alike letters become
Latin; all dashes and blanks become one. Characters behind a right-to-left override are also read
backwards, as they are shown.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_OVERRIDE: Final = "\u202e"  # shows what follows from right to left
_OVERRIDE_ENDS: Final = ("\u202c", "\u202d", "\u202a", "\u202b", "\u2069", "\n")
_DROPPED: Final = frozenset({"Cf", "Mn", "Me", "Cc"})  # but for line breaks and tabs
_DASHES: Final = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u2043")
# Cyrillic, Greek and other letters that cannot be told from Latin ones (Unicode TR39, in part).
_LOOK_ALIKES: Final = dict(
    zip(
        "АВЕКМНОРСТХУІЅЈаеорсухіѕјһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧονια",
        "ABEKMHOPCTXYISJaeopcyxisjhdqwABEZHIKMNOPTYXovia",
        strict=True,
    )
)
# Letters that pass for digits inside a number; the fold keeps the length of the text.
_DIGIT_LIKE: Final = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "|": "1", "B": "8"})
_NUMBER_WITH_LETTERS: Final = re.compile(r"(?<![A-Za-z0-9|])[0-9OolI|B]+(?![A-Za-z0-9|])")


@dataclass(frozen=True)
class PlainText:
    """Normalised text; `starts` and `ends` map each of its characters to the original's places.

    Both are None when the text is its own plain form.
    """

    text: str
    starts: tuple[int, ...] | None = None
    ends: tuple[int, ...] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters `start..end` stand in the original text; `end` is exclusive."""
        if self.starts is None or self.ends is None:
            return start, end
        return min(self.starts[start:end]), max(self.ends[start:end])


def plain_texts(text: str) -> list[PlainText]:
    """The text as it is written and, if there is an override of direction, as it is shown."""
    if text.isascii() and not _has_control(text):
        return [PlainText(text)]
    views = [_plain(list(enumerate(text)))]
    if _OVERRIDE in text:
        views.append(_plain(_as_shown(text)))
    return views


def with_digits(text: str) -> str:
    """The same text, of the same length, with letters that pass for digits inside numbers read so.

    Only groups without other letters are read so, and only those with a digit of their own or
    between two groups that have one: words stay words.
    """
    if not any(letter in text for letter in "OolI|B"):
        return text
    groups = list(_NUMBER_WITH_LETTERS.finditer(text))
    folded = list(text)
    for group in groups:
        if any("0" <= letter <= "9" for letter in group[0]):
            folded[group.start() : group.end()] = group[0].translate(_DIGIT_LIKE)
    return "".join(folded)


def folded(text: str) -> str:
    """The form by which two spellings of a value are the same: plain, lower case, one blank."""
    return " ".join(plain_texts(text)[0].text.casefold().split())


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(
        (letter < " " and letter not in "\n\r\t") or letter == "\x7f" for letter in text
    )


def _plain(letters: list[tuple[int, str]]) -> PlainText:
    kept: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for place, letter in letters:
        plain = letter if letter.isascii() and letter.isprintable() else _plain_letter(letter)
        if not plain and ends and ends[-1] == place:
            ends[-1] = place + 1  # a mark belongs to the letter that it follows
        for each in plain:
            kept.append(each)
            starts.append(place)
            ends.append(place + 1)
    return PlainText("".join(kept), tuple(starts), tuple(ends))


def _plain_letter(letter: str) -> str:
    """What one character comes to: nothing, one character, or several."""
    if letter in "\n\r\t":
        return letter
    if letter in _LOOK_ALIKES:
        return _LOOK_ALIKES[letter]
    category = unicodedata.category(letter)
    if letter in _DASHES or category == "Pd":
        return "-"
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if category in _DROPPED:
        return ""
    digit = unicodedata.digit(letter, None)
    if digit is not None:
        return str(digit)
    decomposed = unicodedata.normalize("NFKD", letter)
    return "".join(
        _LOOK_ALIKES.get(each, each)
        for each in decomposed
        if unicodedata.category(each) not in _DROPPED
    )


def _as_shown(text: str) -> list[tuple[int, str]]:
    """The characters with each override's stretch turned round."""
    shown: list[tuple[int, str]] = []
    place = 0
    while place < len(text):
        if text[place] != _OVERRIDE:
            shown.append((place, text[place]))
            place += 1
            continue
        end = place + 1
        while end < len(text) and text[end] not in _OVERRIDE_ENDS:
            end += 1
        stretch = list(enumerate(text[place + 1 : end], start=place + 1))
        shown += reversed(stretch)
        place = end
    return shown
