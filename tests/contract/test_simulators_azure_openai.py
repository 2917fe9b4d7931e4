"""The simulated Azure OpenAI: what the real SDK sees in each scenario, and what it costs."""

import base64
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from devhost.simulators.invoice import AZURE
from devhost.simulators.scenarios import ScenarioRule
from tests.contract.azure_openai_service import (
    DEPLOYMENT,
    PROMPT,
    RunningService,
    running_service,
)

PROMPT_USD_MICROS = 5 * 5
MEDIUM_USD_MICROS = 1756 * 30  # 1024x1024, medium
HIGH_USD_MICROS = 7024 * 30  # 1024x1024, high


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path) as service:
        yield service


def tagged(tag: str) -> str:
    return f"{PROMPT} [[scenario:{tag}]]"


def prompt_usd_micros(prompt: str) -> int:
    return -(-len(prompt) // 4) * 5


def picture(item: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json)))


async def test_generate_answers_pictures_and_bills_the_usage_it_states(
    service: RunningService,
) -> None:
    answer = await service.generate(n=2, size="1536x1024", quality="low", user="hash")
    assert [picture(item).size for item in answer.data] == [(1536, 1024)] * 2
    assert answer.data[0].b64_json != answer.data[1].b64_json
    assert (answer.size, answer.quality, answer.output_format, answer.background) == (
        "1536x1024",
        "low",
        "png",
        "opaque",
    )
    assert answer.usage.to_dict() == {
        "input_tokens": 5,
        "input_tokens_details": {"text_tokens": 5, "image_tokens": 0},
        "output_tokens": 316,
        "output_tokens_details": {"image_tokens": 316, "text_tokens": 0},
        "total_tokens": 321,
    }
    assert service.lines() == [("image_output", 316, 316 * 30), ("text_input", 5, 25)]
    assert service.state.outcomes == {"azure_openai normal": 1}


async def test_generate_resolves_auto_to_the_medium_square(service: RunningService) -> None:
    answer = await service.generate()
    assert (answer.size, answer.quality) == ("1024x1024", "medium")
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + PROMPT_USD_MICROS


async def test_generate_answers_other_pictures_when_asked_again(service: RunningService) -> None:
    first, second = await service.generate(), await service.generate()
    assert first.data[0].b64_json != second.data[0].b64_json
    (submissions,) = service.state.invoice.submissions()
    assert (submissions["submitted"], submissions["billed"]) == (2, 2)


async def test_generate_makes_jpeg_and_transparent_png(service: RunningService) -> None:
    jpeg = await service.generate(output_format="jpeg", output_compression=60)
    assert (picture(jpeg.data[0]).format, jpeg.output_format) == ("JPEG", "jpeg")
    clear = await service.generate(background="transparent")
    assert (picture(clear.data[0]).format, clear.background) == ("PNG", "transparent")


async def test_invoice_line_names_the_request_and_the_callers_id(service: RunningService) -> None:
    raw = await service.client.images.with_raw_response.generate(
        model=DEPLOYMENT, prompt=PROMPT, extra_headers={"x-ms-client-request-id": "gen-1:1"}
    )
    line = service.state.invoice.as_json(AZURE)["lines"][0]
    assert line["client_request_id"] == "gen-1:1"
    assert line["request_id"] == raw.headers["apim-request-id"] == raw.headers["x-request-id"]
    assert (line["model"], line["deployment"], line["job_id"]) == (DEPLOYMENT, DEPLOYMENT, None)


async def test_scenario_that_does_not_exist_is_refused(service: RunningService) -> None:
    with pytest.raises(openai.BadRequestError, match="There is no scenario nonsense"):
        await service.generate(tagged("nonsense"))
    assert service.lines() == []


@pytest.mark.parametrize(
    ("tag", "status", "code"),
    [
        ("unauthorized", 401, "401"),
        ("provider_blocked", 403, "Forbidden"),
        ("rate_limited", 429, "429"),
        ("outage", 503, "InternalServerError"),
        ("outage status=500", 500, "InternalServerError"),
    ],
)
async def test_failure_before_any_work_is_free(
    service: RunningService, tag: str, status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        await service.generate(tagged(tag))
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert service.lines() == []
    (submissions,) = service.state.invoice.submissions()
    assert (submissions["submitted"], submissions["billed"]) == (1, 0)
    assert service.state.outcomes == {f"azure_openai {tag.split(maxsplit=1)[0]}": 1}


async def test_rate_limit_says_when_to_come_back(service: RunningService) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await service.generate(tagged("rate_limited retry_after_s=1.25"))
    headers = limited.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1250")


async def test_scenario_limited_to_one_time_lets_the_retry_through(service: RunningService) -> None:
    prompt = tagged("outage times=1")
    with pytest.raises(openai.InternalServerError):
        await service.generate(prompt)
    assert len((await service.generate(prompt)).data) == 1
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


async def test_scenario_rule_applies_to_a_prompt_without_a_tag(service: RunningService) -> None:
    service.state.scenarios.add(ScenarioRule(scenario="rate_limited", provider=AZURE, times=1))
    with pytest.raises(openai.RateLimitError):
        await service.generate()
    assert len((await service.generate()).data) == 1


async def test_slow_takes_its_time_and_bills_as_usual(service: RunningService) -> None:
    prompt, started_s = tagged("slow seconds=0.3"), time.monotonic()
    await service.generate(prompt)
    assert time.monotonic() - started_s >= 0.3
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


async def test_timeout_after_work_bills_and_drops_the_connection(service: RunningService) -> None:
    prompt = tagged("timeout_after_work seconds=0.1")
    with pytest.raises(openai.APIConnectionError):
        await service.generate(prompt)
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)
    assert service.state.outcomes == {"azure_openai timeout_after_work": 1}


async def test_caller_who_gives_up_is_billed_all_the_same(service: RunningService) -> None:
    prompt = tagged("timeout_after_work seconds=1")
    with pytest.raises(openai.APITimeoutError):
        await service.client.with_options(timeout=0.4).images.generate(
            model=DEPLOYMENT, prompt=prompt
        )
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


async def test_fewer_images_bills_only_those_delivered(service: RunningService) -> None:
    prompt = tagged("fewer_images missing=2")
    answer = await service.generate(prompt, n=3)
    assert (len(answer.data), answer.usage.output_tokens) == (1, 1756)
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


async def test_fewer_images_than_one_bills_only_the_prompt(service: RunningService) -> None:
    prompt = tagged("fewer_images")
    answer = await service.generate(prompt)
    assert (answer.data, answer.usage.output_tokens) == ([], 0)
    assert [kind for kind, _, _ in service.lines()] == ["text_input"]
    assert service.total_usd_micros() == prompt_usd_micros(prompt)


@pytest.mark.parametrize("shape", ["invalid_json", "missing_data", "empty"])
async def test_malformed_answer_is_billed(service: RunningService, shape: str) -> None:
    prompt = tagged(f"malformed shape={shape}")
    raw = await service.client.images.with_raw_response.generate(model=DEPLOYMENT, prompt=prompt)
    body = raw.content
    assert raw.status_code == 200
    if shape == "empty":
        assert body == b""
    elif shape == "missing_data":
        assert "data" not in json.loads(body)
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


async def test_oversized_pads_one_picture_of_the_answer(service: RunningService) -> None:
    prompt = tagged("oversized mb=3")
    answer = await service.generate(prompt, n=2)
    sizes = [len(base64.b64decode(item.b64_json)) for item in answer.data]
    assert sizes[0] == 3 * 1024 * 1024
    assert sizes[1] < 1024 * 1024
    assert service.total_usd_micros() == 2 * MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


async def test_not_an_image_is_a_billed_web_page(service: RunningService) -> None:
    prompt = tagged("not_an_image")
    answer = await service.generate(prompt)
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"<!DOCTYPE html>")
    assert service.total_usd_micros() == MEDIUM_USD_MICROS + prompt_usd_micros(prompt)


@pytest.mark.parametrize(
    ("shape", "code", "text"),
    [
        ("moderation_blocked", "moderation_blocked", "safety_violations=[violence]"),
        ("contentFilter", "contentFilter", "Your task failed as a result of our safety system."),
        ("content_policy_violation", "content_policy_violation", "safety system"),
        ("innererror", "content_policy_violation", "safety system"),
        ("output_filtered", "contentFilter", "Generated image was filtered as a result"),
    ],
)
async def test_content_filter_has_the_asked_shape_and_bills_the_output(
    service: RunningService, shape: str, code: str, text: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await service.generate(tagged(f"content_filter shape={shape}"), n=2)
    body = refused.value.body
    assert isinstance(body, dict)
    assert refused.value.code == code
    assert text in body["message"]
    inner = {"content_policy_violation": "inner_error", "innererror": "innererror"}.get(shape)
    if inner is not None:
        assert body[inner]["code"] == "ResponsibleAIPolicyViolation"
        assert body[inner]["content_filter_results"]["violence"]["filtered"] is True
    assert service.lines() == [("content_filter", 2 * 1756, 2 * MEDIUM_USD_MICROS)]


async def test_blocked_word_is_filtered_without_a_tag(service: RunningService) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await service.generate("A beheading")
    assert refused.value.code == "moderation_blocked"
    assert service.total_usd_micros() == MEDIUM_USD_MICROS


async def test_timeout_408_bills_the_output(service: RunningService) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        await service.generate(tagged("timeout_408"), quality="high")
    assert failed.value.status_code == 408
    assert service.lines() == [("timeout", 7024, HIGH_USD_MICROS)]


@pytest.mark.parametrize(
    ("fields", "size", "quality", "tokens"),
    [
        ({}, "1024x1024", "high", 7024),
        ({"size": "1536x1024"}, "1536x1024", "high", 5488),
        ({"quality": "low"}, "1024x1024", "low", 196),
    ],
)
async def test_worst_case_auto_resolves_to_the_dearest(
    service: RunningService, fields: dict[str, str], size: str, quality: str, tokens: int
) -> None:
    prompt = tagged("worst_case_auto")
    answer = await service.generate(prompt, **fields)
    assert (answer.size, answer.quality) == (size, quality)
    assert answer.usage.output_tokens == tokens
    assert service.total_usd_micros() == tokens * 30 + prompt_usd_micros(prompt)
