"""The simulated Azure OpenAI: which requests it takes, and how it refuses the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from devhost.simulators.invoice import AZURE
from tests.contract.azure_openai_service import (
    API_VERSION,
    DEPLOYMENT,
    DEPLOYMENT_PATH,
    KEY,
    PROMPT,
    V1_PATH,
    RunningService,
    running_service,
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path) as service:
        yield service


async def test_deployment_route_works_without_a_model_in_the_body(service: RunningService) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=f"{service.origin}/azure-openai",
        azure_deployment=DEPLOYMENT,
        api_key=KEY,
        api_version=API_VERSION,
        max_retries=0,
    ) as client:
        answer = await client.images.generate(prompt=PROMPT)
    assert (answer.size, len(answer.data or [])) == ("1024x1024", 1)
    assert len(service.lines()) == 2


async def test_deployment_route_refuses_a_model_in_the_body(service: RunningService) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=f"{service.origin}/azure-openai",
        api_key=KEY,
        api_version=API_VERSION,
        max_retries=0,
    ) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.images.generate(model=DEPLOYMENT, prompt=PROMPT)
    assert refused.value.param == "model"
    assert service.lines() == []


@pytest.mark.parametrize("query", ["", "?api-version=", "?api-version=v1"])
async def test_deployment_route_is_not_found_without_a_dated_api_version(
    service: RunningService, query: str
) -> None:
    status, body = await service.post({"prompt": PROMPT}, DEPLOYMENT_PATH + query)
    assert (status, body["error"]["code"]) == (404, "404")


@pytest.mark.parametrize(
    ("version", "status"), [("v1", 200), ("preview", 200), ("2024-10-21", 400)]
)
async def test_v1_route_knows_only_its_own_api_versions(
    service: RunningService, version: str, status: int
) -> None:
    body = {"model": DEPLOYMENT, "prompt": PROMPT}
    assert (await service.post(body, f"{V1_PATH}?api-version={version}"))[0] == status


@pytest.mark.parametrize("model", ["dall-e-3", "gpt-image-1", "other"])
async def test_deployment_that_does_not_exist_is_not_found(
    service: RunningService, model: str
) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await service.generate(model=model)
    assert missing.value.code == "DeploymentNotFound"
    path = DEPLOYMENT_PATH.replace(DEPLOYMENT, model) + f"?api-version={API_VERSION}"
    status, body = await service.post({"prompt": PROMPT}, path)
    assert (status, body["error"]["code"]) == (404, "DeploymentNotFound")
    assert service.state.invoice.submissions() == []
    assert service.state.outcomes == {"azure_openai deployment_not_found": 2}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"api-key": ""},
        {"api-key": "wrong-key"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong-key"},
        {"Authorization": f"Basic {KEY}"},
    ],
)
async def test_credential_that_is_missing_or_wrong_is_denied(
    service: RunningService, headers: dict[str, str]
) -> None:
    status, body = await service.post({"model": DEPLOYMENT, "prompt": PROMPT}, headers=headers)
    assert (status, body["error"]["code"]) == (401, "401")
    assert service.state.invoice.submissions() == []
    assert service.state.outcomes == {"azure_openai unauthorized": 1}


@pytest.mark.parametrize("headers", [{"api-key": KEY}, {"Authorization": "Bearer eyJ.token"}])
async def test_credential_may_be_a_key_or_a_token(
    service: RunningService, headers: dict[str, str]
) -> None:
    status, _ = await service.post({"model": DEPLOYMENT, "prompt": PROMPT}, headers=headers)
    assert status == 200


INVALID_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": None}, "prompt", "missing_required_parameter"),
    ({"prompt": ""}, "prompt", "invalid_value"),
    ({"prompt": 7}, "prompt", "invalid_value"),
    ({"prompt": "a" * 32_001}, "prompt", "invalid_value"),
    ({"prompt": "half \ud800"}, "prompt", "invalid_value"),
    ({"model": None}, "model", "missing_required_parameter"),
    ({"model": 2}, "model", "missing_required_parameter"),
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 11}, "n", "invalid_value"),
    ({"n": True}, "n", "invalid_value"),
    ({"n": 1.0}, "n", "invalid_value"),
    ({"size": 1024}, "size", "invalid_value"),
    ({"size": "1024"}, "size", "invalid_value"),
    ({"size": "1920x1080"}, "size", "invalid_value"),
    ({"size": "3856x1024"}, "size", "invalid_value"),
    ({"size": "3200x1024"}, "size", "invalid_value"),
    ({"size": "512x512"}, "size", "invalid_value"),
    ({"size": "3840x3840"}, "size", "invalid_value"),
    ({"size": "1920x1088"}, "size", "not_simulated"),
    ({"quality": "hd"}, "quality", "invalid_value"),
    ({"quality": ["low"]}, "quality", "invalid_value"),
    ({"output_format": "webp"}, "output_format", "invalid_value"),
    ({"output_compression": 50}, "output_compression", "invalid_value"),
    ({"output_compression": 101, "output_format": "jpeg"}, "output_compression", "invalid_value"),
    ({"background": "blue"}, "background", "invalid_value"),
    ({"background": "transparent", "output_format": "jpeg"}, "background", "invalid_value"),
    ({"moderation": "high"}, "moderation", "invalid_value"),
    ({"user": 7}, "user", "invalid_value"),
    ({"stream": True}, "stream", "not_simulated"),
    ({"seed": 7}, "seed", "unknown_parameter"),
    ({"style": "vivid"}, "style", "unknown_parameter"),
    ({"response_format": "url"}, "response_format", "unknown_parameter"),
    ({"negative_prompt": "fog"}, "negative_prompt", "unknown_parameter"),
]


@pytest.mark.parametrize(("fields", "param", "code"), INVALID_FIELDS)
async def test_field_that_the_service_does_not_take_is_refused_for_free(
    service: RunningService, fields: dict[str, Any], param: str, code: str
) -> None:
    status, body = await service.post({"model": DEPLOYMENT, "prompt": PROMPT, **fields})
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, code)
    assert body["error"]["type"] == "invalid_request_error"
    assert service.state.invoice.submissions() == []
    assert service.state.outcomes == {"azure_openai invalid_request": 1}


async def test_field_that_is_null_takes_its_default(service: RunningService) -> None:
    nulls = ("n", "size", "quality", "output_format", "output_compression", "background", "user")
    body = {"model": DEPLOYMENT, "prompt": PROMPT, **dict.fromkeys(nulls)}
    status, answer = await service.post(body)
    assert (status, answer["size"], answer["quality"]) == (200, "1024x1024", "medium")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", b"\xff\xfe", "[" * 200_000])
async def test_body_that_is_no_json_object_is_refused(
    service: RunningService, body: str | bytes
) -> None:
    status, answer = await service.post(body)
    assert (status, answer["error"]["code"]) == (400, "invalid_json")


async def test_body_above_the_cap_is_refused(service: RunningService) -> None:
    body = {"model": DEPLOYMENT, "prompt": "a" * 600_000}
    status, answer = await service.post(body)
    assert (status, answer["error"]["code"]) == (413, "RequestEntityTooLarge")


async def test_longest_prompt_fits_even_when_escaped(service: RunningService) -> None:
    status, _ = await service.post({"model": DEPLOYMENT, "prompt": "😀" * 32_000})
    assert status == 200


async def test_callers_id_that_is_not_utf8_does_not_break_the_invoice(
    service: RunningService,
) -> None:
    body = json.dumps({"model": DEPLOYMENT, "prompt": PROMPT}).encode()
    head = (
        f"POST {V1_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\napi-key: {KEY}\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\nx-ms-client-request-id: caf"
    ).encode()
    port = int(service.origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"\xe9\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert service.state.invoice.as_json(AZURE)["lines"][0]["client_request_id"] == "caf?"
