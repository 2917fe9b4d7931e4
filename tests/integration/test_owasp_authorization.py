"""OWASP API Security Top 10 (2023), the three risks of authorisation: API1, API3 and API5.

Roles and scopes one by one are in `test_access_matrix.py`; here is what an attacker would try.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from functions import names
from functions.http_operations import OPERATIONS
from functions.http_routes import API, Route, path_of
from shared.domain.identity import (
    Caller,
    Ownership,
    Permission,
    Principal,
    Reach,
    Rights,
    Role,
    may,
)
from tests.access_matrix import ROLES, agreed
from tests.integration.access_stage import (
    PERIOD,
    RULED,
    Stage,
    Things,
    build_stage,
    strike_stage,
)
from tests.integration.api import Answer, Json, Person
from tests.integration.cloud import Cloud

# Names of what is stored and never shown; see the adapters' documents.
INTERNAL = {
    "_etag",
    "_rid",
    "_self",
    "_ts",
    "lookups",
    "pk",
    "prompt_sealed",
    "sealed",
    "search_keys",
    "secret_sha256",
    "schema_version",
    "user_key",
    "wrapped_key",
}
IMMUTABLE: Json = {"tenant_id": "x", "user_key": "x", "is_admin": True, "status": "succeeded"}
BY_ID = tuple(
    route
    for route in RULED
    # The target of a freeze and a role are names within the caller's own tenant.
    if route.root == API and "{" in route.path and not route.path.startswith(("freezes/", "roles/"))
)


@pytest.fixture(scope="module")
async def stage(own_cloud: Cloud, olga: Person) -> AsyncIterator[Stage]:
    built = await build_stage(own_cloud, olga)
    yield built
    await strike_stage(built)


def unknown() -> Things:
    """Ids of the right form that nobody has."""
    ghost = uuid4().hex
    department = f"z{ghost[:12]}"
    operation = f"{PERIOD}-{department}-{ghost}"
    kinds = ("generation", "batch", "slot", "grant", "approval", "override", "target")
    ids = dict.fromkeys(kinds, operation) | {"image": f"{operation}_0"}
    return Things(department, str(uuid4()), ids)


def told(answer: Answer) -> Json:
    """A refusal without what differs from request to request."""
    document: Json = json.loads(answer.content)
    return {**document, "instance": ""}


async def test_api1_broken_object_level_authorization(stage: Stage) -> None:
    """Things of another department and of another tenant answer like those that do not exist."""
    agreement, hidden = agreed(), 0
    for role, victim in (
        ("StandardUser", stage.shared),
        ("PowerUser", stage.shared),
        ("DeptManager", stage.shared),
        ("OrgAdmin", stage.foreign),
        ("SuperAdmin", stage.foreign),
    ):
        attacker = stage.away[role]
        for route in BY_ID:
            answer = await stage.exchange(attacker, route, victim)
            scope = "other" if victim is stage.shared else "foreign"
            word = agreement[route.name, scope][ROLES.index(role)]
            if answer.status != 404:
                refused = answer.status == 403 and word != "404"
                assert refused or word == "allow", (role, route.name, answer.status)
                continue
            ghost = await stage.exchange(attacker, route, unknown())
            assert (ghost.status, told(ghost)) == (404, told(answer)), (role, route.name)
            hidden += 1
    assert hidden > 100


def keys_of(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from keys_of(value)


async def test_api3_broken_object_property_level_authorization(stage: Stage) -> None:
    """No answer shows what is only stored, and no body sets what is not its caller's to set."""
    shown = 0
    for role in ("StandardUser", "DeptManager", "SuperAdmin"):
        answers = await asyncio.gather(
            *(
                stage.exchange(stage.home[role], route, stage.own[role])
                for route in RULED
                if route.method == "GET" and route.root == API
            )
        )
        for answer in answers:
            if answer.headers.get("Content-Type", "").startswith("application/json"):
                assert set(keys_of(json.loads(answer.content))) & INTERNAL == set()
                shown += answer.status == 200
    assert shown > 40
    admin = Person(stage.admin.session, stage.cloud.host_url, stage.admin.token)
    for route in RULED:
        operation = OPERATIONS[route.name]
        if operation.body is None or route.root != API or route.name == names.IMPORT_USERS:
            continue
        for name, value in IMMUTABLE.items():
            if name in operation.body.model_fields:
                continue
            answer = await admin.send(
                route.method,
                stage.shared.fill(route),
                json={**(operation.example or {}), name: value},
                headers={"If-Match": '"999999999"'} if operation.conditional else None,
            )
            assert answer.status == 422, (route.name, name, answer.status)
            assert f"/{name}" in answer.fields(), (route.name, answer.content)


def least_refused() -> list[Route]:
    """What a Standard User is refused in their own department."""
    return [route for route in RULED if agreed()[route.name, "department"][0] in ("403", "404")]


OVERRIDES = (
    {"X-HTTP-Method-Override": "GET"},
    {"X-Original-URL": "/api/v1/models", "X-Rewrite-URL": "/api/v1/models"},
    {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"},
    {"X-MS-CLIENT-PRINCIPAL": "eyJyb2xlcyI6WyJTdXBlckFkbWluIl19", "X-User-Role": "SuperAdmin"},
)


async def test_api5_broken_function_level_authorization(stage: Stage, nobody: Person) -> None:
    """Nobody climbs by headers that other servers believe, and no right is a default."""
    anybody = stage.home["StandardUser"]
    routes = least_refused()
    assert len(routes) > 50
    for number, route in enumerate(routes):
        address = f"/{path_of(route.name)}"
        headers = OVERRIDES[number % len(OVERRIDES)]
        for claimed in ({}, headers):
            climbed = await stage.exchange(anybody, route, stage.shared, claimed)
            assert climbed.status in (403, 404), (route.name, climbed.status, claimed)
        unsigned = Person(nobody.session, stage.cloud.host_url, None)
        assert (await unsigned.send(route.method, address, headers=headers)).status == 401


@pytest.mark.parametrize("permission", list(Permission))
def test_api5_broken_function_level_authorization_denies_what_no_rule_allows(
    permission: Permission,
) -> None:
    principal = Principal("t", "o", Role.SUPER_ADMIN)  # the rank alone opens nothing
    powerless = Caller(principal, "marketing", rights=Rights("custom:nothing", {}))
    assert powerless.reach(permission) is Reach.NONE
    assert not may(powerless, permission, Ownership("t", "marketing", powerless.key))
