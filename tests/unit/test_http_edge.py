"""The edge without a host: what is accepted, what errors tell, and which row an address has."""

import json

import azure.functions as func
import pytest

from functions import names
from functions.http_addresses import routes_at
from functions.http_preconditions import etag_of, expected_revision
from functions.http_queries import check_query
from functions.http_routes import ROUTES, path_of
from functions.http_scim_errors import scim_problem
from functions.http_support import (
    PATH_ID_CHARS_MAX,
    Call,
    accepts,
    handle,
    problem_response,
)
from functions.http_users_models import StatusRequest
from shared.errors import EigError, Invalid, InvariantBroken, NotFound, Unavailable

SECRET = "the password is swordfish"


@pytest.mark.parametrize(
    ("accepted", "media_type", "expected"),
    [
        ("*/*", "application/json", True),
        ("application/json", "application/json", True),
        ("APPLICATION/JSON;charset=utf-8", "application/json", True),
        ("application/json", "application/scim+json", True),
        ("image/*", "image/png", True),
        ("image/*, application/json;q=0", "application/json", False),
        ("*/*;q=0.0", "image/png", False),
        ("image/png;q=0, image/*", "image/png", False),
        ("*/*;q=0, image/*;q=0.5", "image/png", True),
        ("text/html", "application/json", False),
        (";,;;,", "application/json", False),
    ],
)
def test_accept_is_read_as_http_says(accepted: str, media_type: str, expected: bool) -> None:
    assert accepts(accepted, media_type) is expected


@pytest.mark.parametrize("error", [EigError(SECRET), InvariantBroken(SECRET)])
def test_error_of_ours_tells_nothing_of_itself(error: EigError) -> None:
    answer = problem_response(error, "c")
    assert answer.status_code == 500
    assert SECRET.encode() not in answer.get_body()


def test_error_that_may_be_told_is_told() -> None:
    answer = problem_response(Unavailable("Later.", retry_after_s=5), "c")
    assert json.loads(answer.get_body())["detail"] == "Later."
    assert answer.headers["Retry-After"] == "5"


async def test_unforeseen_error_is_a_500_without_a_word_of_it() -> None:
    async def act(_: object) -> func.HttpResponse:
        raise RuntimeError(SECRET)

    request = func.HttpRequest("GET", "http://127.0.0.1/api/v1/health/live", body=b"")
    answer = await handle(request, act, public=True)
    assert answer.status_code == 500 and SECRET.encode() not in answer.get_body()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Vary"] == "Origin"


def test_address_of_each_route_leads_back_to_it() -> None:
    for route in ROUTES:
        found = routes_at(f"https://eig.example/{path_of(route.name)}?x=1")
        assert found[route.method] is route


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/batches/uploads/items", names.GET_UPLOAD_SLOT),
        ("/api/v1/batches/x/items", names.LIST_BATCH_ITEMS),
        ("/API/V1/Generations/x/", names.GET_GENERATION),
        ("//api/v1//models", names.LIST_MODELS),
    ],
)
def test_literal_parts_of_an_address_come_first(path: str, name: str) -> None:
    assert routes_at(f"https://eig.example{path}")["GET"].name == name


@pytest.mark.parametrize("path", ["", "/", "/api/v1", "/api/v1/generations/x/y/z", "/models"])
def test_address_of_nothing_has_no_route(path: str) -> None:
    assert routes_at(f"https://eig.example{path}") == {}


def call_with(path_id: str = "x", content: bytes = b"") -> Call:
    """A request as the host hands it over: the id is decoded already."""
    request = func.HttpRequest(
        "PUT",
        "http://127.0.0.1/api/v1/users/x/status",
        headers={"Content-Type": "application/json"},
        route_params={"id": path_id},
        body=content,
    )
    return Call(request, "c", None)


@pytest.mark.parametrize(
    "path_id",
    [
        "",
        "/",
        "x/",
        "/x",
        "a/b",
        "x\\",
        "x?",
        "x#y",
        "x%2F",
        "x\x00",
        "x\n",
        "x\x85",
        " x",
        "x ",
        ".",
        "..",
        "../../etc",
        "x" * (PATH_ID_CHARS_MAX + 1),
    ],
)
def test_what_no_id_looks_like_is_nowhere(path_id: str) -> None:
    with pytest.raises(NotFound):
        call_with(path_id).path("id")


@pytest.mark.parametrize(
    "path_id",
    [
        "me",
        "202611",
        "custom:catalogue-pipeline",
        "a0000000-0000-4000-8000-000000000001",
        "202611-marketing-" + "f" * 32 + ".00017_0",
        "azure_openai:20261115:unmatched:0123456789abcdef:2",
        "cost_centre:" + "d" * 24 + "." + "c" * 64,
        "marketing.on-call",
        "x" * PATH_ID_CHARS_MAX,
    ],
)
def test_ids_of_ours_pass(path_id: str) -> None:
    assert call_with(path_id).path("id") == path_id


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/api/v1/generations?limit=1&limit=2"),
        ("GET", "/api/v1/generations?limit=1&LIMIT=2"),
        ("GET", "/api/v1/generations?limit&limit"),
        ("DELETE", "/api/v1/freezes/model:sdxl?reason=abc&reason=def"),
        ("POST", "/api/v1/generations?project=apollo"),
        ("GET", "/api/v1/models?x="),
        ("PUT", "/api/v1/roles/custom:x?dry_run=true"),
        ("GET", "/scim/v2/Users?filter=a&filter=b"),
        ("GET", "/openai/v1/models?a=1&a=1"),
        ("GET", "/api/v1/generations?batch_id=" + "x" * 8_192),
    ],
)
def test_parameter_that_comes_twice_or_at_a_route_without_any_is_refused(
    method: str, address: str
) -> None:
    with pytest.raises(Invalid):
        check_query(func.HttpRequest(method, f"http://127.0.0.1{address}", body=b""))


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/api/v1/generations?limit=1&since=2026-11-01"),
        ("POST", "/api/v1/estimates?project=apollo"),
        ("POST", "/api/v1/generations?"),
        ("GET", "/scim/v2/Users?filter=a&count=1"),
        ("POST", "/openai/v1/images/generations?api-version=preview"),
        ("GET", "/api/v1/nothing?x=1"),
    ],
)
def test_parameters_that_a_route_takes_pass(method: str, address: str) -> None:
    check_query(func.HttpRequest(method, f"http://127.0.0.1{address}", body=b""))


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b'{"status":"active","status":"disabled"}', ["/status"]),
        (b'{"status":"disabled","\\u0073tatus":"disabled"}', ["/status"]),
        (b'{"status":"active","reason":"a","reason":"a"}', ["/reason"]),
    ],
)
def test_body_that_says_something_twice_is_refused(content: bytes, fields: list[str]) -> None:
    with pytest.raises(Invalid) as refusal:
        call_with(content=content).body(StatusRequest)
    assert refusal.value.problem_code == "invalid_json"
    assert [each.field for each in refusal.value.faults] == fields


def test_body_that_says_each_thing_once_is_read() -> None:
    body = call_with(content=b'{"status":"active","reason":"back again"}').body(StatusRequest)
    assert (body.status, body.reason) == ("active", "back again")


def test_error_of_provisioning_has_the_form_of_the_protocol_and_no_422() -> None:
    answer = scim_problem(Invalid("Not so."))
    assert (answer.status_code, answer.mimetype) == (400, "application/scim+json")
    assert json.loads(answer.get_body())["detail"] == "Not so."
    assert SECRET.encode() not in scim_problem(InvariantBroken(SECRET)).get_body()


def test_etag_that_was_read_is_understood_and_nothing_stored_has_none() -> None:
    assert etag_of(0) == {}
    for revision in (1, 12_345):
        request = func.HttpRequest(
            "PUT", "/x", headers={"If-Match": etag_of(revision)["ETag"]}, body=b""
        )
        assert expected_revision(Call(request, "c", None)) == revision
