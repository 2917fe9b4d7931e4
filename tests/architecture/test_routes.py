"""The route table, the triggers and OpenAPI say the same."""

import re
from functools import cache
from typing import Any

import function_app
from functions import names
from functions.http_openapi import openapi_document
from functions.http_routes import BY_NAME, ROUTES, path_of


@cache
def indexed() -> dict[str, Any]:
    # get_functions() works once for each app object
    return {each.get_function_name(): each for each in function_app.app.get_functions()}


def http_triggers() -> dict[str, Any]:
    return {
        name: each.get_trigger().get_dict_repr()
        for name, each in indexed().items()
        if each.is_http_function()
    }


def test_each_route_has_its_trigger_and_the_other_way_round() -> None:
    triggers = http_triggers()
    assert set(triggers) == set(BY_NAME)
    for route in ROUTES:
        assert triggers[route.name]["route"] == path_of(route.name)
        assert [str(m.name) for m in triggers[route.name]["methods"]] == [route.method]


def test_every_trigger_is_anonymous_at_the_host_because_our_edge_checks_tokens() -> None:
    assert {t["authLevel"].name for t in http_triggers().values()} == {"ANONYMOUS"}


def test_only_health_and_openapi_are_public() -> None:
    public = {route.name for route in ROUTES if route.public}
    assert public == {names.HEALTH_LIVE, names.HEALTH_READY, names.OPENAPI}


def test_every_function_is_named_by_a_constant() -> None:
    constants = {v for k, v in vars(names).items() if k.isupper() and isinstance(v, str)}
    assert set(indexed()) <= constants


def test_openapi_lists_every_route_and_nothing_else() -> None:
    document = openapi_document()
    listed = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert listed == {(route.method, f"/api/{path_of(route.name)}") for route in ROUTES}


def test_every_openapi_reference_resolves() -> None:
    document = openapi_document()
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert references <= set(document["components"]["schemas"])


def test_every_post_that_costs_takes_an_idempotency_key() -> None:
    assert {r.name for r in ROUTES if r.idempotent} == {names.SUBMIT_GENERATION, names.SUBMIT_BATCH}
