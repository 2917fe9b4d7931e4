"""Text as a reader would see it, with the way back: each character knows where it came from.

What is not drawn is dropped; compatibility forms (full width, mathematical, circled) and digits of
all scripts become ASCII; look-alike letters become Latin; all dashes and blanks become one. A text
has further views if there is reason for them: what stands behind a right-to-left override is also
read backwards, as it is shown; escapes and numbers in words are also read as what they say; and
what is carried by characters that are not drawn is read as well.
"""

import html
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.identifiers_letters import NOT_DRAWN, hidden_letter, plain_letter

_OVERRIDE: Final = "\u202e"  # shows what follows from right to left
_OVERRIDE_ENDS: Final = ("\u202c", "\u202d", "\u202a", "\u202b", "\u2069", "\n")
# Letters that pass for digits inside a number; the fold keeps the length of the text.
_LIKE: Final = "OoQDlIi|BSsZzGqg"
_DIGIT_LIKE: Final = str.maketrans(_LIKE, "0000111185522699")
_NUMBER_WITH_LETTERS: Final = re.compile(
    rf"(?:(?<![A-Za-z0-9|])|(?<=[A-Z])(?=[a-z|])|(?<=[a-z])(?=[A-Z|]))"
    rf"[0-9{_LIKE}]+(?![A-Za-z0-9|])"
)
_ESCAPE: Final = re.compile(
    r"&#[0-9]{1,7};?|&#[xX][0-9A-Fa-f]{1,6};?|&[A-Za-z]{2,8};|(?:%[0-9A-Fa-f]{2}){1,4}"
    r"|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}"
)
_TAG: Final = re.compile(r"</?[A-Za-z!][^<>]{0,200}>")
_WORDS: Final = (
    "zero one two three four five six seven eight nine",
    "null eins zwei drei vier funf sechs sieben acht neun",
    "zero un deux trois quatre cinq six sept huit neuf",
    "cero uno dos tres cuatro cinco seis siete ocho nueve",
)
_WORD_DIGITS: Final = {word: str(n) for words in _WORDS for n, word in enumerate(words.split())} | {
    "oh": "0",
    "nought": "0",
}
_WORD: Final = "(?:" + "|".join(sorted(_WORD_DIGITS, key=len, reverse=True)) + ")"
_DIGITS_IN_WORDS: Final = re.compile(
    rf"(?<![^\W\d_]){_WORD}(?:[\W_]{{0,3}}(?:{_WORD}|[0-9])){{5,}}(?![^\W\d_])", re.IGNORECASE
)
_ONE_WORD: Final = re.compile(_WORD, re.IGNORECASE)


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
    """The text as it is written and in every other view that there is reason for."""
    if text.isascii() and not _has_control(text):
        views = [PlainText(text)]
    else:
        views = [_plain(list(enumerate(text)))]
        if _OVERRIDE in text:
            views.append(_plain(_as_shown(text)))
        if NOT_DRAWN.search(text):
            views.append(_hidden(text))
    first = views[0]
    if _ESCAPE.search(first.text):
        views.append(_read_otherwise(first, _ESCAPE, _unescaped))
    if _TAG.search(first.text):
        views.append(_read_otherwise(first, _TAG, lambda _: ""))
    if _DIGITS_IN_WORDS.search(first.text):
        views.append(_read_otherwise(first, _DIGITS_IN_WORDS, _digits_of_words))
    return views


def with_digits(text: str) -> str:
    """The same text, of the same length, with letters that pass for digits inside numbers read so.

    Only groups without other letters are read so, and only those with a digit of their own: words
    stay words.
    """
    if not any(letter in text for letter in _LIKE):
        return text
    folded = list(text)
    for group in _NUMBER_WITH_LETTERS.finditer(text):
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
        plain = letter if letter.isascii() and letter.isprintable() else plain_letter(letter)
        if not plain and ends and ends[-1] == place:
            ends[-1] = place + 1  # a mark belongs to the letter that it follows
        for each in plain:
            kept.append(each)
            starts.append(place)
            ends.append(place + 1)
    return PlainText("".join(kept), tuple(starts), tuple(ends))


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


def _hidden(text: str) -> PlainText:
    """What is carried by characters that are not drawn, and nothing else."""
    carried = [(place, hidden_letter(letter)) for place, letter in enumerate(text)]
    return _plain([each for each in carried if each[1]])


def _read_otherwise(
    plain: PlainText, pattern: re.Pattern[str], read: Callable[[str], str]
) -> PlainText:
    """The text with each stretch that matches read as something else."""
    kept: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def keep(text: str, start: int, end: int, *, one_to_one: bool) -> None:
        for n, letter in enumerate(text):
            kept.append(letter)
            own = (start + n, start + n + 1) if one_to_one else (start, end)
            first, last = plain.original(*own)
            starts.append(first)
            ends.append(last)

    place = 0
    for found in pattern.finditer(plain.text):
        keep(plain.text[place : found.start()], place, found.start(), one_to_one=True)
        keep(read(found[0]), *found.span(), one_to_one=False)
        place = found.end()
    keep(plain.text[place:], place, len(plain.text), one_to_one=True)
    return PlainText("".join(kept), tuple(starts), tuple(ends))


def _unescaped(escape: str) -> str:
    if escape.startswith("&"):
        said = html.unescape(escape if escape.endswith(";") else f"{escape};")
    elif escape.startswith("%"):
        said = urllib.parse.unquote(escape)
    else:
        said = chr(int(escape[2:], 16))
    return "".join(c if c.isascii() and c.isprintable() else plain_letter(c) for c in said)


def _digits_of_words(words: str) -> str:
    return _ONE_WORD.sub(lambda word: _WORD_DIGITS[word[0].lower()], words)
