"""The local layer with what people wrote into a policy: beside the event loop, and not for long."""

import asyncio
import threading
import time
from typing import Any

import pytest

from shared.adapters import local_identifiers
from shared.adapters.local_identifiers import LocalIdentifiers
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.generations import PROMPT_CHARS_MAX
from shared.domain.identifiers import Finding, Synonyms
from shared.domain.identifiers_scan import find_identifiers
from shared.domain.privacy import DetectionTerms
from shared.domain.privacy_policies import EffectivePolicy, PrivacyPolicy
from shared.domain.privacy_rules import PrivacyRule
from shared.errors import PrivacyScreenUnavailable


def terms(**stated: Any) -> DetectionTerms:
    policy = PrivacyPolicy("marketing", **stated)
    return DetectionTerms(EffectivePolicy(policy, PrivacyPolicy(ORGANISATION_WIDE)))


async def test_rules_of_the_house_run_beside_the_event_loop_and_end_in_time() -> None:
    again = "a(?s:.*b)?"  # each match looks at the rest of the text
    rules = tuple(PrivacyRule(f"r{n}", "pattern", pattern=f"{again}|z{n}") for n in range(50))
    waits: list[float] = []

    async def loop_watch() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.01)
            waits.append(time.perf_counter() - started)

    watch = asyncio.create_task(loop_watch())
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await LocalIdentifiers().detect(["a" * PROMPT_CHARS_MAX], terms(rules=rules))
    watch.cancel()
    assert failed.value.extra == {"layer": "local", "cause": "rules_too_slow"}
    assert len(waits) > 5  # it would be one if they ran on the loop
    (answer,) = await LocalIdentifiers().detect(["a" * 1_000], terms(rules=rules[:1]))
    assert answer.findings


async def test_words_of_a_policy_do_not_run_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[bool] = []

    def seen(text: str, synonyms: Synonyms) -> tuple[Finding, ...]:
        threads.append(threading.current_thread() is threading.main_thread())
        return find_identifiers(text, synonyms)

    monkeypatch.setattr(local_identifiers, "find_identifiers", seen)
    rules = (PrivacyRule("a", "terms", terms=("bay",)),)
    for stated in ({"rules": rules}, {"synonyms": {"au_tfn": ("ref",)}}, {}):
        await LocalIdentifiers().detect(["a bay"], terms(**stated))
    assert threads == [False, False, True]
