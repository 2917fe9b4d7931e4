"""Numbers and flags of requests: what is not written as one is refused, in every model there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from functions.http_estimates_models import EstimateBody, EstimateRequest
from functions.http_models import BatchItem, HistoryQuery
from functions.http_operations import OPERATIONS
from functions.http_users_models import ImportQuery
from shared.domain.generations import GenerationRequest
from shared.domain.openai_images import OpenAIImageRequest
from shared.domain.routing_wishes import RoutingWish

NO_NUMBERS = ("1", "1_0", "01", " 1 ", "1.0", True, 1.0, [1], "\u0661")
NO_FLAGS = ("yes", "true", "on", "1", 1, 0)
NO_NUMBERS_OF_AN_ADDRESS = ("1_0", "01", " 1 ", "1.0", "+1", "true", "1e1", "\u0661", "", "-0")
NO_FLAGS_OF_AN_ADDRESS = ("yes", "on", "1", "True", "t", "", " true")
FAULTY = {
    True: {"integer": NO_NUMBERS, "boolean": NO_FLAGS},
    False: {"integer": NO_NUMBERS_OF_AN_ADDRESS, "boolean": NO_FLAGS_OF_AN_ADDRESS},
}


def kinds(schema: dict[str, Any]) -> set[str]:
    options = [schema, *schema.get("anyOf", ())]
    return {str(each.get("type")) for each in options} & {"integer", "boolean"}


def faulty(model: type[BaseModel], *, is_body: bool) -> Iterator[tuple[str, object]]:
    for name, schema in model.model_json_schema()["properties"].items():
        for kind in kinds(schema):
            yield from ((name, value) for value in FAULTY[is_body][kind])


def bodies() -> set[type[BaseModel]]:
    found = {each.body for each in OPERATIONS.values() if each.body} - {EstimateBody}
    return found | {EstimateRequest, BatchItem, GenerationRequest, RoutingWish, OpenAIImageRequest}


def queries() -> set[type[BaseModel]]:
    return {each.query for each in OPERATIONS.values() if each.query}


@pytest.mark.parametrize("model", sorted(bodies(), key=lambda each: each.__name__))
def test_body_takes_no_other_thing_for_a_number_or_a_flag(model: type[BaseModel]) -> None:
    for name, value in faulty(model, is_body=True):
        with pytest.raises(ValidationError) as refusal:
            model.model_validate_json(json.dumps({name: value}))
        assert any(each["loc"][0] == name for each in refusal.value.errors()), (name, value)


@pytest.mark.parametrize("model", sorted(queries(), key=lambda each: each.__name__))
def test_query_takes_no_other_thing_for_a_number_or_a_flag(model: type[BaseModel]) -> None:
    for name, value in faulty(model, is_body=False):
        with pytest.raises(ValidationError) as refusal:
            model.model_validate({name: value})
        assert any(each["loc"][0] == name for each in refusal.value.errors()), (name, value)


def test_these_tests_find_the_numbers_and_flags_there_are() -> None:
    assert {name for name, _ in faulty(GenerationRequest, is_body=True)} == {"count", "seed"}
    assert {name for name, _ in faulty(OpenAIImageRequest, is_body=True)} == {
        "n",
        "output_compression",
        "partial_images",
        "seed",
        "stream",
    }
    assert sum(any(faulty(each, is_body=True)) for each in bodies()) >= 12
    assert sum(any(faulty(each, is_body=False)) for each in queries()) >= 9


def test_numbers_and_flags_of_an_address_are_read() -> None:
    assert HistoryQuery.model_validate({"limit": "100", "since": "2026-11-01"}).limit == 100
    assert ImportQuery.model_validate({"dry_run": "false"}).dry_run is False


def test_stored_request_is_read_back_as_it_was() -> None:
    wish = {"strategy": "cheapest", "models": ("sdxl",), "fallback": True, "max_price_micros": 1}
    request = GenerationRequest.model_validate({"prompt": "x", "count": 2, "routing": wish})
    stored = json.loads(request.model_dump_json())
    assert GenerationRequest.model_validate(stored) == request
    assert GenerationRequest.model_validate_json(request.model_dump_json()) == request
