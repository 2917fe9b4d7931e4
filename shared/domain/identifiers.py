"""Identifiers: what the privacy screen can find, which class of data it is, and where it stood.

A finding never holds the text itself, so that no log line or error can repeat it. Offsets count
Unicode code points of the text as it was given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    Identifier("au_tfn", "government", ("tfn", "tax file", "taxfile", "tax number")),
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
Synonyms = Mapping[str, tuple[str, ...]]  # more context words of a category
NO_SYNONYMS: Final[Synonyms] = MappingProxyType({})


@dataclass(frozen=True)
class Span:
    """A candidate in the normalised text; `strength` says how sure its form and context make it."""

    category: str
    start: int
    end: int
    strength: int


# Kinds that digits alone may claim; and those that say nothing about the digits inside them.
CHECKED: Final = frozenset({"au_ihi", "card", "au_medicare", "au_tfn", "phone", "au_abn", "au_acn"})
READ_AS_TEXT: Final = frozenset({"secret", "email"})
# Kinds whose numbers hold others by their make: the last nine digits of a business number may be a
# company's, and those of a telephone number abroad stand behind a country code.
HOLDING: Final = frozenset({"au_abn", "phone"})
NAMED: Final = 2  # the strength from which on a word beside it says what it is


_FOR_ALL: Final = "all"


def without_overlaps(spans: Sequence[Span]) -> list[Span]:
    """The claims that stand, in order of place; several may stand on the same characters.

    A claim that only checksum and form make is given up for one that explains the same digits and
    is stronger, or as strong and longer; and that has a word beside it, is of the same class of
    data, or of a kind that holds other numbers. All others stand: what the policy says of each
    counts, so that no lax class hides a strict one by chance.
    """
    kept: list[Span] = []
    extents: dict[tuple[int, int], int] = {}
    length = max((span.end for span in spans), default=0)
    explained: dict[str, bytearray] = {}  # by class of data, or for all
    for span in sorted(spans, key=lambda s: (-s.strength, s.start - s.end, RANK[s.category])):
        data_class = IDENTIFIERS[span.category].data_class
        is_weak = span.strength < NAMED and span.category in CHECKED
        as_strong = extents.get((span.start, span.end)) == span.strength
        if (
            is_weak
            and not as_strong
            and any(
                all(explained[name][span.start : span.end])
                for name in (data_class, _FOR_ALL)
                if name in explained
            )
        ):
            continue
        kept.append(span)
        extents.setdefault((span.start, span.end), span.strength)
        if span.category not in READ_AS_TEXT:
            for_all = span.strength >= NAMED or span.category in HOLDING
            name = _FOR_ALL if for_all else data_class
            marks = explained.setdefault(name, bytearray(length))
            marks[span.start : span.end] = b"\1" * (span.end - span.start)
    return sorted(kept, key=lambda span: (span.start, RANK[span.category]))


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of several layers and chunks in order of place, each identifier once.

    Two findings of one category that touch the same characters are one: a chunk's border may have
    cut it, and both layers may have seen it. The local layer's word goes first.
    """
    order = {"local": 0, "rule": 1, "language": 2}
    found: list[Finding] = []
    last: dict[tuple[str, DataClass, str | None], int] = {}  # where the latest of a kind is
    for finding in sorted(findings, key=lambda f: (f.start, order[f.layer], -f.end)):
        kind = (finding.category, finding.data_class, finding.rule)
        at = last.get(kind)
        if at is not None and finding.start < found[at].end:
            found[at] = _joined(found[at], finding)
        else:
            last[kind] = len(found)
            found.append(finding)
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
