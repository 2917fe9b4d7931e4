"""Who gets in, and who sees what."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from devhost.local_settings import home_tenant_id, people
from functions import names
from functions.http_routes import API, ROUTES, SCIM, Route
from tests.integration.api import Json, Person, order
from tests.integration.cloud import Cloud, organisation

GHOST = "202611-marketing-00000000000000000000000000000000"
PROTECTED = [route for route in ROUTES if not route.public and route.root == API]
FOREIGN_TENANT_ID = people()["tenants"][1]["id"]


def path_of(route: Route) -> str:
    known = {"scope": "user:me", "id": GHOST}
    return "/" + re.sub(r"{(\w+)}", lambda name: known.get(name[1], "none"), route.path)


def test_routes_are_those_under_the_prefix_that_clients_use() -> None:
    assert API == "api/v1/"


def test_only_these_routes_are_public() -> None:
    # Provisioning and the bootstrap have secrets of their own instead.
    public = {route.name for route in ROUTES if route.public and route.root != SCIM}
    assert public == {
        names.BOOTSTRAP,
        names.HEALTH_LIVE,
        names.HEALTH_READY,
        names.OPENAPI,
        names.LIST_KEYS,
        names.RECEIVE_REPLICATE_WEBHOOK,
        names.SIGN_IN,
        names.SIGN_IN_CALLBACK,
    }


@pytest.mark.parametrize("route", PROTECTED, ids=lambda route: route.name)
async def test_no_token_answers_401(nobody: Person, route: Route) -> None:
    body: Json | None = {} if route.method in ("POST", "PUT") else None
    answer = await nobody.send(route.method, path_of(route), json=body)
    answer.problem(401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a.b.c",
        "Bearer abc",
        "Basic YXZhOng=",
        "Bearer " + "a" * 7000,
    ],
    ids=lambda value: value[:12],
)
async def test_no_usable_token_answers_401(nobody: Person, authorization: str) -> None:
    answer = await nobody.send("GET", "/models", headers={"Authorization": authorization})
    answer.problem(401, "unauthenticated")


NOW_S = int(time.time())
BAD_TOKENS: dict[str, dict[str, Any]] = {
    "expired": {"claims": {"exp": NOW_S - 3_600, "nbf": NOW_S - 7_200, "iat": NOW_S - 7_200}},
    "not_yet_valid": {"claims": {"nbf": NOW_S + 3_600}},
    "other_audience": {"claims": {"aud": "00000003-0000-0000-c000-000000000000"}},
    "other_issuer": {"claims": {"iss": "https://login.attacker.invalid/v2.0"}},
    "foreign_tenant": {"user": "zoe", "tenant": FOREIGN_TENANT_ID},
    "foreign_tenant_claim": {"claims": {"tid": FOREIGN_TENANT_ID}},
    "unpublished_key": {"key": "other"},
    "no_signature": {"alg": "none", "key": "none"},
    "public_key_as_secret": {"alg": "HS256", "key": "hs256-public"},
    "key_of_the_token_itself": {"header": {"jku": "https://keys.attacker.invalid"}, "key": "other"},
    "no_scope": {"claims": {"scp": None}},
    "other_scope": {"claims": {"scp": "User.Read"}},
    "app_only": {"claims": {"idtyp": "app"}},
    "no_object_id": {"claims": {"oid": None}},
    "object_id_of_another_shape": {"claims": {"oid": "../../etc"}},
    "old_version": {"claims": {"ver": "1.0"}},
}


@pytest.mark.parametrize("fields", BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_token_that_is_not_right_answers_401(cloud: Cloud, fields: dict[str, Any]) -> None:
    person = await cloud.minted(**fields)
    (await person.get("/models")).problem(401, "unauthenticated")


@pytest.mark.parametrize("roles", [[], ["Reader"], ["SuperAdmin"]])
async def test_roles_of_a_token_play_no_part(cloud: Cloud, roles: list[str]) -> None:
    person = await cloud.minted(claims={"roles": roles})  # a Standard User of our directory
    assert (await person.get("/models")).status == 200
    (await person.get("/freezes")).problem(403, "policy_denied")


async def test_person_outside_the_directory_answers_403(cloud: Cloud) -> None:
    stranger = await cloud.minted(claims={"oid": "a0000000-0000-4000-8000-00000000dead"})
    (await stranger.get("/models")).problem(403, "unknown_user")
    (await stranger.post("/generations", order())).problem(403, "unknown_user")


@pytest.fixture
async def pipeline(cloud: Cloud) -> Person:
    """An app with a token of its own, which names no person."""
    form = {"grant_type": "client_credentials", "client_id": people()["pipelines"][0]["client_id"]}
    url = f"{cloud.simulators_url}/{home_tenant_id()}/oauth2/v2.0/token"
    async with cloud.session.post(url, data=form) as answer:
        return cloud.with_token(str((await answer.json())["access_token"]))


async def test_app_only_token_generates_for_its_department(pipeline: Person) -> None:
    assert (await pipeline.get("/models")).status == 200
    made = await pipeline.generate(order())
    assert made["status"] == "succeeded"
    assert (await pipeline.get(f"/generations/{made['id']}")).status == 200


@pytest.mark.parametrize(
    "route",
    [route for route in PROTECTED if not route.lets_apps_in],
    ids=lambda route: route.name,
)
async def test_app_only_token_is_refused_where_people_decide(
    pipeline: Person, route: Route
) -> None:
    body: Json | None = {} if route.method in ("POST", "PUT") else None
    answer = await pipeline.send(route.method, path_of(route), json=body)
    answer.problem(403, "users_only")


async def test_rotated_signing_key_is_found(cloud: Cloud, own_cloud: Cloud) -> None:
    await own_cloud._control("POST", "keys/rotate", {})
    person = cloud.with_token(await cloud.access_token("ava"))
    assert (await person.get("/models")).status in (200, 401)
    # The app asks for unknown keys at most every five minutes; tokens of the old key stay good.
    assert (await (await cloud.person("ava")).get("/models")).status == 200


async def test_department_comes_from_the_directory_never_from_the_request(ava: Person) -> None:
    headers = {"X-Department": "design", "X-Department-Id": "design"}
    (await ava.post("/generations?department_id=design", order())).problem(422, "invalid")
    shown = (await ava.post("/generations", order(), headers)).json(202)
    assert shown["department_id"] == "marketing"
    (await ava.post("/generations", order(department_id="design"))).problem(422, "invalid")


@pytest.fixture(scope="module")
async def things(ava: Person) -> dict[str, str]:
    """The paths of one thing of each kind, all ava's."""
    generation, batch, slot = await asyncio.gather(
        ava.generate(order()),
        ava.run_batch([order()]),
        ava.post("/batches/uploads", {"file_name": "rows.csv"}),
    )
    image = generation["images"][0]["id"]
    return {
        "generation": f"/generations/{generation['id']}",
        "row": f"/generations/{batch['id']}.00001",
        "image": f"/images/{image}",
        "content": f"/images/{image}/content",
        "link": f"/images/{image}/content?delivery=link",
        "batch": f"/batches/{batch['id']}",
        "items": f"/batches/{batch['id']}/items",
        "receipt": f"/batches/{batch['id']}/receipt",
        "receipt_csv": f"/batches/{batch['id']}/receipt?format=csv",
        "slot": f"/batches/uploads/{slot.json(201)['id']}",
    }


@pytest.mark.parametrize(
    ("username", "sees"),
    [
        ("ava", True),  # the owner
        ("ben", False),  # same department, same role
        ("mia", True),  # Dept Manager of the department
        ("finn", False),  # another department
        ("pat", False),  # Power User of another department
        ("olga", True),  # Org Admin
        ("sam", True),  # Super Admin
    ],
)
async def test_own_things_department_things_and_all_things(
    cloud: Cloud, things: dict[str, str], username: str, sees: bool
) -> None:
    person = await cloud.person(username)
    for path in things.values():
        answer = await person.get(path)
        assert answer.status == (200 if sees else 404), path
        if not sees:
            answer.problem(404, "not_found")


async def test_manager_of_another_department_sees_nothing(
    own_cloud: Cloud, things: dict[str, str]
) -> None:
    file = organisation("neighbours", 1_000_000, [0], ["DeptManager"])
    await own_cloud.seed(file)
    manager = await own_cloud.minted(claims={"oid": file["users"][0]["object_id"]})
    for path in things.values():
        assert (await manager.get(path)).status == 404, path


async def test_others_cannot_cancel_what_they_cannot_see(
    ben: Person, finn: Person, things: dict[str, str]
) -> None:
    for person in (ben, finn):
        (await person.delete(things["generation"])).problem(404, "not_found")
        (await person.delete(things["batch"])).problem(404, "not_found")


async def test_hidden_thing_answers_like_an_unknown_one(
    ben: Person, things: dict[str, str]
) -> None:
    hidden = (await ben.get(things["generation"])).problem(404, "not_found")
    unknown = (await ben.get(f"/generations/{GHOST}")).problem(404, "not_found")
    assert {**hidden, "instance": ""} == {**unknown, "instance": ""}


@pytest.fixture
async def foreign_record(ledger: Cloud, ava: Person) -> Any:
    """A generation of another tenant that lies in the same partition of the ledger."""
    own = (await ava.generate(order()))["id"]
    container = ledger.container("ledger")
    [record] = await ledger.documents("ledger", "c.id = @id", id=f"g:{own}")
    foreign_id = own[:-4] + "ffff"
    foreign: Json = {key: value for key, value in record.items() if not key.startswith("_")}
    foreign |= {
        "id": f"g:{foreign_id}",
        "generation_id": foreign_id,
        "tenant_id": FOREIGN_TENANT_ID,
        "user_key": record["user_key"].replace(home_tenant_id(), FOREIGN_TENANT_ID),
        # Nobody here has the key of a person of that tenant: the texts are put in clear.
        "request": record["request"] | {"prompt": "theirs", "negative_prompt": None},
        "prompt_salt": "00" * 16,
    }
    await container.create_item(foreign)
    yield foreign_id
    await container.delete_item(foreign["id"], partition_key=foreign["pk"])


async def test_things_of_another_tenant_do_not_exist_for_anybody(
    ava: Person, mia: Person, olga: Person, foreign_record: str
) -> None:
    for person in (ava, mia, olga):
        for path in (f"/generations/{foreign_record}", f"/images/{foreign_record}_0"):
            (await person.get(path)).problem(404, "not_found")
        listed = await person.listed("/generations", limit="100")
        assert foreign_record not in {item["id"] for item in listed}
