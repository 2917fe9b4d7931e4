"""Provisioning over HTTP as Entra does it, the bootstrap, and rules of models on their routes."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from devhost.local_settings import LOCAL_BOOTSTRAP_SECRET, LOCAL_SCIM_TOKENS, people
from functions.http_routes import ROUTES, SCIM, Route
from shared.domain.scim import CORE, ENTERPRISE, ERROR, PATCH_OP
from tests.integration.api import Answer, Json, Person, order
from tests.integration.cloud import Cloud

SCIM_JSON = "application/scim+json"
WHICHEVER = {"If-Match": "*"}
PLENTY: Json = {"limit_micros": 50_000_000}


class Provider:
    """Entra's provisioning service."""

    def __init__(self, cloud: Cloud, token: str = LOCAL_SCIM_TOKENS[0]) -> None:
        self.cloud = cloud
        self.person = Person(cloud.session, f"{cloud.host_url}/scim/v2", token)

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": SCIM_JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await self.person.send(method, path, data=data, headers=sent)

    async def patch(self, object_id: str, *operations: Json, **headers: str) -> Answer:
        body = {"schemas": [PATCH_OP], "Operations": list(operations)}
        return await self.send("PATCH", f"/Users/{object_id}", body, **headers)


@pytest.fixture(scope="module")
def provider(own_cloud: Cloud) -> Provider:
    return Provider(own_cloud)


def somebody(object_id: str, **fields: Any) -> Json:
    return {
        "schemas": [CORE, ENTERPRISE],
        "externalId": object_id,
        "userName": f"{object_id}@contoso.example",
        "displayName": "Robin Ito",
        "active": True,
        "emails": [{"primary": True, "type": "work", "value": "robin@contoso.example"}],
        "meta": {"resourceType": "User"},
        ENTERPRISE: {"department": "Marketing"},
        **fields,
    }


async def test_person_is_provisioned_changed_disabled_and_deleted(provider: Provider) -> None:
    object_id = str(uuid4())
    query = f'/Users?filter=userName eq "{object_id}@contoso.example"'
    assert (await provider.send("GET", query)).json()["totalResults"] == 0
    made = await provider.send("POST", "/Users", somebody(object_id))
    shown = made.json(201)
    assert made.headers["Content-Type"].startswith(SCIM_JSON)
    assert made.headers["ETag"] == shown["meta"]["version"] == 'W/"1"'
    assert made.headers["Location"].endswith(f"/scim/v2/Users/{object_id}")
    assert (shown["id"], shown[ENTERPRISE]["department"]) == (object_id, "marketing")
    assert (await provider.send("POST", "/Users", somebody(object_id))).json(409)[
        "scimType"
    ] == "uniqueness"
    found = (await provider.send("GET", query)).json()
    assert [each["id"] for each in found["Resources"]] == [object_id]
    person = await provider.cloud.minted(claims={"oid": object_id})
    assert (await person.get("/models")).status == 200
    off = {"op": "Replace", "path": "active", "value": "False"}
    assert (await provider.patch(object_id, off)).json()["active"] is False
    (await person.get("/models")).problem(403, "account_disabled")
    stale = await provider.patch(object_id, off | {"value": "True"}, If_Match='W/"1"')
    assert stale.json(412)["status"] == "412"
    on = {"op": "Replace", "value": {"active": True, "displayName": "Robin I."}}
    assert (await provider.patch(object_id, on)).json()["displayName"] == "Robin I."
    assert (await person.get("/models")).status == 200
    fresh = await provider.send("GET", f"/Users/{object_id}", If_None_Match='W/"3"')
    assert fresh.status == 304
    assert (await provider.send("DELETE", f"/Users/{object_id}")).status == 204
    assert (await provider.send("GET", f"/Users/{object_id}")).json(404)["status"] == "404"
    (await person.get("/models")).problem(403, "unknown_user")


async def test_provider_says_what_it_supports_and_pages_people(provider: Provider) -> None:
    config = (await provider.send("GET", "/ServiceProviderConfig")).json()
    assert config["patch"]["supported"] and config["filter"]["supported"]
    types = (await provider.send("GET", "/ResourceTypes")).json()["Resources"]
    assert types[0]["schema"] == CORE
    schemas = (await provider.send("GET", "/Schemas")).json()["Resources"]
    assert {each["id"] for each in schemas} == {CORE, ENTERPRISE}
    page = (await provider.send("GET", "/Users?startIndex=2&count=3&attributes=userName")).json()
    assert (page["startIndex"], page["itemsPerPage"], len(page["Resources"])) == (2, 3, 3)
    assert set(page["Resources"][0]) <= {"schemas", "id", "meta", "userName"}


@pytest.mark.parametrize(
    ("method", "path", "body", "scim_type"),
    [
        ("GET", "/Users?filter=title pr", None, "invalidFilter"),
        ("GET", "/Users?count=many", None, "invalidValue"),
        ("POST", "/Users", {"schemas": [CORE], "userName": "x"}, "invalidValue"),
        ("POST", "/Users", {"userName": "x"}, "invalidSyntax"),
        ("POST", "/Users", [], "invalidSyntax"),
    ],
)
async def test_wrong_request_is_refused_in_the_words_of_the_protocol(
    provider: Provider, method: str, path: str, body: object, scim_type: str
) -> None:
    refused = (await provider.send(method, path, body)).json(400)
    assert (refused["scimType"], refused["status"]) == (scim_type, "400")


@pytest.mark.parametrize("route", [each for each in ROUTES if each.root == SCIM], ids=str)
async def test_every_route_of_provisioning_wants_its_token(own_cloud: Cloud, route: Route) -> None:
    path = "/" + route.path.replace("{id}", str(uuid4()))
    refused = await Provider(own_cloud, "local-scim-token-3").send(route.method, path, {})
    assert refused.json(401)["schemas"] == [ERROR]


@pytest.mark.parametrize("wrong", ["startIndex=--5", "startIndex=1.0", "count=x", "count=1e9"])
async def test_page_that_is_no_number_is_refused_in_the_words_of_the_protocol(
    provider: Provider, wrong: str
) -> None:
    assert (await provider.send("GET", f"/Users?{wrong}")).json(400)["scimType"] == "invalidValue"


async def test_only_the_provisioning_tokens_open_the_door(own_cloud: Cloud, olga: Person) -> None:
    assert (await Provider(own_cloud, LOCAL_SCIM_TOKENS[1]).send("GET", "/Users")).status == 200
    for token in ("", "local-scim-token-3", olga.token or ""):
        refused = await Provider(own_cloud, token).send("GET", "/Users")
        assert refused.json(401)["status"] == "401"
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    person = own_cloud.with_token(LOCAL_SCIM_TOKENS[0])  # nor does it open any other
    (await person.get("/users")).problem(401, "unauthenticated")


async def test_organisation_begins_once_and_this_one_has(own_cloud: Cloud) -> None:
    nobody = own_cloud.with_token(None)
    body: Json = {
        "super_admin": str(uuid4()),
        "department": "coup",
        "department_name": "Coup",
        "limit_micros": 1,
    }
    (await nobody.post("/bootstrap", body)).problem(401, "unauthenticated")
    headers = {"X-Bootstrap-Secret": LOCAL_BOOTSTRAP_SECRET}
    (await nobody.post("/bootstrap", body, headers)).problem(409, "already_begun")


@pytest.mark.parametrize("level", ["person", "role"])
@pytest.mark.parametrize("named", [{"models": {"gpt-image-2": "deny"}}, {"otherwise": "deny"}])
async def test_model_that_the_rules_deny_is_used_on_no_route(
    own_cloud: Cloud, olga: Person, level: str, named: Json
) -> None:
    object_id, role_id = str(uuid4()), f"custom:r{uuid4().hex[:8]}"
    rights = {"generations.create": "own", "batches.create": "own", "batches.read": "own"}
    role: Json = {"name": "Limited", "rank": "StandardUser", "permissions": rights}
    user: Json = {"id": object_id, "department": "marketing", "role": role_id}
    (role if level == "role" else user)["model_rules"] = named
    new = {"If-None-Match": "*"}
    assert (await olga.send("PUT", f"/roles/{role_id}", json=role, headers=new)).status == 200
    (await olga.post("/users", user)).json(201)
    await olga.send("PUT", f"/budgets/user:{object_id}", json=PLENTY, headers=new)
    person = await own_cloud.minted(claims={"oid": object_id})
    assert (await person.post("/generations", order())).status in (403, 422)
    assert (await person.post("/batches", {"items": [order()]})).status in (403, 422)
    openai = Person(person.session, f"{own_cloud.host_url}/openai/v1", person.token)
    asked = await openai.post("/images/generations", {"model": "gpt-image-2", "prompt": "a cat"})
    assert asked.status in (400, 403, 422)
    if level == "person":
        user["model_rules"] = {"models": {"gpt-image-2": "allow"}}
        del user["id"]
        await olga.send("PUT", f"/users/{object_id}", json=user, headers=WHICHEVER)
        assert (await person.post("/generations", order())).status == 202


async def test_pipeline_is_let_in_by_its_own_kind_of_token_alone(own_cloud: Cloud) -> None:
    pipeline, person = people()["pipelines"][0], people()["users"][0]
    app = {"idtyp": "app", "scp": None, "roles": pipeline["roles"]}
    allowed = await own_cloud.minted(claims={**app, "oid": pipeline["oid"]})
    assert (await allowed.post("/generations", order())).status == 202
    (await allowed.get("/users/me")).problem(403, "users_only")
    for claims in ({**app, "oid": person["oid"]}, {"oid": pipeline["oid"]}):
        stranger = await own_cloud.minted(claims=claims)
        (await stranger.get("/models")).problem(403, "unknown_user")
