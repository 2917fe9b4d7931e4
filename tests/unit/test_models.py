from dataclasses import replace
from datetime import date

import pytest

from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import (
    MODELS,
    RETIRED_MODELS,
    days_to_retirement,
    retirement_refusal,
    unknown_model,
)
from shared.errors import Invalid

GPT = MODELS["gpt-image-2"]


def test_models_of_the_two_tables_are_apart() -> None:
    assert not set(MODELS) & set(RETIRED_MODELS)
    for retired in RETIRED_MODELS.values():
        assert retired.successor in MODELS
        # What is not over yet is about to be: then a model is better not begun with.
        assert date.fromisoformat(retired.retired_on) < date(2027, 1, 1)


@pytest.mark.parametrize("model", sorted(RETIRED_MODELS))
def test_request_for_a_retired_model_names_its_successor(model: str) -> None:
    with pytest.raises(Invalid) as refusal:
        resolve_request(GenerationRequest(model=model, prompt="a lighthouse"))
    assert refusal.value.problem_code == "model_retired"
    assert refusal.value.extra["successor"] == "gpt-image-2"
    assert "gpt-image-2" in refusal.value.detail
    assert RETIRED_MODELS[model].retired_on in refusal.value.detail
    assert [(f.field, f.message) for f in refusal.value.faults] == [("/model", "use gpt-image-2")]


def test_request_for_a_model_nobody_offers_names_those_on_offer() -> None:
    refusal = unknown_model("gpt-image-9")
    assert refusal.problem_code == "unknown_model"
    assert all(model in refusal.detail for model in MODELS)
    assert "gpt-image-9" not in refusal.detail


def test_retirement_counts_days_and_refuses_from_the_date_on() -> None:
    assert days_to_retirement(GPT, date(2027, 1, 21)) == 90
    assert retirement_refusal(GPT, date(2027, 4, 20)) is None
    refusal = retirement_refusal(replace(GPT, successor="sdxl"), date(2027, 4, 21))
    assert refusal is not None
    assert refusal.problem_code == "model_retired"
    assert refusal.extra["successor"] == "sdxl"


def test_retirement_without_a_date_never_comes() -> None:
    sdxl = MODELS["sdxl"]
    assert days_to_retirement(sdxl, date(2100, 1, 1)) is None
    assert retirement_refusal(sdxl, date(2100, 1, 1)) is None
