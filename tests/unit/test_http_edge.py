"""The edge without a host: what is accepted, what errors tell, and which row an address has."""

import json

import azure.functions as func
import pytest

from functions import names
from functions.http_addresses import routes_at
from functions.http_routes import ROUTES, path_of
from functions.http_support import accepts, handle, problem_response
from shared.errors import EigError, InvariantBroken, Unavailable

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
