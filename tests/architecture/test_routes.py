"""The triggers, the two route tables, the host's prefix and OpenAPI say the same."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import function_app
from functions import names
from functions.http_auth import CSRF_HEADER, SESSION_COOKIE
from functions.http_openapi import openapi_document
from functions.http_operations import OPERATIONS
from functions.http_routes import API, BY_NAME, ROUTES, SCIM, location_of, path_of
from shared.domain.views import API_PREFIX

CATCH_ALL = {names.UNKNOWN_API_ROUTE, names.UNKNOWN_SCIM_ROUTE, names.UNKNOWN_OPENAI_ROUTE}
HOST_JSON = Path(__file__).resolve().parents[2] / "host.json"


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
    assert set(triggers) == set(BY_NAME) | CATCH_ALL
    for route in ROUTES:
        assert triggers[route.name]["route"] == path_of(route.name)
        assert [str(m.name) for m in triggers[route.name]["methods"]] == [route.method]


def test_every_root_answers_what_no_route_takes() -> None:
    roots = {route.root for route in ROUTES}
    triggers = http_triggers()
    assert {triggers[name]["route"] for name in CATCH_ALL} == {root + "{*rest}" for root in roots}
    for name in CATCH_ALL:
        methods = {str(method.name) for method in triggers[name]["methods"]}
        assert methods >= {"HEAD", "OPTIONS", *(route.method for route in ROUTES)}


def test_each_route_says_what_it_takes_and_answers_and_the_other_way_round() -> None:
    assert [route.name for route in ROUTES] == list(OPERATIONS)


def test_each_route_that_takes_parameters_says_so_in_both_places() -> None:
    for route in ROUTES:
        assert route.query == (OPERATIONS[route.name].query is not None), route.name


def test_every_route_stands_in_the_table_once() -> None:
    assert len(BY_NAME) == len(ROUTES)
    assert len({(route.method, route.root, route.path) for route in ROUTES}) == len(ROUTES)


def test_addresses_begin_with_the_prefix_of_the_host() -> None:
    prefix = json.loads(HOST_JSON.read_text("utf-8"))["extensions"]["http"]["routePrefix"]
    assert prefix == ""
    assert f"{API_PREFIX}/" == f"/{API}"


def test_a_location_is_the_address_of_its_route() -> None:
    assert location_of(names.GET_UPLOAD_SLOT, "x") == "/api/v1/batches/uploads/x"


def test_type_hints_of_every_trigger_resolve() -> None:
    # The Functions worker reads them when it indexes; a name it cannot resolve fails the app.
    for each in indexed().values():
        assert get_type_hints(each.get_user_function()) is not None


def test_every_trigger_is_anonymous_at_the_host_because_our_edge_checks_tokens() -> None:
    assert {t["authLevel"].name for t in http_triggers().values()} == {"ANONYMOUS"}


def test_only_health_keys_and_openapi_are_public() -> None:
    # Provisioning and the bootstrap have secrets of their own instead.
    public = {route.name for route in ROUTES if route.public and route.root != SCIM}
    assert public == {
        names.BOOTSTRAP,
        names.HEALTH_LIVE,
        names.HEALTH_READY,
        names.OPENAPI,
        names.LIST_KEYS,
        names.SIGN_IN,
        names.SIGN_IN_CALLBACK,
        names.RECEIVE_REPLICATE_WEBHOOK,
    }


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
    assert listed == {(route.method, f"/{path_of(route.name)}") for route in ROUTES}


def test_openapi_says_how_callers_show_who_they_are() -> None:
    document = openapi_document()
    schemes = document["components"]["securitySchemes"]
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", SESSION_COOKIE)
    assert (schemes["csrf"]["in"], schemes["csrf"]["name"]) == ("header", CSRF_HEADER)
    for route in ROUTES:
        described = document["paths"][f"/{path_of(route.name)}"][route.method.lower()]
        cookie: dict[str, list[str]] = (
            {"session": []} if route.method == "GET" else {"session": [], "csrf": []}
        )
        wanted: list[dict[str, list[str]]] = [{"token": []}, cookie]
        if route.public:  # not by our tokens: by a secret of its own, or by nothing
            wanted = [{"provisioning": []}] if route.root == SCIM else []
        if route.name == names.BOOTSTRAP:
            wanted = [{"bootstrap": []}]
        assert described["security"] == wanted
        assert {name for way in wanted for name in way} <= set(schemes)


def test_openapi_names_every_status_of_a_route() -> None:
    paths = openapi_document()["paths"]
    for route in ROUTES:
        operation = OPERATIONS[route.name]
        described = paths[f"/{path_of(route.name)}"][route.method.lower()]["responses"]
        expected = {operation.status, *operation.other_statuses, *operation.errors}
        assert {str(status) for status in expected} <= set(described)


def test_openapi_demands_the_query_parameters_that_the_route_demands() -> None:
    demanded = {
        (operation["operationId"], parameter["name"])
        for path in openapi_document()["paths"].values()
        for operation in path.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and parameter["required"]
    }
    models = {name: each.query for name, each in OPERATIONS.items() if each.query}
    assert demanded == {
        (name, field.alias or key)
        for name, model in models.items()
        for key, field in model.model_fields.items()
        if field.is_required()
    }
    assert (names.LIFT_FREEZE, "reason") in demanded


def test_every_openapi_reference_resolves() -> None:
    document = openapi_document()
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert references <= set(document["components"]["schemas"])


def test_every_post_that_costs_takes_an_idempotency_key() -> None:
    idempotent = {name for name, operation in OPERATIONS.items() if operation.idempotent}
    assert idempotent == {
        names.SUBMIT_GENERATION,
        names.SUBMIT_BATCH,
        names.MOVE_ALLOCATION,
        names.CREATE_GRANT,
        names.CREATE_OVERRIDE,
        names.OPENAI_GENERATE,
    }


def test_every_body_has_an_example_that_its_model_accepts() -> None:
    for name, operation in OPERATIONS.items():
        if operation.body is not None:
            assert operation.example is not None, name
            operation.body.model_validate_json(json.dumps(operation.example))
