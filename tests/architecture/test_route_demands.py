"""What the route table demands of callers is what the handlers ask for."""

import ast
from collections.abc import Iterator
from pathlib import Path

from functions import names
from functions.http_routes import BY_NAME, ROUTES

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"


def handlers() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    """Each HTTP handler with the name of its function."""
    for path in FUNCTIONS.glob("http_*.py"):
        if path.stem == "http_unknown":
            continue  # it answers what stands in no table
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if (
                        isinstance(decorator, ast.Call)
                        and ast.unparse(decorator.func) == "bp.function_name"
                    ):
                        constant = ast.unparse(decorator.args[0]).removeprefix("names.")
                        yield getattr(names, constant), node


def handle_call(handler: ast.AsyncFunctionDef) -> dict[str, str]:
    """The keyword arguments of the handler's one call of `handle`."""
    (call,) = [
        node
        for node in ast.walk(handler)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "handle"
    ]
    return {str(each.arg): ast.unparse(each.value) for each in call.keywords}


def test_route_that_asks_for_more_is_named_by_its_handler() -> None:
    found = {name: handle_call(handler) for name, handler in handlers()}
    assert set(found) == set(BY_NAME)
    for name, keywords in found.items():
        said = keywords.get("route")
        assert said is None or getattr(names, said.removeprefix("names.")) == name, name
        row = BY_NAME[name]
        if row.lets_apps_in or row.steps_up or row.rotates:
            assert said is not None, f"{name} must pass route=names.…"


def test_public_route_is_public_in_both_places() -> None:
    for name, handler in handlers():
        assert (handle_call(handler).get("public") == "True") == BY_NAME[name].public, name


def test_public_routes_demand_nothing() -> None:
    for route in ROUTES:
        if route.public:
            assert not (route.lets_apps_in or route.steps_up or route.rotates)


# Budget changes, overrides, role changes, key operations, erasure, and what decides on them.
MORE_PROOF = {
    names.RELEASE_IMAGE,
    names.PUT_RETENTION,
    names.PUT_BUDGET,
    names.DELETE_BUDGET,
    names.PUT_ORGANISATION_BUDGET,
    names.MOVE_ALLOCATION,
    names.LIFT_FREEZE,
    names.PUT_ALERT_CHANNEL,  # its answer holds a new key that signs notices
    names.DELETE_ALERT_CHANNEL,  # without it nobody is told of what comes
    names.CREATE_GRANT,
    names.END_GRANT,
    names.CREATE_OVERRIDE,
    names.DECIDE_ON_APPROVAL,  # raises the limits of whoever asked
    names.CLOSE_PERIOD,
    names.CLOSE_CASE,
    names.PUT_ROUTING_POLICY,
    names.PUT_PRIVACY_POLICY,
    names.CREATE_PRIVACY_OVERRIDE,
    names.APPROVE_PRIVACY_OVERRIDE,
    names.REVOKE_USER_SESSIONS,
    names.CREATE_USER,
    names.IMPORT_USERS,
    names.PUT_USER,
    names.PUT_USER_STATUS,
    names.DELETE_USER,
    names.PUT_ROLE,
    names.DELETE_ROLE,
    names.PUT_MODEL_RULES,
}
# Changes that being signed in is enough for.
SIGNED_IN = {
    # work, within limits that others set
    names.SUBMIT_GENERATION,
    names.CANCEL_GENERATION,
    names.REHYDRATE_IMAGE,
    names.SUBMIT_BATCH,
    names.CREATE_UPLOAD_SLOT,
    names.CANCEL_BATCH,
    names.ESTIMATE,
    names.SCREEN_TEXT,
    names.OPENAI_GENERATE,
    # what only stops or keeps, and must not wait for a sign-in
    names.HOLD_IMAGE,
    names.SET_FREEZE,
    names.END_PRIVACY_OVERRIDE,
    # one's own sessions
    names.REFRESH_SESSION,
    names.SIGN_OUT,
    names.REVOKE_SESSION,
    names.REVOKE_SESSIONS,
    # neither money nor rights: a ping, names and the tree, a check that each night makes too
    names.TEST_ALERT_CHANNEL,
    names.CREATE_DEPARTMENT,
    names.PUT_DEPARTMENT,
    names.CLOSE_DEPARTMENT,
    names.RECONCILE,
}


def test_what_moves_money_limits_or_rights_asks_for_more_proof() -> None:
    assert {route.name for route in ROUTES if route.steps_up} == MORE_PROOF


def test_every_change_was_decided_on() -> None:
    changes = {route.name for route in ROUTES if route.method != "GET" and not route.public}
    assert changes == MORE_PROOF | SIGNED_IN
    assert not MORE_PROOF & SIGNED_IN
