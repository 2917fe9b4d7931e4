"""Characters as a reader sees them: what is invisible, and what looks like a letter or a digit.

Sources: the property Default_Ignorable_Code_Point and the confusables of UTS 39, in part.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_DROPPED: Final = frozenset({"Cf", "Mn", "Me", "Cc"})  # but for line breaks and tabs
# What nothing is drawn for. Some of these are letters to Unicode: the fillers of Hangul.
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BLANKS: Final = frozenset("\u2800")  # a Braille cell without dots is a symbol to Unicode
_DASHES: Final = frozenset("\u2212\u2043\u02d7")  # besides those that are dashes to Unicode
_FULL_STOPS: Final = frozenset("\u3002\uff61\u06d4\u0701")  # domains may be written with them
_LOOK_ALIKES: Final = dict(
    zip(
        "АВЕКМНОРСТХУІЅЈԌԚԜӀҮаеорсухіѕјһԁԛԝѵүӏпΑΒΕΖΗΙΚΜΝΟΡΤΥΧονιαργυκ"
        "օոսհցԼՏՕɑɡıʟɪᴀʙᴄᴅᴇꜰɢʜɪᴊᴋᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢØøĐđŁł",
        "ABEKMHOPCTXYISJGQWIYaeopcyxisjhdqwvylnABEZHIKMNOPTYXoviapyuk"
        "onuhgLSOagilIABCDEFGHIJKMNOPRSTUVWYZOoDdLl",
        strict=True,
    )
)
# Letters that are drawn like a digit, and digits of writings that count otherwise.
_DIGITS: Final = dict(
    zip("ЗзӠӡƷʒϬбЧƧƽȢȣ〇零一二三四五六七八九", "333333664258800123456789", strict=True)
)
_SUZHOU: Final = frozenset("〡〢〣〤〥〦〧〨〩")  # digits of merchants
# One letter that is also written as two.
_TWO: Final = {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
_KNOWN: Final = _LOOK_ALIKES | _DIGITS | _TWO
# Letters in black squares and circles, and the flags' letters, in order of the alphabet.
_ALPHABETS: Final = (0x1F150, 0x1F170, 0x1F1E6)
_LETTERS: Final = 26
_TAGS: Final = range(0xE0020, 0xE007F)  # each carries an ASCII character and is not drawn
# Variation selectors: sixteen and two hundred and forty, in which a byte can be hidden.
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
LETTERS_KEPT: Final = 65_536  # plain forms of characters: more than all writings in use have
NOT_DRAWN: Final = re.compile("[\ufe00-\ufe0f\U000e0020-\U000e007e\U000e0100-\U000e01ef]")


@lru_cache(maxsize=LETTERS_KEPT)
def plain_letter(letter: str) -> str:
    """What one character comes to: nothing, one character, or several."""
    if letter in "\n\r\t":
        return letter
    known = _KNOWN.get(letter) or _in_alphabet(ord(letter))
    if known:
        return known
    category = unicodedata.category(letter)
    if letter in _DASHES or category == "Pd":
        return "-"
    if letter in _BLANKS or category in ("Zs", "Zl", "Zp"):
        return " "
    if letter in _FULL_STOPS:
        return "."
    if category in _DROPPED or _IGNORABLE.match(letter):
        return ""
    digit = _digit(letter, category)
    if digit is not None:
        return digit
    decomposed = unicodedata.normalize("NFKD", letter)
    return "".join(_decomposed(each) for each in decomposed)


def _digit(letter: str, category: str) -> str | None:
    """The digit that one character is; words for numbers of Chinese count as such."""
    digit = unicodedata.digit(letter, None)
    if digit is None and (category == "Lo" or letter in _SUZHOU):
        number = unicodedata.numeric(letter, None)
        digit = int(number) if number is not None and number in range(10) else None
    return None if digit is None else str(digit)


def hidden_letter(letter: str) -> str:
    """The character that one carries which is not drawn; nothing if it carries none."""
    place = ord(letter)
    if place in _TAGS:
        return chr(place - 0xE0000)
    before = 0
    for selectors in _SELECTORS:
        if place in selectors:
            return chr(before + place - selectors.start)
        before += len(selectors)
    return ""


def _decomposed(letter: str) -> str:
    if unicodedata.category(letter) in _DROPPED or _IGNORABLE.match(letter):
        return ""
    digit = unicodedata.digit(letter, None)
    if digit is not None:
        return str(digit)
    return _KNOWN.get(letter, letter)


def _in_alphabet(place: int) -> str:
    for first in _ALPHABETS:
        if first <= place < first + _LETTERS:
            return chr(ord("A") + place - first)
    return ""
