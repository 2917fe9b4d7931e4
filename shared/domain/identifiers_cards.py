"""Card numbers by the ranges of the large schemes, also where other digits are glued to them."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

# Range of a scheme's first digits, and the lengths of its numbers.
_SCHEMES: Final = tuple(
    (re.compile(first), lengths)
    for first, lengths in (
        (r"4", (16, 13, 19)),
        (r"5[1-5]|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)", (16,)),
        (r"35(?:2[89]|[3-8][0-9])", (16,)),
        (r"3[47]", (15,)),
        (r"30[0-5]|3[689]", (14,)),
        (r"6(?:011|4[4-9]|5|2)", (16, 17, 18, 19)),
    )
)
_FIRST: Final = frozenset("23456")
_GLUED: Final = re.compile(
    r"(?=4|5[1-5]|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)|3[47]|6(?:011|5|4[4-9]))"
)
GLUED_LENGTHS: Final = (16, 15)  # of what is looked for inside longer digits
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice a digit, with its own digits added


def card_lengths(digits: str, at: int) -> tuple[int, ...]:
    """How long a card number that begins there may be; empty if none begins so."""
    if at >= len(digits) or digits[at] not in _FIRST:
        return ()
    for first, lengths in _SCHEMES:
        if first.match(digits, at):
            return lengths
    return ()


class LuhnSums:
    """Sums over some digits from the first on, so that any stretch is checked at once."""

    def __init__(self, digits: str) -> None:
        self._digits = digits
        even, odd = [0], [0]  # with the even places doubled, and with the odd ones
        for place, each in enumerate(digits):
            value = ord(each) - ord("0")
            doubled = _DOUBLED[value]
            even.append(even[-1] + (value if place % 2 else doubled))
            odd.append(odd[-1] + (doubled if place % 2 else value))
        self._sums = (odd, even)

    def is_right(self, start: int, end: int) -> bool:
        """Whether the last digit of a stretch is right, and not all are the same."""
        sums = self._sums[(end - 1) % 2]  # the last digit counts once
        if (sums[end] - sums[start]) % 10:
            return False
        return len(set(self._digits[start:end])) > 1


def find_glued(digits: str, borders: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Card numbers inside a group of more digits: an expiry date or a code is written next to them.

    `borders` are the places where groups begin, and the end of the last one.
    """
    for begin, end in pairwise(borders):
        if end - begin <= GLUED_LENGTHS[0]:
            continue
        sums = LuhnSums(digits[begin:end])
        for found in _GLUED.finditer(digits, begin, end):
            at = found.start()
            last = at + GLUED_LENGTHS[digits[at] == "3"]
            if last <= end and sums.is_right(at - begin, last - begin):
                yield at, last
