"""Prices without doing: one request, a comparison, a file; and the models on offer."""

from __future__ import annotations

import hashlib
import json

import pytest

from shared.domain.models import MODELS
from tests.integration.api import Json, Person, order, prompt
from tests.integration.cloud import Cloud

ON_OFFER = set(MODELS)
CSV = {"Content-Type": "text/csv"}


def candidates_of(answer: Json) -> dict[str, Json]:
    return {candidate["model"]: candidate for candidate in answer["candidates"]}


def codes_of(answer: Json) -> list[str]:
    return [refusal["code"] for refusal in answer["refusals"]]


async def dry_run(person: Person, content: str) -> Json:
    answer = await person.send("POST", "/estimates", data=content.encode(), headers=CSV)
    return answer.json()


@pytest.mark.parametrize("model", sorted(ON_OFFER))
async def test_estimate_is_what_the_generation_reserves(ava: Person, model: str) -> None:
    body = order(model, count=min(2, MODELS[model].count_max))
    estimate = (await ava.post("/estimates", body)).json()
    assert estimate["model"] == model
    assert (estimate["fits_budget"], estimate["eligible"]) == (True, True)
    assert estimate["available_micros"] > estimate["quote"]["amount_micros"] > 0
    assert estimate["exchange_rate"]["version"] == estimate["quote"]["exchange_rate_version"]
    generation = await ava.submit(body)
    assert generation["quote"] == estimate["quote"]
    assert generation["request"] == estimate["request"]
    assert generation["provider"] == estimate["provider"]


async def test_estimate_reserves_nothing_and_calls_nobody(cloud: Cloud, pat: Person) -> None:
    before = (await pat.get("/budgets/user:me")).json()
    single, compared, row = prompt(), prompt(), prompt()
    await pat.post("/estimates", order(count=10, quality="high", prompt=single))
    await pat.post("/estimates", {"prompt": compared})
    await dry_run(pat, f"model,prompt\nsdxl,{row}\n")
    assert (await pat.get("/budgets/user:me")).json() == before
    asked_for = {hashlib.sha256(each.encode()).hexdigest() for each in (single, compared, row)}
    assert asked_for.isdisjoint(await cloud.submissions())


async def test_estimate_without_a_model_compares_all_of_them(ava: Person) -> None:
    body = {"prompt": prompt(), "size": "1024x1024", "quality": "low"}
    comparison = (await ava.post("/estimates", body)).json()
    candidates = candidates_of(comparison)
    assert set(candidates) == ON_OFFER
    gpt = candidates["gpt-image-2"]
    able = {name for name, model in MODELS.items() if "low" in model.qualities}
    assert {name for name, each in candidates.items() if each["eligible"]} == able
    assert (gpt["eligible"], gpt["refusals"]) == (True, [])
    single = (await ava.post("/estimates", body | {"model": "gpt-image-2"})).json()
    assert gpt["quote"] == single["quote"]
    assert gpt["typical_latency"]["source"] and gpt["residency"]
    assert codes_of(candidates["sdxl"]) == ["unsupported_by_model"]
    assert candidates["sdxl"]["refusals"][0]["errors"][0]["field"] == "/quality"


async def test_comparison_lists_the_cheapest_that_can_serve_first(ava: Person) -> None:
    comparison = (await ava.post("/estimates", {"prompt": prompt()})).json()
    amounts = [each["quote"]["amount_micros"] for each in comparison["candidates"]]
    assert amounts == sorted(amounts)
    assert all(each["eligible"] for each in comparison["candidates"])


async def test_comparison_says_why_a_named_model_cannot_serve(ava: Person) -> None:
    body = {"models": ["dall-e-3", "gpt-image-9", "sdxl"], "prompt": prompt()}
    candidates = candidates_of((await ava.post("/estimates", body)).json())
    assert codes_of(candidates["dall-e-3"]) == ["model_retired"]
    assert "gpt-image-2" in candidates["dall-e-3"]["refusals"][0]["detail"]
    assert codes_of(candidates["gpt-image-9"]) == ["unknown_model"]
    assert candidates["gpt-image-9"]["quote"] is None
    assert candidates["sdxl"]["eligible"] is True


async def test_comparison_names_the_budget_that_would_not_cover(pat: Person) -> None:
    left = (await pat.get("/budgets/user:me")).json()["available_micros"]
    body = {"prompt": "x" * 4_000, "count": 10, "quality": "high", "models": ["gpt-image-2"]}
    comparison = (await pat.post("/estimates", body)).json()
    candidate = comparison["candidates"][0]
    dear = candidate["quote"]["amount_micros"] > left
    assert candidate["eligible"] is not dear
    assert ("budget_exceeded" in codes_of(candidate)) is dear
    assert comparison["available_micros"] == min(comparison["budgets"].values())


async def test_estimate_prices_references_but_offers_no_model_for_them(ava: Person) -> None:
    body = order(reference_images=2)
    with_two = (await ava.post("/estimates", body)).json()
    body.pop("reference_images")
    plain = (await ava.post("/estimates", body)).json()
    # 1,536 picture tokens at $8 and 64 text tokens at $5 per million, for each of the two
    assert with_two["quote"]["usd_micros"] - plain["quote"]["usd_micros"] == 2 * (12_288 + 320)
    assert codes_of(with_two) == ["unsupported_by_model"]
    assert with_two["eligible"] is False
    refusal = await ava.post("/generations", body | {"reference_images": 2})
    refusal.problem(422, "invalid")


@pytest.mark.parametrize("path", ["/estimates", "/generations"])
async def test_retired_model_names_its_successor(ava: Person, path: str) -> None:
    refusal = (await ava.post(path, order("dall-e-3"))).problem(422, "model_retired")
    assert refusal["successor"] == "gpt-image-2"
    assert refusal["retired_on"] == "2026-03-04"


async def test_one_model_or_several_but_not_both(ava: Person) -> None:
    answer = await ava.post("/estimates", order(models=["sdxl"]))
    answer.problem(422, "invalid")


async def test_dry_run_prices_each_row_and_adds_up(ava: Person) -> None:
    rows = [
        f"a,gpt-image-2,{prompt()},low,2",
        f"b,dall-e-3,{prompt()},,",
        f"c,sdxl,{prompt()},,",
        f"d,sdxl,{prompt()},high,",
    ]
    content = "id,model,prompt,quality,count\n" + "\n".join(rows) + "\n"
    answer = await dry_run(ava, content)
    assert (answer["rows"], answer["valid_rows"], answer["invalid_rows"]) == (4, 2, 2)
    quoted = [item["quoted_micros"] for item in answer["items"]]
    assert quoted[1] is quoted[3] is None
    assert answer["quoted_micros"] == quoted[0] + quoted[2]
    totals = {each["model"]: each for each in answer["models"]}
    assert {name: each["images"] for name, each in totals.items()} == {"gpt-image-2": 2, "sdxl": 1}
    assert sum(each["amount_micros"] for each in totals.values()) == answer["quoted_micros"]
    assert answer["items"][1]["faults"] == [{"field": "/model", "message": "use gpt-image-2"}]
    assert {each["scope"].partition(":")[0] for each in answer["budgets"]} >= {"department", "user"}
    assert answer["fits_budget"] is all(each["fits"] for each in answer["budgets"])
    assert answer["rows_that_fit"] == 2


async def test_dry_run_quotes_what_the_batch_reserves(ava: Person) -> None:
    items = [order(count=2), order("flux-schnell")]
    lines = "\n".join(json.dumps(item) for item in items).encode()
    headers = {"Content-Type": "application/jsonl"}
    estimate = (await ava.send("POST", "/estimates", data=lines, headers=headers)).json()
    as_json = (await ava.post("/estimates", {"items": items})).json()
    for field in ("items", "models", "quoted_micros", "quoted_usd_micros"):
        assert as_json[field] == estimate[field]  # what is left in the budgets may have moved
    batch = await ava.run_batch(items)
    assert batch["quoted_micros"] == estimate["quoted_micros"]


async def test_dry_run_of_a_faulty_file_is_refused_as_its_batch_would_be(ava: Person) -> None:
    answer = await ava.send("POST", "/estimates", data=b"colour\nred\n", headers=CSV)
    answer.problem(422, "columns_unknown")
    answer = await ava.send("POST", "/estimates", data=b"{}", headers={"Content-Type": "text/xml"})
    answer.problem(415, "unsupported_media_type")


async def test_models_lists_each_model_with_its_price(ava: Person) -> None:
    answer = (await ava.get("/models")).json()
    assert {model["model"] for model in answer["items"]} == ON_OFFER
    for model in answer["items"]:
        assert model["price_from_micros"] > 0
        assert model["sizes"] and model["output_formats"]
    retired = {each["model"]: each for each in answer["retired"]}
    assert retired["dall-e-3"] == {
        "model": "dall-e-3",
        "retired_on": "2026-03-04",
        "successor": "gpt-image-2",
    }


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
