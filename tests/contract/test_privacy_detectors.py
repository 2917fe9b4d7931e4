"""The PrivacyDetector port: the local layer, and Azure AI Language through its SDK."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.simulators.azure_language_oddities import ODDITIES
from devhost.simulators.server import RunningSimulators, start_simulators
from devhost.simulators.state import SimulatorOptions
from shared.adapters import azure_language
from shared.adapters.azure_language import (
    DOCUMENT_CHARS_MAX,
    OVERLAP_CHARS,
    AzureLanguage,
    LanguageTerms,
)
from shared.adapters.azure_language_answers import KIND, read_answers
from shared.adapters.local_identifiers import LocalIdentifiers
from shared.adapters.system_clock import SystemClock
from shared.domain.alert_channels import ORGANISATION_WIDE
from shared.domain.privacy import Detection, DetectionTerms
from shared.domain.privacy_policies import EffectivePolicy, PrivacyPolicy
from shared.domain.privacy_rules import PrivacyRule
from shared.errors import PrivacyScreenUnavailable
from shared.ports.privacy import PrivacyDetector
from tests.contract.scripted_server import Answer, scripted_server
from tests.fakes.clock import FakeClock

ROWS = 10_000
ROWS_S_MAX = 60.0  # a few seconds on a quiet machine


@pytest.fixture
async def simulators(tmp_path: Path) -> AsyncIterator[RunningSimulators]:
    running = await start_simulators(SimulatorOptions(data_dir=tmp_path, port=0))
    yield running
    await running.stop()


@pytest.fixture
def language_terms(simulators: RunningSimulators) -> LanguageTerms:
    return LanguageTerms(
        endpoint=f"{simulators.origin}/azure-language",
        key="any",
        timeout_s=1.0,
        concurrent_max=16,
        calls_per_minute=60_000,
    )


@pytest.fixture
async def language(language_terms: LanguageTerms) -> AsyncIterator[AzureLanguage]:
    detector = AzureLanguage(language_terms, SystemClock())
    yield detector
    await detector.aclose()


@pytest.fixture(params=["local", "language"])
async def detector(request: pytest.FixtureRequest, language: AzureLanguage) -> PrivacyDetector:
    return LocalIdentifiers() if request.param == "local" else language


def terms(*, patient: bool = False, **stated: Any) -> DetectionTerms:
    policy = PrivacyPolicy("marketing", **stated)
    return DetectionTerms(EffectivePolicy(policy, PrivacyPolicy(ORGANISATION_WIDE)), patient)


def shown(text: str, detection: Detection) -> list[tuple[str, str, str]]:
    return [(f.category, f.data_class, text[f.start : f.end]) for f in detection.findings]


async def calls(simulators: RunningSimulators) -> dict[str, int]:
    url = f"{simulators.origin}/_control/language"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        counted: dict[str, int] = (await answer.json())["calls"]
        return counted


async def fault(simulators: RunningSimulators, **spec: Any) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{simulators.origin}/_control/faults"
        async with session.post(url, json={"match": "POST /azure-language", **spec}) as answer:
            assert answer.status < 300


# --- both layers -----------------------------------------------------------------------------


async def test_each_text_has_its_answer_in_the_order_of_the_texts(
    detector: PrivacyDetector,
) -> None:
    texts = [f"mail a{n}@example.com" if n % 3 else "nothing here" for n in range(23)]
    answers = await detector.detect(texts, terms())
    for n, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        expected = [("email", "contact", f"a{n}@example.com")] if n % 3 else []
        assert (shown(text, answer), answer.failure) == (expected, None)
        assert {finding.layer for finding in answer.findings} <= {detector.layer}


async def test_nothing_is_found_in_nothing(detector: PrivacyDetector) -> None:
    assert list(await detector.detect([], terms())) == []
    assert list(await detector.detect([" \n", ""], terms())) == [Detection(), Detection()]


@pytest.mark.parametrize("shift", range(-20, 21, 4))
async def test_what_a_chunk_would_cut_is_found_whole(detector: PrivacyDetector, shift: int) -> None:
    for border in (DOCUMENT_CHARS_MAX, DOCUMENT_CHARS_MAX - OVERLAP_CHARS):
        filler = "a bay " * 2_000
        text = f"{filler[: border + shift - 5]} mail jane@example.com {filler}"
        (answer,) = await detector.detect([text], terms())
        assert shown(text, answer) == [("email", "contact", "jane@example.com")]


async def test_places_count_code_points_behind_emoji(detector: PrivacyDetector) -> None:
    text = "👩🏽‍🚀 and 🇦🇺 write to jane@example.com"
    (answer,) = await detector.detect([text], terms())
    assert shown(text, answer) == [("email", "contact", "jane@example.com")]


# --- the local layer -------------------------------------------------------------------------


async def test_rules_of_the_house_are_part_of_the_local_layer() -> None:
    rules = (PrivacyRule("sites", "pattern", "location", r"SITE-\d{4}"),)
    (answer,) = await LocalIdentifiers().detect(["at site-1234"], terms(rules=rules))
    (found,) = answer.findings
    assert (found.category, found.data_class, found.rule) == ("custom", "location", "sites")


# --- the Language service --------------------------------------------------------------------


async def test_what_the_service_is_not_sure_of_is_left_alone(language: AzureLanguage) -> None:
    text = "Jane Citizen and John"
    (answer,) = await language.detect([text], terms())
    assert shown(text, answer) == [("person", "person", "Jane Citizen")]
    (answer,) = await language.detect([text], terms(confidence_percent=40))
    assert [each[2] for each in shown(text, answer)] == ["Jane Citizen", "John"]


async def test_an_identity_beside_health_words_is_health_information(
    language: AzureLanguage, simulators: RunningSimulators
) -> None:
    text = "patient Jane Citizen"
    (answer,) = await language.detect([text], terms())
    assert shown(text, answer) == [
        ("person", "person", "Jane Citizen"),
        ("person", "health", "Jane Citizen"),
    ]
    assert await calls(simulators) == {"none": 1, "phi": 1}
    await language.detect(["Jane Citizen at the sea"], terms())
    assert await calls(simulators) == {"none": 2, "phi": 1}


async def test_who_has_a_rule_for_health_has_every_text_looked_at_for_it(
    language: AzureLanguage, simulators: RunningSimulators
) -> None:
    text = "Jane Citizen, Befund vom Montag"  # none of the words of health that we know
    (answer,) = await language.detect([text], terms(actions={"health": "allow"}))
    assert shown(text, answer) == [("person", "person", "Jane Citizen")]
    assert await calls(simulators) == {"none": 1}
    (answer,) = await language.detect([text], terms(actions={"health": "block"}))
    assert shown(text, answer) == [
        ("person", "person", "Jane Citizen"),
        ("person", "health", "Jane Citizen"),
    ]
    assert await calls(simulators) == {"none": 2, "phi": 1}


@pytest.mark.parametrize(
    "text", ["Jane Citizen, 乳腺癌症患者", "Jane Citizen hat Krebs", "пациентка Jane Citizen"]
)
async def test_words_of_health_are_known_in_many_languages(
    language: AzureLanguage, text: str
) -> None:
    (answer,) = await language.detect([text], terms())
    assert ("person", "health", "Jane Citizen") in shown(text, answer)


async def test_five_documents_go_in_one_call(
    language: AzureLanguage, simulators: RunningSimulators
) -> None:
    await language.detect([f"bay {n}" for n in range(11)], terms())
    assert await calls(simulators) == {"none": 3}


async def test_a_language_that_the_service_lacks_is_a_failure(language: AzureLanguage) -> None:
    (answer,) = await language.detect(["ein Haus"], terms(language="de"))
    assert answer.failure is None
    (answer,) = await language.detect(["ett hus"], terms(language="xx"))
    assert answer.failure == "document_error"


async def test_one_bad_document_in_a_good_call_fails_alone(language: AzureLanguage) -> None:
    texts = ["a bay", "a bay [[language:document_error]]", "Jane Citizen"]
    answers = await language.detect(texts, terms())
    assert [each.failure for each in answers] == [None, "document_error", None]
    assert shown(texts[2], answers[2]) == [("person", "person", "Jane Citizen")]


FAILURES = {
    "throttled": "http_429",
    "outage": "http_500",
    "slow": "timeout",
    "missing": "malformed",
    "wrong_offset": "malformed",
    "invalid_json": "malformed",
    "empty": "malformed",
}


@pytest.mark.parametrize("tag", FAILURES)
async def test_a_failure_is_never_an_empty_answer(
    language: AzureLanguage, tag: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await language.detect([f"Jane Citizen CANARY [[language:{tag}]]"], terms())
    assert failed.value.extra == {"layer": "language", "cause": FAILURES[tag]}
    assert failed.value.__cause__ is None
    assert "CANARY" not in caplog.text and "Citizen" not in caplog.text


WARNED = {"truncated", "long_words"}  # that one document was not read as it is


@pytest.mark.parametrize("tag", ODDITIES)
async def test_an_odd_answer_is_no_answer(language: AzureLanguage, tag: str) -> None:
    text = f"Jane Citizen [[language:{tag}]]"
    if tag in WARNED:
        (answer,) = await language.detect([text], terms())
        assert answer == Detection(failure="document_warning")
        return
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await language.detect([text], terms())
    assert failed.value.extra == {"layer": "language", "cause": "malformed"}


@pytest.mark.parametrize(
    "text",
    [
        "a bay",
        "**** met Jane Citizen, ** and John Citizen *",
        "👩🏽‍🚀 Jane Cıtizen",
        "Jane Citizen, 12 Wattle Street, jane@example.com, 0412 345 678",
    ],
)
@pytest.mark.parametrize("health", [None, "block"])
async def test_a_whole_answer_is_never_taken_for_an_odd_one(
    language: AzureLanguage, text: str, health: str | None
) -> None:
    (answer,) = await language.detect([text], terms(actions={"health": health} if health else {}))
    assert answer.failure is None


def test_stars_of_either_unit_cover_a_name_outside_the_basic_plane() -> None:
    text = "met 𝒥𝒶ne"
    entity = {"text": text[4:], "category": "Person", "offset": 4, "length": 4}
    for stars in (4, 6):
        document: dict[str, Any] = {"id": "0", "warnings": [], "redactedText": f"met {'*' * stars}"}
        document["entities"] = [entity | {"confidenceScore": 1}]
        body = {"kind": KIND, "results": {"documents": [document], "errors": []}}
        (answer,) = read_answers(body, [text])
        assert [(each.start, each.end) for each in answer.entities] == [(4, 8)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504])
async def test_no_status_but_200_lets_a_text_through(
    language: AzureLanguage, simulators: RunningSimulators, status: int
) -> None:
    await fault(simulators, kind="error", status=status)
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await language.detect(["Jane Citizen"], terms())
    assert failed.value.extra["cause"] == f"http_{status}"


async def test_a_lost_answer_and_a_closed_port_let_nothing_through(
    language: AzureLanguage, language_terms: LanguageTerms, simulators: RunningSimulators
) -> None:
    await fault(simulators, kind="answer_lost")
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await language.detect(["Jane Citizen"], terms())
    assert failed.value.extra["cause"] == "no_connection"
    nowhere = AzureLanguage(replace(language_terms, endpoint="http://127.0.0.1:9"), SystemClock())
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await nowhere.detect(["Jane Citizen"], terms())
    assert failed.value.extra["cause"] == "no_connection"
    await nowhere.aclose()


async def test_a_random_third_of_failing_calls_never_passes_for_an_answer(
    language: AzureLanguage, simulators: RunningSimulators
) -> None:
    await fault(simulators, kind="error", status=503, probability=0.33, seed=7)
    texts = [f"Jane Citizen {n}" for n in range(40)]
    outcomes = await asyncio.gather(
        *(language.detect([text], terms()) for text in texts), return_exceptions=True
    )
    closed = [each for each in outcomes if isinstance(each, PrivacyScreenUnavailable)]
    answered = [each for each in outcomes if not isinstance(each, BaseException)]
    assert len(closed) + len(answered) == len(texts) and closed and answered
    assert all(each[0].findings for each in answered)


async def test_who_can_wait_tries_again_and_who_cannot_does_not(
    language: AzureLanguage, simulators: RunningSimulators
) -> None:
    await fault(simulators, kind="throttle", retry_after_s=0, times=1)
    with pytest.raises(PrivacyScreenUnavailable):
        await language.detect(["Jane Citizen"], terms())
    await fault(simulators, kind="throttle", retry_after_s=0, times=1)
    (answer,) = await language.detect(["Jane Citizen"], terms(patient=True))
    assert answer.findings


async def test_who_can_wait_does_so_until_the_date_that_the_service_named(
    language_terms: LanguageTerms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_language, "PAUSE_S", 30.0)
    monkeypatch.setattr(azure_language, "PATIENT_TRIES_MAX", 2)
    named = {"date": "Sun, 22 Nov 2026 09:00:00 GMT", "retry-after": "Sun Nov 22 09:00:01 2026"}
    async with scripted_server() as server, asyncio.timeout(10):
        server.answers("/language/:analyze-text", Answer(429, {}, named))
        detector = AzureLanguage(replace(language_terms, endpoint=server.origin), SystemClock())
        with pytest.raises(PrivacyScreenUnavailable):
            await detector.detect(["Jane Citizen"], terms(patient=True))
        await detector.aclose()
    assert server.count("POST") == 2


async def test_calls_beyond_the_workers_share_wait_or_fail(
    language_terms: LanguageTerms,
) -> None:
    clock = FakeClock(datetime(2026, 11, 15, 12, tzinfo=UTC))
    scarce = AzureLanguage(replace(language_terms, calls_per_minute=2, timeout_s=1.0), clock)
    for _ in range(2):
        await scarce.detect(["a bay"], terms())
    with pytest.raises(PrivacyScreenUnavailable) as failed:
        await scarce.detect(["a bay"], terms())
    assert failed.value.extra["cause"] == "too_many_calls"
    clock.advance(30)
    await scarce.detect(["a bay"], terms())
    await scarce.aclose()


async def test_ten_thousand_rows_are_read_in_seconds(
    language: AzureLanguage, simulators: RunningSimulators
) -> None:
    texts = [f"A lighthouse at dawn, gouache, number {n}" for n in range(ROWS)]
    started = time.perf_counter()
    await LocalIdentifiers().detect(texts, terms())
    local_s = time.perf_counter() - started
    answers = await language.detect(texts, terms(patient=True))
    took_s = time.perf_counter() - started
    counted = await calls(simulators)
    print(f"\n{ROWS} rows: local {local_s:.2f} s, with {counted} calls {took_s:.2f} s in all")
    assert len(answers) == ROWS and counted == {"none": ROWS // 5}
    assert took_s < ROWS_S_MAX
