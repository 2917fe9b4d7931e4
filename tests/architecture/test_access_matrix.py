"""Every route stands in the reviewed matrix, and the matrix contradicts no principle.

What the app answers is measured in `tests/integration/test_access_matrix.py`.
"""

from itertools import pairwise

from functions import names
from functions.http_routes import ROUTES
from tests.access_matrix import agreed
from tests.integration.access_stage import RULED, scopes_of


def test_every_route_with_a_caller_has_its_rows_and_no_other_has() -> None:
    wanted = {(route.name, scope) for route in RULED for scope in scopes_of(route)}
    assert set(agreed()) == wanted


def test_higher_role_is_never_refused_what_a_lower_one_is_given() -> None:
    for (route, scope), words in agreed().items():
        if route == names.CREATE_GRANT or scope == "own":
            continue  # nobody grants, or changes an account, for themselves
        for lower, higher in pairwise(words):
            assert not (lower == "allow" and higher != "allow"), (route, scope)


def test_nothing_of_another_tenant_is_ever_allowed() -> None:
    for (route, scope), words in agreed().items():
        if scope == "foreign":
            assert "allow" not in words, route


def test_public_routes_are_the_only_ones_without_rows() -> None:
    assert {route.name for route in ROUTES} - {name for name, _ in agreed()} == {
        route.name for route in ROUTES if route.public
    }
