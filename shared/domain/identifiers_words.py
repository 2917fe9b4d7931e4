"""Words that stand near identifiers, and words of health: found in plain text, plain themselves.

Words are folded the way texts are, so that accents, other scripts and look-alike letters match.
They are searched for by RE2: no list of words and no text can make a search run away.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

from shared.domain.identifiers import IDENTIFIERS, NO_SYNONYMS, Synonyms
from shared.domain.identifiers_text import plain_texts

if TYPE_CHECKING:
    import re2

HEALTH: Final = "health_information"
ACRONYM_CHARS: Final = 3  # such words are also written with signs between their letters: T.F.N.
PATTERNS_KEPT: Final = 256  # of the built-in kinds and of the synonyms of some departments
ATOMS_MAX: Final = 400  # of one word; folded, some letters become several
WORDS_BYTES_MAX: Final = 16 << 20  # of one list, compiled; what is larger is refused
_NO_LETTER: Final = r"[^\pL\p{Nl}\p{No}]"
# Signs that stand in plain text; the whole class would be thirty times as large for RE2.
_SIGN: Final = (
    r"[\x00-/:-@\[-`{-\x{bf}\x{60c}\x{61b}\x{61f}\x{964}\x{965}\x{2000}-\x{2bff}"
    r"\x{3000}-\x{3003}\x{3008}-\x{3020}\x{fe10}-\x{fe6f}\x{1f000}-\x{1ffff}]"
)
_EDGE: Final = "\n"  # before and behind a text while it is searched: each word has two neighbours
# Writings without blanks between words: a word stands anywhere.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff]"
)
# Somebody's identity beside one of these is health information about a person. Where no policy
# speaks of health, they decide whether the Language service is asked for it.
HEALTH_WORDS: Final = (
    "patient", "patients", "diagnosed", "diagnosis", "diagnoses", "medical record", "mrn",
    "medicare", "pathology", "prescribed", "prescription", "chemotherapy", "chemo", "hiv positive",
    "hiv", "blood test", "blood pressure", "discharge summary", "symptoms", "oncology", "biopsy",
    "tumour", "tumor", "cancer", "diabetes", "diabetic", "schizophrenia", "bipolar",
    "pregnant", "miscarriage", "abortion", "dementia", "epilepsy", "psychiatric",
    "allergic to", "mental health", "icu", "mri", "ct scan", "medication",
    # German, French, Spanish, Italian, Portuguese, Dutch
    "patientin", "diagnose", "diagnostiziert", "krankenakte", "krebs", "krank",
    "blutdruck", "schwanger", "patiente", "ordonnance", "maladie",
    "paciente", "diagnostico", "embarazada", "enfermedad", "vih", "paziente",
    "diagnosi", "cancro", "incinta", "malattia", "doente", "gravida",
    "ziekte", "kanker", "zwanger",
    # Polish, Turkish, Indonesian, Vietnamese, Filipino, Samoan, Maori
    "pacjent", "pacjentka", "diagnoza", "kanser", "pasien",
    "kanker", "bệnh nhân", "ung thư", "chẩn đoán", "pasyente", "ma'i", "turoro",
    # Russian, Ukrainian, Greek
    "пациент", "пациентка", "диагноз", "пацієнт", "діагноз", "ασθενής",
    "διάγνωση", "καρκίνος",
    # Arabic, Persian, Hebrew, Hindi, Punjabi
    "مريض", "مريضة", "تشخيص", "سرطان", "بیمار", "חולה", "אבחנה", "סרטן", "मरीज", "रोगी",
    "निदान", "कैंसर", "ਮਰੀਜ਼",
    # Chinese, Japanese, Korean, Thai
    "患者", "病人", "诊断", "診斷", "診断", "癌症", "病历", "病歷", "がん", "処方", "환자", "진단",
    "ผู้ป่วย", "มะเร็ง",
)  # fmt: skip


Atoms = tuple[str, ...]  # patterns of single letters, and of what may stand between words


class WordsTooLarge(Exception):
    """Words that cannot be searched for: too many, or too long."""


@dataclass(frozen=True)
class _Search:
    """Words that are alike in this: whether a neighbour before and behind must be no letter."""

    pattern: "re2._Regexp[str]"
    before: bool
    after: bool

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where the words stand in a text; `data` is that text between its edges, in UTF-8."""
        at, chars = 0, -len(_EDGE)
        while (found := self.pattern.search(data, at)) is not None:
            start, end = found.span()
            chars += _length(data[at:end]) - self.after
            first = chars - _length(data[start:end]) + self.before + self.after
            yield first, chars
            at = _last_letter(data, end) if self.after else end
            if self.before:  # what ends a word may be the neighbour before the next
                at, chars = _last_letter(data, at), chars - 1


class WordSearch:
    """Any of some words or phrases in plain text, whole and in any case; blanks are any blanks.

    With `spread`, any sign may stand between words, and between the letters of an acronym. Raises
    WordsTooLarge if they are too many or too long.
    """

    def __init__(self, words: tuple[str, ...], *, spread: bool = False) -> None:
        plain = {plain_texts(word)[0].text.strip() for word in words} - {""}
        sides: dict[tuple[bool, bool], set[Atoms]] = {}
        for word in plain:
            is_spaced = not _UNSPACED.match(word[0]), not _UNSPACED.match(word[-1])
            sides.setdefault(is_spaced, set()).add(_atoms(word, spread=spread))
        self._searches = [_search(alike, *side) for side, alike in sides.items()]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where they stand, in no order."""
        data = f"{_EDGE}{text}{_EDGE}".encode("utf-8", "surrogatepass")
        for search in self._searches:
            yield from search.spans(data)

    def finds_any(self, text: str) -> bool:
        return next(self.spans(text), None) is not None


@lru_cache(maxsize=PATTERNS_KEPT)
def word_search(words: tuple[str, ...], *, spread: bool = False) -> WordSearch:
    """The search for some words, compiled once."""
    return WordSearch(words, spread=spread)


def context_words(category: str, synonyms: Synonyms) -> tuple[str, ...]:
    """The words that stand near an identifier of this kind, those of the house included."""
    return IDENTIFIERS[category].context + tuple(synonyms.get(category, ()))


def speaks_of_health(text: str, synonyms: Synonyms = NO_SYNONYMS) -> bool:
    """Whether an identity in this text would be health information about a person."""
    words = HEALTH_WORDS + tuple(synonyms.get(HEALTH, ()))
    return any(word_search(words).finds_any(plain.text) for plain in plain_texts(text))


def _search(words: set[Atoms], before: bool, after: bool) -> _Search:
    import re2

    if any(len(word) > ATOMS_MAX for word in words):
        raise WordsTooLarge
    options = re2.Options()
    options.max_mem = WORDS_BYTES_MAX
    options.log_errors = False  # they quote the words
    options.case_sensitive = False
    options.never_capture = True
    options.longest_match = True
    any_of = f"(?:{_any_of(sorted(words))})"
    pattern = f"{_NO_LETTER if before else ''}{any_of}{_NO_LETTER if after else ''}"
    try:
        return _Search(re2.compile(pattern, options), before, after)
    except re2.error:
        raise WordsTooLarge from None  # its text may quote the words


def _atoms(word: str, *, spread: bool) -> Atoms:
    """The letters of a word as patterns, in one case, and what may stand between its parts."""
    import re2

    parts: list[Atoms] = [
        tuple(re2.escape(each.casefold() if len(each.casefold()) == 1 else each) for each in part)
        for part in word.split()
    ]
    between = f"{_SIGN}{{1,3}}" if spread else r"\s+"
    if spread and len(word) <= ACRONYM_CHARS and word.isascii() and word.isalpha():
        parts, between = [(each,) for each in parts[0]], f"{_SIGN}?"
    return tuple(atom for n, part in enumerate(parts) for atom in ((between,) * (n > 0) + part))


def _any_of(words: Sequence[Atoms], at: int = 0) -> str:
    """What follows the first `at` atoms of sorted words that have these in common.

    Each beginning is written once. RE2 follows all that a text may still become: so these are no
    more than a word has letters, however many words there are.
    """
    shared = ""
    while len(words[0]) > at and words[0][at] == words[-1][at]:
        shared += words[0][at]
        at += 1
    longer = [word for word in words if len(word) > at]
    branches = [
        atom + _any_of(list(alike), at + 1)
        for atom, alike in groupby(longer, key=lambda word: word[at])
    ]
    optional = "?" if len(longer) < len(words) else ""
    return f"{shared}(?:{'|'.join(branches)}){optional}" if branches else shared


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def _last_letter(data: bytes, end: int) -> int:
    """Where the character begins that ends there: bytes 10xxxxxx of UTF-8 continue one."""
    start = end - 1
    while data[start] & 0xC0 == 0x80:
        start -= 1
    return start
