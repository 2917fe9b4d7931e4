"""The local layer as a whole: every identifier in a text, by form, checksum and words nearby."""

import re
from dataclasses import replace
from typing import Final

from shared.domain.identifiers import (
    CHECKED,
    IDENTIFIERS,
    NAMED,
    NO_SYNONYMS,
    Finding,
    Span,
    Synonyms,
    merged,
    without_overlaps,
)
from shared.domain.identifiers_contacts import find_contacts
from shared.domain.identifiers_numbers import find_bank_accounts, find_numbers
from shared.domain.identifiers_secrets import find_secrets
from shared.domain.identifiers_surroundings import Surroundings
from shared.domain.identifiers_text import PlainText, plain_texts, with_digits

# Letters that pass for digits only beside a word that names the number.
_LIKE_IN_PART: Final = re.compile("[QDBSsZzGqgi]")


def find_identifiers(text: str, synonyms: Synonyms = NO_SYNONYMS) -> tuple[Finding, ...]:
    """Every identifier of the text, in order of place; offsets are those of the text as given."""
    spans = {span for plain in plain_texts(text) for span in _in_view(plain, synonyms)}
    return merged(
        [
            Finding(each.category, IDENTIFIERS[each.category].data_class, each.start, each.end)
            for each in without_overlaps(sorted(spans, key=lambda span: span.start))
        ]
    )


def _in_view(plain: PlainText, synonyms: Synonyms) -> list[Span]:
    """What one view claims, at the places of the text as given."""
    around = Surroundings(plain.text, synonyms)
    spans: list[Span] = [*find_secrets(plain.text), *find_contacts(around)]
    spans += _numbers(around)
    read_so = with_digits(plain.text)
    if read_so != plain.text:
        folded = Surroundings(read_so, synonyms)
        for span in (*find_contacts(folded), *_numbers(folded)):
            is_weak = span.strength < NAMED and span.category in CHECKED
            if not is_weak:
                spans.append(span)
            elif not _LIKE_IN_PART.search(plain.text, span.start, span.end):
                # Less sure than what stands there: it explains nothing away.
                spans.append(replace(span, strength=span.strength - NAMED))
    if plain.starts is None:
        return spans
    return [
        Span(each.category, *plain.original(each.start, each.end), each.strength) for each in spans
    ]


def _numbers(around: Surroundings) -> list[Span]:
    if not around.digit_runs:
        return []
    return [*find_numbers(around), *find_bank_accounts(around)]
