"""The local layer of the privacy screen: identifiers by form and checksum, without any call."""

import asyncio
from collections.abc import Sequence

from shared.domain.identifiers import Finding, Layer, Synonyms, merged
from shared.domain.identifiers_scan import find_identifiers
from shared.domain.privacy import Detection, DetectionTerms
from shared.domain.privacy_rules import PrivacyRule, find_by_rules

INLINE_CHARS_MAX = 1_000  # a millisecond or two; more goes to a thread


class LocalIdentifiers:
    """Implements the PrivacyDetector port with the rules of the domain and of the house."""

    layer: Layer = "local"

    async def detect(self, texts: Sequence[str], terms: DetectionTerms) -> Sequence[Detection]:
        synonyms, rules = terms.policy.synonyms, terms.policy.rules
        if sum(len(text) for text in texts) <= INLINE_CHARS_MAX:
            return [_detection(text, synonyms, rules) for text in texts]
        return await asyncio.to_thread(
            lambda: [_detection(text, synonyms, rules) for text in texts]
        )


def _detection(text: str, synonyms: Synonyms, rules: Sequence[PrivacyRule]) -> Detection:
    found: list[Finding] = [*find_identifiers(text, synonyms), *find_by_rules(text, rules)]
    return Detection(merged(found))
