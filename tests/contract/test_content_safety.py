"""Azure AI Content Safety: whole judgements or none."""

import io
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from PIL import Image

from devhost.simulators.provenance import with_note
from shared.adapters.azure_content_safety import (
    OVERLAP_CHARS,
    PICTURE_BYTES_MAX,
    TEXT_CHARS_MAX,
    AzureContentSafety,
    pieces,
)
from shared.domain.content_safety import SafetyFinding
from shared.errors import Invalid, Unavailable
from tests.contract.azure_providers_bench import (
    AzureProvidersBench,
    azure_providers,
    content_safety,
)
from tests.contract.image_orders import png
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

HARMLESS = {"hate": 0, "self_harm": 0, "sexual": 0, "violence": 0}
TEXT_PATH = "/azure-content-safety/contentsafety/text:analyze"
WHOLE = [{"category": name, "severity": 0} for name in ("Hate", "SelfHarm", "Sexual", "Violence")]


@pytest.fixture
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AzureProvidersBench]:
    async for each in azure_providers(tmp_path_factory.mktemp("simulators")):
        yield each


@pytest.fixture
async def service() -> AsyncIterator[tuple[ScriptedServer, AzureContentSafety]]:
    async with scripted_server() as server:
        safety = content_safety(server.origin, timeout_s=1.0)
        yield server, safety
        await safety.aclose()


async def test_text_gets_a_severity_in_every_category(bench: AzureProvidersBench) -> None:
    assert await bench.safety.judge_text("A pier at dawn") == SafetyFinding(HARMLESS)
    found = await bench.safety.judge_text("[[safety:sexual=3]] A pier [[safety:hate=5]]")
    assert found == SafetyFinding({**HARMLESS, "sexual": 3, "hate": 5})


async def test_text_that_hits_a_blocklist_names_the_list(bench: AzureProvidersBench) -> None:
    found = await bench.safety.judge_text("A statue of Forbiddenium")
    assert found == SafetyFinding(HARMLESS, ("local-terms",))


@pytest.mark.parametrize("at", [0, 9_990, 15_000, 31_900])
async def test_long_text_is_judged_to_its_end(at: int, bench: AzureProvidersBench) -> None:
    tag = "[[safety:violence=6]]"
    text = "a" * at + tag + "b" * (32_000 - at)
    found = await bench.safety.judge_text(text)
    assert found.severities["violence"] == 6


@pytest.mark.parametrize("chars", [1, 200, 201, 9_999, 10_000, 10_001, 19_800, 19_801, 32_000])
def test_pieces_cover_a_text_with_overlap(chars: int) -> None:
    text = "".join(chr(0x4E00 + number % 5_000) for number in range(chars))
    parts = pieces(text)
    assert all(0 < len(part) <= TEXT_CHARS_MAX for part in parts)
    joined = parts[0] + "".join(part[OVERLAP_CHARS:] for part in parts[1:])
    assert joined == text
    assert len(parts) == 1 or chars > TEXT_CHARS_MAX


def big_picture(side: int, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 90).save(out, "PNG", **options)
    return out.getvalue()


async def test_picture_gets_a_severity_in_every_category(bench: AzureProvidersBench) -> None:
    assert await bench.safety.judge_picture(png(64, 64)) == SafetyFinding(HARMLESS)
    spoiled = with_note(png(64, 64), "[[safety:violence=4]]")
    assert (await bench.safety.judge_picture(spoiled)).severities["violence"] == 4


@pytest.mark.parametrize("side", [8, 2_049, 2_400])
async def test_picture_the_service_would_not_take_is_judged_as_a_copy(
    side: int, bench: AzureProvidersBench
) -> None:
    picture = big_picture(side) if side > 100 else png(side, side)
    if side == 2_400:
        assert len(picture) > PICTURE_BYTES_MAX
    assert await bench.safety.judge_picture(picture) == SafetyFinding(HARMLESS)


async def calls(bench: AzureProvidersBench) -> int:
    """How often the service was asked."""
    url = f"{bench.server.origin}/_control/content-safety"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return sum((await response.json())["calls"].values())


def bomb(side: int) -> bytes:
    """A small file whose head promises a picture of side x side pixels."""
    sides = side.to_bytes(4, "big") * 2
    header = b"IHDR" + sides + png()[24:29]
    return png()[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png()[33:]


@pytest.mark.parametrize(
    "picture", [b"", b"<html>", big_picture(2_100)[:9_000], bomb(5_000), bomb(60_000)]
)
async def test_picture_nobody_can_read_is_not_judged(
    picture: bytes, bench: AzureProvidersBench
) -> None:
    with pytest.raises(Invalid):
        await bench.safety.judge_picture(picture)
    assert await calls(bench) == 0


@pytest.mark.parametrize(
    ("tag", "cause", "retry_after_s"),
    [
        ("throttled", "http_429", 1),
        ("outage", "http_503", None),
        ("invalid_json", "malformed", None),
        ("empty", "malformed", None),
        ("missing_category", "malformed", None),
        ("odd_severity", "malformed", None),
    ],
)
async def test_trouble_of_the_service_is_no_judgement(
    tag: str, cause: str, retry_after_s: int | None, bench: AzureProvidersBench
) -> None:
    with pytest.raises(Unavailable) as failure:
        await bench.safety.judge_text(f"[[safety:{tag}]] A pier")
    assert failure.value.extra == {"cause": cause}
    assert failure.value.retry_after_s == retry_after_s
    with pytest.raises(Unavailable):
        await bench.safety.judge_picture(with_note(png(64, 64), f"[[safety:{tag}]]"))


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(401, {"error": {"code": "401"}}), "http_401"),
        (Answer(404, {"error": {"code": "ResourceNotFound"}}), "http_404"),
        (Answer(200, {"categoriesAnalysis": WHOLE}), "malformed"),  # a blocklist was asked for
        (
            Answer(200, {"categoriesAnalysis": [*WHOLE, WHOLE[0]], "blocklistsMatch": []}),
            "malformed",
        ),
        (
            Answer(
                200, {"categoriesAnalysis": WHOLE, "blocklistsMatch": [{"blocklistName": "other"}]}
            ),
            "malformed",
        ),
        (Answer(301, {}, {"location": "http://127.0.0.1:1/"}), "http_301"),
        (Answer(ending="reset"), "connection_lost"),
        (Answer(ending="hang"), "no_answer_in_time"),
        (
            Answer(
                200, {"categoriesAnalysis": WHOLE, "blocklistsMatch": [{"blocklistName": ["x"]}]}
            ),
            "malformed",
        ),
        (Answer(200, b"[" * 100_000), "malformed"),
    ],
)
async def test_answers_that_are_not_whole_are_no_judgement(
    answer: Answer, cause: str, service: tuple[ScriptedServer, AzureContentSafety]
) -> None:
    server, safety = service
    server.answers(TEXT_PATH, answer)
    with pytest.raises(Unavailable) as failure:
        await safety.judge_text("A pier")
    assert failure.value.extra == {"cause": cause}
    assert server.count("POST") == 1


@pytest.mark.parametrize(
    ("asked", "wait_s"),
    [
        ("Sun, 22 Nov 2026 09:00:20 GMT", 20),
        ("Sunday, 22-Nov-26 09:00:20 GMT", 20),
        ("Sun Nov 22 09:00:20 2026", 20),
        ("0.5", 1),
        ("7200", 60),
        ("soon", None),
    ],
)
async def test_waiting_time_is_read_in_every_form_and_bounded(
    asked: str, wait_s: int | None, service: tuple[ScriptedServer, AzureContentSafety]
) -> None:
    server, safety = service
    headers = {"retry-after": asked, "date": "Sun, 22 Nov 2026 09:00:00 GMT"}
    server.answers(TEXT_PATH, Answer(429, {}, headers))
    with pytest.raises(Unavailable) as failure:
        await safety.judge_text("A pier")
    assert failure.value.retry_after_s == wait_s


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_what_the_service_cannot_read_will_never_be_judged(
    status: int, service: tuple[ScriptedServer, AzureContentSafety]
) -> None:
    server, safety = service
    server.answers(TEXT_PATH, Answer(status, {"error": {"code": "InvalidRequestBody"}}))
    with pytest.raises(Invalid):
        await safety.judge_text("A pier")


async def test_request_is_that_of_the_service(
    service: tuple[ScriptedServer, AzureContentSafety],
) -> None:
    server, safety = service
    server.answers(TEXT_PATH, Answer(body={"categoriesAnalysis": WHOLE, "blocklistsMatch": []}))
    await safety.judge_text("A pier")
    (seen,) = server.seen
    assert seen.headers["ocp-apim-subscription-key"] == "local"
    assert seen.json() == {
        "text": "A pier",
        "categories": ["Hate", "SelfHarm", "Sexual", "Violence"],
        "outputType": "EightSeverityLevels",
        "blocklistNames": ["local-terms"],
        "haltOnBlocklistHit": False,
    }
