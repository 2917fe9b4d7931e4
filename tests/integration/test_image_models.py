"""Models beside the first three: delivered, refused, billed and shown, through the whole app."""

from __future__ import annotations

import pytest

from tests.integration.api import Json, Person, order
from tests.integration.cloud import Cloud
from tests.integration.test_generations import billed_usd_micros

FIREFLY_USD_MICROS = 100_000


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (order("gpt-image-2.5-flare", quality="xhigh"), 1),
        (order("gpt-image-1-mini", quality="low"), 2),
        (order("flux-1.1-pro"), 1),
        (order("flux-2-pro"), 1),
        (order("sd-3.5-large", seed=3), 1),
        (order("firefly-image3", size="1024x1024"), 2),
        (order("firefly-image5", size="1024x1024"), 1),
    ],
    ids=lambda value: value["model"] if isinstance(value, dict) else str(value),
)
async def test_each_model_delivers_for_what_its_provider_bills(
    cloud: Cloud, ava: Person, body: Json, count: int
) -> None:
    generation = await ava.generate(body | {"count": count})
    assert generation["status"] == "succeeded", generation
    assert len(generation["images"]) == count
    assert generation["warnings"] == []
    cost = generation["cost"]
    assert cost["usd_micros"] == await billed_usd_micros(cloud, generation) > 0
    assert cost["amount_micros"] <= generation["quote"]["amount_micros"]


async def test_firefly_shows_the_seed_of_each_picture(ava: Person) -> None:
    generation = await ava.generate(order("firefly-image4-ultra", seed=41, count=2))
    assert [image["seed"] for image in generation["images"]] == [41, 42]


async def test_words_that_a_provider_left_out_are_a_warning(ava: Person) -> None:
    generation = await ava.generate(order("firefly-image3", "denied_words"))
    assert generation["status"] == "succeeded"
    assert generation["warnings"] == ["prompt_has_denied_words"]


@pytest.mark.parametrize(
    ("model", "usd_micros"),
    [("firefly-image3", FIREFLY_USD_MICROS), ("firefly-image5", 0)],
    ids=["in_the_job", "at_submission"],
)
async def test_firefly_refusal_costs_the_maximum_only_once_a_job_was_accepted(
    cloud: Cloud, ava: Person, model: str, usd_micros: int
) -> None:
    generation = await ava.generate(order(model, "content_filter"))
    assert generation["status"] == "refused"
    assert generation["failure"]["categories"] == ["prompt_unsafe"]
    assert generation["cost"]["usd_micros"] == usd_micros
    assert generation["cost"]["estimated"] is (usd_micros > 0)
    assert await billed_usd_micros(cloud, generation) == usd_micros


async def test_model_that_is_about_to_end_names_its_successor(ava: Person) -> None:
    answer = await ava.post("/generations", {"model": "gpt-image-1.5", "prompt": "a pier"})
    problem = answer.problem(422, "model_retired")
    assert (problem["retired_on"], problem["successor"]) == ("2026-12-16", "gpt-image-2")


async def test_replicate_tells_us_when_a_run_has_ended(cloud: Cloud, ava: Person) -> None:
    async def webhooks(end: str) -> int:
        outcomes = (await cloud._control("GET", "stats"))["outcomes"]
        return int(outcomes.get(f"replicate webhook {end}", 0))

    delivered, refused = await webhooks("delivered"), await webhooks("refused")
    assert (await ava.generate(order("flux-schnell")))["status"] == "succeeded"
    assert await webhooks("delivered") > delivered
    assert await webhooks("refused") == refused  # those of before met a host that was down


async def test_webhook_of_somebody_else_is_refused(cloud: Cloud) -> None:
    url = f"{cloud.host_url}/api/v1/webhooks/replicate"
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    async with cloud.session.post(url, data=b'{"id": "x"}', headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json())["code"] == "webhook_not_signed"
