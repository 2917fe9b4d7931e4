"""The local layer as a whole: every identifier in a text, by form, checksum and words nearby."""

from typing import Final

from shared.domain.identifiers import (
    HEALTH_WORDS,
    IDENTIFIERS,
    NO_SYNONYMS,
    Finding,
    Span,
    Synonyms,
    merged,
    without_overlaps,
    words_pattern,
)
from shared.domain.identifiers_contacts import find_contacts
from shared.domain.identifiers_numbers import Surroundings, find_bank_accounts, find_numbers
from shared.domain.identifiers_secrets import find_secrets
from shared.domain.identifiers_text import PlainText, plain_texts, with_digits

HEALTH: Final = "health_information"


def find_identifiers(text: str, synonyms: Synonyms = NO_SYNONYMS) -> tuple[Finding, ...]:
    """Every identifier of the text, in order of place; offsets are those of the text as given."""
    found = [finding for plain in plain_texts(text) for finding in _in_view(plain, synonyms)]
    return merged(found)


def speaks_of_health(text: str, synonyms: Synonyms = NO_SYNONYMS) -> bool:
    """Whether an identity in this text would be health information about a person."""
    words = HEALTH_WORDS + tuple(synonyms.get(HEALTH, ()))
    return any(words_pattern(words).search(plain.text) for plain in plain_texts(text))


def _in_view(plain: PlainText, synonyms: Synonyms) -> list[Finding]:
    around = Surroundings(with_digits(plain.text), synonyms)
    spans: list[Span] = list(find_contacts(Surroundings(plain.text, synonyms)))
    spans += find_secrets(plain.text)
    if around.digit_runs:
        spans += find_numbers(around)
        spans += find_bank_accounts(around)
    findings = []
    for span in without_overlaps(spans):
        start, end = plain.original(span.start, span.end)
        data_class = IDENTIFIERS[span.category].data_class
        findings.append(Finding(span.category, data_class, start, end))
    return findings
