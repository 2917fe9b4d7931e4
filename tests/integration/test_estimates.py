"""Prices without doing, and the models on offer."""

from __future__ import annotations

import pytest

from tests.integration.api import Person, order
from tests.integration.cloud import Cloud


@pytest.mark.parametrize("model", ["gpt-image-2", "sdxl", "flux-schnell"])
async def test_estimate_is_what_the_generation_reserves(ava: Person, model: str) -> None:
    body = order(model, count=2)
    estimate = (await ava.post("/estimates", body)).json()
    assert estimate["model"] == model
    assert estimate["fits_budget"] is True
    assert estimate["available_micros"] > estimate["quote"]["amount_micros"] > 0
    generation = await ava.submit(body)
    assert generation["quote"] == estimate["quote"]
    assert generation["request"] == estimate["request"]
    assert generation["provider"] == estimate["provider"]


async def test_estimate_reserves_nothing_and_calls_nobody(cloud: Cloud, pat: Person) -> None:
    before = (await pat.get("/budgets/user:me")).json()
    submissions = len(await cloud.submissions())
    await pat.post("/estimates", order(count=10, quality="high"))
    assert (await pat.get("/budgets/user:me")).json() == before
    assert len(await cloud.submissions()) == submissions


async def test_models_lists_each_model_with_its_price(ava: Person) -> None:
    models = (await ava.get("/models")).json()["items"]
    assert {model["model"] for model in models} == {"gpt-image-2", "sdxl", "flux-schnell"}
    for model in models:
        assert model["price_from_micros"] > 0
        assert model["sizes"] and model["output_formats"]


async def test_cheapest_price_of_a_model_is_one_that_can_be_had(ava: Person) -> None:
    for model in (await ava.get("/models")).json()["items"]:
        quotes = [
            (await ava.post("/estimates", {"model": model["model"], "prompt": "-"} | change)).json()
            for change in (
                {"size": size, "quality": quality} if quality else {"size": size}
                for size in model["sizes"]
                for quality in (model["qualities"] or [None])
            )
        ]
        cheapest = min(quote["quote"]["amount_micros"] for quote in quotes)
        assert cheapest == model["price_from_micros"]
