"""OpenAI's official clients, unchanged but for their address, in front of the governed pipeline."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.contract.vendor_specs import document, named
from tests.integration.api import Json, Person, prompt
from tests.integration.cloud import Cloud

SCRIPT = Path(__file__).with_name("openai_client.mjs")
NODE_TIMEOUT_S = 60


def address(cloud: Cloud) -> str:
    return cloud.api_url.removesuffix("/api/v1") + "/openai/v1"


@pytest.fixture(scope="module")
async def client(cloud: Cloud, ava: Person) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=address(cloud), api_key=str(ava.token)) as made:
        yield made


async def node(cloud: Cloud, person: Person, *arguments: str) -> Json:
    """What the Node client makes of one call."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        address(cloud),
        *arguments,
        env={**os.environ, "OPENAI_API_KEY": str(person.token)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), NODE_TIMEOUT_S)
    found: Json = json.loads(output)
    return found


def asked(scenario: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-image-2", "prompt": prompt(scenario=scenario), "quality": "low"} | fields


async def charged(cloud: Cloud, sent: Json) -> int:
    """How often a provider was paid for this prompt."""
    counts = await cloud.submissions()
    return counts.get(hashlib.sha256(sent["prompt"].encode()).hexdigest(), 0)


async def test_python_client_gets_its_picture_and_what_was_charged_for_it(
    client: openai.AsyncOpenAI, ava: Person
) -> None:
    raw = await client.images.with_raw_response.generate(**asked(n=2))
    answer = raw.parse()
    assert len(answer.data or []) == 2
    stored = await ava.generation(raw.headers["x-eig-generation-id"])
    assert [
        hashlib.sha256(base64.b64decode(str(image.b64_json))).hexdigest()
        for image in answer.data or []
    ] == [image["sha256"] for image in stored["images"]]
    assert (answer.size, answer.quality, answer.output_format) == ("1024x1024", "low", "png")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 2 * 196
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert int(raw.headers["x-eig-cost-micros"]) == stored["cost"]["amount_micros"]
    assert raw.headers["x-eig-provider"] == "azure_openai"
    receipt = raw.headers["x-eig-receipt"]
    assert receipt == f"/api/v1/generations/{stored['id']}/evidence"


async def test_client_is_told_that_fewer_pictures_came_than_it_asked_for(
    client: openai.AsyncOpenAI,
) -> None:
    sent = asked("fewer_images missing=2", n=4)
    raw = await client.images.with_raw_response.generate(**sent)
    assert len(raw.parse().data or []) == 2
    assert raw.headers["x-eig-warnings"] == "fewer_pictures"


async def test_client_is_told_that_the_model_does_not_read_its_whole_prompt(
    client: openai.AsyncOpenAI,
) -> None:
    raw = await client.images.with_raw_response.generate(model="sdxl", prompt="word " * 76)
    assert raw.headers["x-eig-warnings"] == "prompt_cut"


async def test_node_client_gets_its_picture(cloud: Cloud, ava: Person) -> None:
    found = await node(cloud, ava, "generate", json.dumps(asked()))
    [image] = found["answer"]["data"]
    stored = await ava.generation(found["headers"]["x-eig-generation-id"])
    content = base64.b64decode(image["b64_json"])
    assert hashlib.sha256(content).hexdigest() == stored["images"][0]["sha256"]


async def test_models_are_those_that_the_caller_may_use(
    cloud: Cloud, client: openai.AsyncOpenAI, ava: Person
) -> None:
    listed = [model async for model in client.models.list()]
    assert {"gpt-image-2", "sdxl"} <= {model.id for model in listed}
    assert all(model.created > 1_700_000_000 and model.owned_by for model in listed)
    assert (await client.models.retrieve("gpt-image-2")).id == "gpt-image-2"
    found = await node(cloud, ava, "models")
    assert {each["id"] for each in found["answer"]["data"]} == {model.id for model in listed}
    with pytest.raises(openai.NotFoundError) as refused:
        await client.models.retrieve("dall-e-9")
    assert refused.value.code == "model_not_found"


async def test_models_are_listed_for_somebody_without_a_department(
    cloud: Cloud, olga: Person
) -> None:
    async with openai.AsyncOpenAI(base_url=address(cloud), api_key=str(olga.token)) as admin:
        assert "gpt-image-2" in [model.id async for model in admin.models.list()]


async def test_model_auto_is_chosen_by_routing(client: openai.AsyncOpenAI) -> None:
    raw = await client.images.with_raw_response.generate(model="auto", prompt=prompt())
    assert len(raw.parse().data or []) == 1
    assert raw.headers["x-eig-model"] != "auto"


async def test_link_instead_of_bytes(client: openai.AsyncOpenAI, cloud: Cloud, ava: Person) -> None:
    raw = await client.images.with_raw_response.generate(**asked(response_format="url"))
    [image] = raw.parse().data or []
    stored = await ava.generation(raw.headers["x-eig-generation-id"])
    async with cloud.session.get(str(image.url)) as response:
        assert hashlib.sha256(await response.read()).hexdigest() == stored["images"][0]["sha256"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"quality": "hd"}, "quality"),
        ({"style": "vivid"}, "style"),
        ({"background": "transparent"}, "background"),
        ({"moderation": "low"}, "moderation"),
        ({"output_compression": 50}, "output_compression"),
        ({"stream": True}, "stream"),
        ({"n": 11}, "n"),
        ({"size": "17x3"}, "size"),
        ({"output_format": "webp"}, "output_format"),
        ({"extra_body": {"colour": "red"}}, "colour"),
        ({"extra_body": {"seed": 7}}, "seed"),
    ],
)
async def test_what_no_model_honours_is_refused_by_name(
    client: openai.AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.generate(**asked(**fields))
    assert refused.value.type == "invalid_request_error"
    assert refused.value.param == param
    assert param in refused.value.message


async def test_refusals_have_the_types_that_clients_know(
    cloud: Cloud, client: openai.AsyncOpenAI, ava: Person
) -> None:
    with pytest.raises(openai.NotFoundError) as retired:
        await client.images.generate(**asked(model="dall-e-3"))
    assert retired.value.code == "model_not_found"
    assert "gpt-image-2" in retired.value.message
    with pytest.raises(openai.BadRequestError) as filtered:
        await client.images.generate(**asked("content_filter"))
    assert filtered.value.code == "moderation_blocked"
    assert filtered.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.AuthenticationError) as unknown:
        await client.with_options(api_key="sk-nobody").images.generate(**asked())
    assert unknown.value.code == "invalid_api_key"
    found = await node(cloud, ava, "generate", json.dumps(asked("content_filter")))
    assert found["error"]["kind"] == "BadRequestError"
    assert found["error"]["code"] == "moderation_blocked"


async def test_budget_that_is_exceeded_is_an_exhausted_quota_and_not_tried_again(
    client: openai.AsyncOpenAI, mia: Person
) -> None:
    name = f"poor{uuid4().hex[:8]}"
    created = await mia.send(
        "PUT",
        f"/budgets/project:{name}",
        json={"limit_micros": 1_000},
        headers={"If-None-Match": "*"},
    )
    assert created.status in (200, 201), created.content
    with pytest.raises(openai.RateLimitError) as refused:
        await client.images.generate(**asked(extra_body={"project": name}))
    assert refused.value.code == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.response.headers["x-eig-code"] == "budget_exceeded"


async def test_same_key_gives_the_same_picture_and_is_paid_once(
    cloud: Cloud, client: openai.AsyncOpenAI
) -> None:
    sent, key = asked(), {"Idempotency-Key": str(uuid4())}
    first, again = [await client.images.generate(**sent, extra_headers=key) for _ in range(2)]
    assert first.data == again.data
    assert await charged(cloud, sent) == 1


async def test_repeat_of_a_client_without_a_key_is_paid_once(
    cloud: Cloud, client: openai.AsyncOpenAI
) -> None:
    sent = asked()
    first = await client.images.generate(**sent)
    repeat = {"x-stainless-retry-count": "1"}  # what a client says when an answer was lost
    again = await client.images.generate(**sent, extra_headers=repeat)
    assert again.data == first.data
    assert await charged(cloud, sent) == 1
    fresh = await client.images.generate(**sent)
    assert await charged(cloud, sent) == 2
    assert fresh.data != [] and fresh.created >= first.created


async def test_requests_in_the_same_words_at_once_are_as_many(
    cloud: Cloud, client: openai.AsyncOpenAI
) -> None:
    sent = asked()
    impatient = client.with_options(max_retries=0)
    made = await asyncio.gather(*(impatient.images.generate(**sent) for _ in range(8)))
    assert all(len(each.data or []) == 1 for each in made)
    assert await charged(cloud, sent) == 8


async def answered_body(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    raw = await client.images.with_raw_response.generate(**asked(**fields))
    return json.loads(raw.content)


async def test_what_is_not_there_is_left_out_of_the_answer(client: openai.AsyncOpenAI) -> None:
    body = await answered_body(client, model="sdxl", quality="auto")
    assert set(body) == {"created", "data", "output_format", "size"}
    assert set(body["data"][0]) == {"b64_json"}


@pytest.mark.parametrize(
    "fields",
    [{}, {"model": "sdxl", "quality": "auto"}, {"n": 2, "response_format": "url"}],
    ids=["metered_in_tokens", "metered_in_time", "links"],
)
async def test_answer_is_as_openai_specifies_it(
    client: openai.AsyncOpenAI, fields: dict[str, Any]
) -> None:
    specification = document("openai-images-batches.json")
    body = await answered_body(client, **fields)
    assert named(specification, "ImagesResponse", body) == []


async def test_impatient_client_repeats_itself_and_pays_once(
    cloud: Cloud, client: openai.AsyncOpenAI
) -> None:
    sent = asked("slow seconds=3")
    impatient = client.with_options(timeout=1.0, max_retries=8)  # sends no key of its own accord
    assert len((await impatient.images.generate(**sent)).data or []) == 1
    assert await charged(cloud, sent) == 1


async def test_key_of_another_request_is_refused_and_nothing_is_paid(
    cloud: Cloud, client: openai.AsyncOpenAI
) -> None:
    first, other, key = asked(), asked(), {"Idempotency-Key": str(uuid4())}
    await client.images.generate(**first, extra_headers=key)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.generate(**other, extra_headers=key)
    assert refused.value.code == "idempotency_key_reused"
    assert (await charged(cloud, first), await charged(cloud, other)) == (1, 0)


async def test_synchronous_client_gets_its_picture(cloud: Cloud, ava: Person) -> None:
    def draw() -> tuple[int, str | None]:
        with openai.OpenAI(base_url=address(cloud), api_key=str(ava.token)) as made:
            answer = made.images.generate(model=None, prompt=prompt(), size="auto")
            return len(answer.data or []), answer._request_id

    pictures, request_id = await asyncio.to_thread(draw)
    assert pictures == 1 and request_id


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/images/edits", 404),
        ("POST", "/images/variations", 404),
        ("POST", "/chat/completions", 404),
        ("GET", "/images/generations", 405),
        ("DELETE", "/models/gpt-image-2", 405),
    ],
)
async def test_what_is_not_there_is_refused_in_the_words_of_its_clients(
    cloud: Cloud, ava: Person, method: str, path: str, status: int
) -> None:
    signed = {"Authorization": f"Bearer {ava.token}"}
    url = address(cloud) + path
    async with cloud.session.request(method, url, headers=signed, json={}) as response:
        error = (await response.json())["error"]
        assert response.status == status
        assert response.headers["x-should-retry"] == "false"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error" and error["param"] is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"prompt": "\\ud800"}', b"prompt=x"])
async def test_body_that_is_none_is_refused_without_a_field(
    cloud: Cloud, ava: Person, body: bytes
) -> None:
    signed = {"Authorization": f"Bearer {ava.token}", "Content-Type": "application/json"}
    url = f"{address(cloud)}/images/generations"
    async with cloud.session.post(url, headers=signed, data=body) as response:
        error = (await response.json())["error"]
        assert response.status == 400
        assert response.headers["x-request-id"] == response.headers["x-correlation-id"]
    assert (error["type"], error["param"]) == ("invalid_request_error", None)


async def test_no_answer_shows_a_prompt_or_a_token(client: openai.AsyncOpenAI, ava: Person) -> None:
    sent = asked("content_filter")
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.generate(**sent)
    shown = refused.value.response.text + str(refused.value.response.headers)
    assert sent["prompt"] not in shown and str(ava.token) not in shown
