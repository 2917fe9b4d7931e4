"""The local layer of the privacy screen: identifiers by form and checksum, without any call."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from shared.domain.identifiers import Finding, Layer, merged
from shared.domain.identifiers_scan import find_identifiers
from shared.domain.privacy import Detection, DetectionTerms
from shared.domain.privacy_policies import EffectivePolicy
from shared.domain.privacy_rules import compiled_rules, find_by_rules
from shared.errors import PrivacyScreenUnavailable

INLINE_CHARS_MAX: Final = 1_000  # a millisecond or two; more goes to a thread
# Processor time for the rules of the house on the texts of one call. A hundred rules take a few
# milliseconds of it for an ordinary prompt.
RULES_S_MAX: Final = 0.3
RULES_S_PER_TEXT: Final = 0.02  # batches have more
RULES_S_PER_CHAR: Final = 4e-6
RETRY_AFTER_S: Final = 60  # it is the policy or the text that must change


class LocalIdentifiers:
    """Implements the PrivacyDetector port with the rules of the domain and of the house.

    What people wrote into a policy never runs on the event loop; RE2 lets other threads go on.
    """

    layer: Layer = "local"

    async def detect(self, texts: Sequence[str], terms: DetectionTerms) -> Sequence[Detection]:
        policy = terms.policy
        is_small = sum(len(text) for text in texts) <= INLINE_CHARS_MAX
        if is_small and not policy.rules and not policy.synonyms:
            return _detections(texts, policy)
        return await asyncio.to_thread(_detections, texts, policy)


def _detections(texts: Sequence[str], policy: EffectivePolicy) -> list[Detection]:
    chars = sum(len(text) for text in texts)
    limit_s = RULES_S_MAX + RULES_S_PER_TEXT * len(texts) + RULES_S_PER_CHAR * chars
    rules = compiled_rules(policy.rules)
    check_time = _time_limit(limit_s)
    by_rules = [find_by_rules(text, rules, check_time) for text in texts]
    synonyms = policy.synonyms
    by_form: list[Sequence[Finding]] = [find_identifiers(text, synonyms) for text in texts]
    return [Detection(merged([*a, *b])) for a, b in zip(by_form, by_rules, strict=True)]


def _time_limit(limit_s: float) -> Callable[[], None]:
    """What raises once this thread has worked that long: nobody knows then what is in the texts."""
    end_s = time.thread_time() + limit_s

    def check() -> None:
        if time.thread_time() > end_s:
            raise PrivacyScreenUnavailable(
                "The rules of the privacy policy take too long on this text, so it was not sent.",
                retry_after_s=RETRY_AFTER_S,
                extra={"layer": "local", "cause": "rules_too_slow"},
            )

    return check
