"""Words that stand near identifiers, and words of health: found in plain text, plain themselves.

Words are folded the way texts are, so that accents, other scripts and look-alike letters match.
"""

import re
from functools import lru_cache
from typing import Final

from shared.domain.identifiers import IDENTIFIERS, NO_SYNONYMS, Synonyms
from shared.domain.identifiers_text import plain_texts

HEALTH: Final = "health_information"
ACRONYM_CHARS: Final = 3  # such words are also written with signs between their letters: T.F.N.
PATTERNS_KEPT: Final = 512  # of the built-in kinds and of the synonyms of some departments
_NO_LETTER_BEFORE, _NO_LETTER_AFTER = r"(?<![^\W\d_])", r"(?![^\W\d_])"
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


@lru_cache(maxsize=PATTERNS_KEPT)
def words_pattern(words: tuple[str, ...], *, spread: bool = False) -> re.Pattern[str]:
    """Any of some words or phrases in plain text, whole and in any case; blanks are any blanks.

    With `spread`, any sign may stand between words, and between the letters of an acronym.
    """
    plain = {plain_texts(word)[0].text for word in words}
    ordered = sorted((word for word in plain if word.strip()), key=len, reverse=True)
    patterns = [_word_pattern(word, spread=spread) for word in ordered]
    return re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)


def context_words(category: str, synonyms: Synonyms) -> tuple[str, ...]:
    """The words that stand near an identifier of this kind, those of the house included."""
    return IDENTIFIERS[category].context + tuple(synonyms.get(category, ()))


def speaks_of_health(text: str, synonyms: Synonyms = NO_SYNONYMS) -> bool:
    """Whether an identity in this text would be health information about a person."""
    words = HEALTH_WORDS + tuple(synonyms.get(HEALTH, ()))
    return any(words_pattern(words).search(plain.text) for plain in plain_texts(text))


def _word_pattern(word: str, *, spread: bool) -> str:
    parts = word.split()
    if spread and len(word) <= ACRONYM_CHARS and word.isascii() and word.isalpha():
        inside = r"[\W_]?".join(word)
    else:
        between = r"[\W_]{1,3}" if spread else r"\s+"
        inside = between.join(re.escape(part) for part in parts)
    before = "" if _UNSPACED.match(word[0]) else _NO_LETTER_BEFORE
    after = "" if _UNSPACED.match(word[-1]) else _NO_LETTER_AFTER
    return f"{before}{inside}{after}"
