"""What Azure AI Content Safety is asked for, and from what severity on we refuse."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.errors import InvariantBroken

CATEGORIES: Final = ("hate", "self_harm", "sexual", "violence")
SEVERITY_MAX: Final = 7  # of text in eight levels; pictures have 0, 2, 4 and 6
NEVER: Final = SEVERITY_MAX + 1  # a threshold that nothing reaches
BLOCKLIST_PREFIX: Final = "blocklist:"  # in the list of what a refusal was for


@dataclass(frozen=True)
class SafetyFinding:
    """How severe a text or a picture is in every category, and which blocklists it hit."""

    severities: Mapping[str, int]
    blocklists: tuple[str, ...] = ()

    def joined(self, other: "SafetyFinding") -> "SafetyFinding":
        """The finding of two parts of one text: the worst of both."""
        severities = {
            category: max(self.severities[category], other.severities[category])
            for category in CATEGORIES
        }
        return SafetyFinding(severities, tuple(sorted({*self.blocklists, *other.blocklists})))


@dataclass(frozen=True)
class SafetyThresholds:
    """The severity from which each category is refused."""

    refused_from: Mapping[str, int]

    def __post_init__(self) -> None:
        if set(self.refused_from) != set(CATEGORIES):
            raise InvariantBroken("A threshold for each category of Content Safety is needed.")

    def reasons(self, finding: SafetyFinding) -> tuple[str, ...]:
        """The categories and blocklists for which this is refused; empty: it may pass."""
        severe = [
            category
            for category in CATEGORIES
            if finding.severities[category] >= self.refused_from[category]
        ]
        return (*severe, *(BLOCKLIST_PREFIX + name for name in finding.blocklists))


# Microsoft's own filters refuse from 4 (medium) on; sexual and hateful pictures have no use here.
DEFAULT_THRESHOLDS: Final[Mapping[str, int]] = MappingProxyType(
    {"hate": 2, "self_harm": 2, "sexual": 2, "violence": 4}
)


def parse_thresholds(text: str) -> SafetyThresholds:
    """Read `category=severity` words over the defaults; `off` switches a category off.

    Raises ValueError for a word that is none.
    """
    refused_from = dict(DEFAULT_THRESHOLDS)
    for word in text.split():
        category, _, value = word.partition("=")
        if category not in CATEGORIES:
            raise ValueError(category)
        refused_from[category] = NEVER if value == "off" else _severity(value)
    return SafetyThresholds(refused_from)


def _severity(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= SEVERITY_MAX):
        raise ValueError(text)
    return int(text)
