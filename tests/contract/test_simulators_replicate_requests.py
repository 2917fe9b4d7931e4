"""The simulated Replicate: which requests are refused, and in which words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devhost.simulators.replicate_inputs import SDXL_VERSION
from tests.contract.replicate_service import (
    FLUX_PATH,
    PROMPT,
    SDXL_PATH,
    RunningService,
    running_service,
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path) as service:
        yield service


@pytest.mark.parametrize(
    ("values", "field", "kind", "description"),
    [
        ({"num_outputs": 5}, "num_outputs", "number_lte", "Must be less than or equal to 4"),
        ({"num_outputs": 0}, "num_outputs", "number_gte", "Must be greater than or equal to 1"),
        (
            {"seed": None},
            "seed",
            "invalid_type",
            "Invalid type. Expected: integer, given: null",
        ),
        (
            {"prompt": 3},
            "prompt",
            "invalid_type",
            "Invalid type. Expected: string, given: integer",
        ),
        (
            {"refine": "best"},
            "refine",
            "enum",
            'refine must be one of the following: "no_refiner", "expert_ensemble_refiner",'
            ' "base_image_refiner"',
        ),
        (
            {"guidance_scale": True},
            "guidance_scale",
            "invalid_type",
            "Invalid type. Expected: number, given: boolean",
        ),
        ({"width": 1001}, "width", "multiple_of", "Must be a multiple of 8"),
        ({"height": 4096}, "height", "number_lte", "Must be less than or equal to 1536"),
        ({"lora_scale": 1.5}, "lora_scale", "number_lte", "Must be less than or equal to 1"),
    ],
)
async def test_bad_sdxl_input_is_refused_in_the_validators_words(
    service: RunningService, values: dict[str, Any], field: str, kind: str, description: str
) -> None:
    body = {"version": SDXL_VERSION, "input": {"prompt": PROMPT, **values}}
    answer = await service.call("POST", SDXL_PATH, json=body)
    assert answer.json == {
        "title": "Input validation failed",
        "detail": f"- input.{field}: {description}\n",
        "status": 422,
        "invalid_fields": [{"field": f"input.{field}", "type": kind, "description": description}],
    }
    assert service.state.invoice.submissions() == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"negative_prompt": "fog"}, "Additional property negative_prompt is not allowed"),
        ({"aspect_ratio": "1:2"}, "input.aspect_ratio: aspect_ratio must be one of"),
        ({"output_format": "jpeg"}, 'must be one of the following: "webp", "jpg", "png"'),
        ({"output_quality": 101}, "input.output_quality: Must be less than or equal to 100"),
        ({"megapixels": 1}, 'must be one of the following: "1", "0.25"'),
        ({"num_inference_steps": 5}, "input.num_inference_steps: Must be less than or equal to 4"),
    ],
)
async def test_bad_flux_input_is_refused(
    service: RunningService, values: dict[str, Any], problem: str
) -> None:
    answer = await service.flux(**values)
    assert answer.status == 422
    assert problem in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "- version is required\n- input is required\n"),
        ({"version": SDXL_VERSION, "input": []}, "- input: Invalid type. Expected: object"),
        ({"version": 7, "input": {}}, "- version: Invalid type. Expected: string"),
        ({"version": SDXL_VERSION, "input": {}, "model": "x"}, "Additional property model"),
        ({"version": SDXL_VERSION, "input": {}, "webhook": "http://a.b"}, "HTTPS address"),
        ({"version": SDXL_VERSION, "input": {}, "webhook_events_filter": ["end"]}, "must be some"),
        ([], "must be a JSON object"),
    ],
)
async def test_bad_body_is_refused(service: RunningService, body: Any, problem: str) -> None:
    answer = await service.call("POST", SDXL_PATH, json=body)
    assert answer.status == 422
    assert problem in answer.json["detail"]


@pytest.mark.parametrize("raw", [b"", b"{", b'{"input": NaN}', b'{"input": {"prompt": "\\ud800"}}'])
async def test_body_that_is_not_json_is_refused(service: RunningService, raw: bytes) -> None:
    answer = await service.call("POST", FLUX_PATH, data=raw)
    assert (answer.status, answer.json["title"]) == (422, "Invalid JSON")


async def test_flux_without_a_prompt_is_refused(service: RunningService) -> None:
    answer = await service.call("POST", FLUX_PATH, json={"input": {}})
    assert answer.json["detail"] == "- input: prompt is required\n"


async def test_picture_as_input_answers_501(service: RunningService) -> None:
    answer = await service.sdxl(image="https://example.com/a.png")
    assert answer.status == 501
    assert "image is not emulated" in answer.json["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"prefer": "wait=0"},
        {"prefer": "wait=61"},
        {"prefer": "respond-async"},
        {"cancel-after": "4s"},
        {"cancel-after": "0s"},
        {"cancel-after": ""},
        {"cancel-after": "soon"},
    ],
)
async def test_bad_header_is_refused(service: RunningService, headers: dict[str, str]) -> None:
    answer = await service.flux(headers=headers)
    assert answer.status == 422
    assert next(iter(headers)).title() in answer.json["title"]
    assert service.state.invoice.submissions() == []
