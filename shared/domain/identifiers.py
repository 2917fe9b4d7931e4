"""Identifiers: what the privacy screen can find, which class of data it is, and where it stood.

A finding never holds the text itself, so that no log line or error can repeat it. Offsets count
Unicode code points of the text as it was given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

DataClass = Literal[
    "secret",
    "health",
    "government",
    "financial",
    "contact",
    "location",
    "network",
    "person",
    "business",
    "custom",
]
Layer = Literal["local", "language", "rule"]
CERTAIN: Final = 100  # percent; a checksum or a rule of the house does not guess


@dataclass(frozen=True)
class Identifier:
    """One kind of identifier; `context` are words that stand near one and make it likely."""

    category: str
    data_class: DataClass
    context: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One identifier found: code points `start..end` (exclusive) of the original text."""

    category: str
    data_class: DataClass
    start: int
    end: int
    layer: Layer = "local"
    confidence_percent: int = CERTAIN
    rule: str | None = None  # the name of a rule of the house


# Ordered: where two kinds claim the same characters, the earlier one has them.
_TABLE: Final = (
    Identifier("secret", "secret"),
    Identifier("au_ihi", "health", ("ihi", "healthcare identifier", "health identifier")),
    Identifier("card", "financial", ("card", "visa", "mastercard", "amex", "cvv", "pan")),
    Identifier("au_medicare", "health", ("medicare", "medicare card", "irn")),
    Identifier("au_tfn", "government", ("tfn", "tax file", "taxfile")),
    Identifier("iban", "financial", ("iban",)),
    Identifier("passport", "government", ("passport", "travel document")),
    Identifier("au_bank_account", "financial", ("bsb", "account", "acct", "acc no", "a/c")),
    Identifier("email", "contact"),
    Identifier("phone", "contact"),
    Identifier("au_abn", "business", ("abn", "business number")),
    Identifier("au_acn", "business", ("acn", "company number", "company no")),
    Identifier("ip_address", "network"),
    # The rest is found by the Language service only.
    Identifier("au_drivers_licence", "government"),
    Identifier("national_id", "government"),
    Identifier("health_id", "health"),
    Identifier("health_information", "health"),
    Identifier("bank_account", "financial"),
    Identifier("address", "location"),
    Identifier("person", "person"),
)
IDENTIFIERS: Final[Mapping[str, Identifier]] = MappingProxyType({i.category: i for i in _TABLE})
RANK: Final[Mapping[str, int]] = MappingProxyType({i.category: n for n, i in enumerate(_TABLE)})
CUSTOM: Final = "custom"  # the category of what a rule of the house finds
DATA_CLASSES: Final[tuple[DataClass, ...]] = (
    "secret",
    "health",
    "government",
    "financial",
    "contact",
    "location",
    "network",
    "person",
    "business",
    "custom",
)
# Somebody's identity beside one of these words is health information about a person.
HEALTH_WORDS: Final = (
    "patient",
    "diagnosed",
    "diagnosis",
    "medical record",
    "mrn",
    "medicare",
    "pathology",
    "prescribed",
    "prescription",
    "chemotherapy",
    "hiv positive",
    "blood test",
    "discharge summary",
)
Synonyms = Mapping[str, tuple[str, ...]]  # more context words of a category
NO_SYNONYMS: Final[Synonyms] = MappingProxyType({})


@dataclass(frozen=True)
class Span:
    """A candidate in the normalised text; `strength` says how sure its form and context make it."""

    category: str
    start: int
    end: int
    strength: int


@cache
def words_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Any of some words or phrases, whole and in any case; their blanks may be any white space."""
    alternatives = "|".join(
        r"\s+".join(re.escape(part) for part in word.split())
        for word in sorted(words, key=len, reverse=True)
    )
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


def context_words(category: str, synonyms: Synonyms) -> tuple[str, ...]:
    """The words that stand near an identifier of this kind, those of the house included."""
    return IDENTIFIERS[category].context + tuple(synonyms.get(category, ()))


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """The strongest of the spans that share characters, in order of place.

    Among equals the longer one wins, then the more specific kind, then the earlier one.
    """
    kept: list[Span] = []
    ranked = sorted(spans, key=lambda s: (-s.strength, s.start - s.end, RANK[s.category], s.start))
    for span in ranked:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of several layers and chunks in order of place, each identifier once.

    Two findings of one category that touch the same characters are one: a chunk's border may have
    cut it, and both layers may have seen it. The local layer's word goes first.
    """
    order = {"local": 0, "rule": 1, "language": 2}
    found: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, order[f.layer], -f.end)):
        same = next(
            (
                n
                for n, other in enumerate(found)
                if other.category == finding.category
                and other.data_class == finding.data_class
                and other.rule == finding.rule
                and finding.start < other.end
            ),
            None,
        )
        if same is None:
            found.append(finding)
        else:
            found[same] = _joined(found[same], finding)
    return tuple(found)


def _joined(first: Finding, second: Finding) -> Finding:
    return Finding(
        category=first.category,
        data_class=first.data_class,
        start=min(first.start, second.start),
        end=max(first.end, second.end),
        layer=first.layer,
        confidence_percent=max(first.confidence_percent, second.confidence_percent),
        rule=first.rule,
    )
