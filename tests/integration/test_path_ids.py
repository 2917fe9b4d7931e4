"""Ids in addresses: what no id looks like is nowhere, on every route and in its form of errors."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from devhost.local_settings import LOCAL_SCIM_TOKENS
from functions.http_operations import OPERATIONS
from functions.http_routes import OPENAI, ROUTES, SCIM, Route, path_of
from functions.http_support import PATH_ID_CHARS_MAX
from shared.domain.scim import ERROR
from tests.integration.api import Answer, Json, Person
from tests.integration.cloud import Cloud, organisation

NAMING = tuple(route for route in ROUTES if "{" in route.path)
HOSTILE = (
    "{}%2F",
    "%2F{}",
    "{}%2Fb",
    "{}%5C",
    "{}%3F",
    "{}%23",
    "{}%00",
    "{}%0A",
    "{}%20",
    "%20{}",
    "{}%252F",
    "..%2f..%2f{}",
    "x" * (PATH_ID_CHARS_MAX + 1),
)
WHICHEVER = {"If-Match": "*"}


class Office:
    """A department of its own with an administrator of the organisation in it."""

    def __init__(self, cloud: Cloud, file: Json, admin: Person) -> None:
        self.department = str(file["departments"][0]["department_id"])
        self.admin_id, self.member_id = (str(each["object_id"]) for each in file["users"])
        self.admin, self.host = admin, Person(admin.session, cloud.host_url, admin.token)
        self.provisioning = Person(admin.session, cloud.host_url, LOCAL_SCIM_TOKENS[0])

    def known(self, route: Route) -> str:
        """An id that is there, as far as there is one."""
        first = route.path.partition("/")[0].lower()
        if first == "users":
            return self.member_id
        return "sdxl" if first == "models" else self.department

    async def send(self, route: Route, path_id: str) -> Answer:
        person = self.provisioning if route.root == SCIM else self.host
        example = OPERATIONS[route.name].example
        body: dict[str, Any] = {} if example is None else {"json": example}
        address = "/" + re.sub(r"{\w+}", lambda _: path_id, path_of(route.name))
        return await person.send(route.method, address, headers=WHICHEVER, **body)


@pytest.fixture(scope="module")
async def office(own_cloud: Cloud) -> Office:
    file = organisation(f"i{uuid4().hex[:10]}", 10**9, [10**9, 10**9], ["OrgAdmin"])
    for user in file["users"]:
        user["object_id"] = str(uuid4())
    await own_cloud.seed(file)
    admin = await own_cloud.minted(claims={"oid": file["users"][0]["object_id"]})
    return Office(own_cloud, file, admin)


@pytest.mark.parametrize("route", NAMING, ids=lambda route: route.name)
async def test_id_that_nothing_can_have_is_nowhere(
    own_cloud: Cloud, office: Office, route: Route
) -> None:
    for hostile in HOSTILE:
        answer = await office.send(route, hostile.format(office.known(route)))
        assert 400 <= answer.status < 500, (hostile, answer.status, answer.content)
        assert_form(answer, route)


def assert_form(answer: Answer, route: Route) -> None:
    if answer.status != 404:  # what was sent besides is looked at first
        return
    body = json.loads(answer.content)
    if route.root == SCIM:
        assert body["schemas"] == [ERROR] and body["status"] == "404"
    elif route.root == OPENAI:
        assert body["error"]["type"] == "invalid_request_error"
    else:
        answer.problem(404, "not_found")


@pytest.mark.parametrize("hostile", ["{}%2F", "%2F{}", "{}%252F", "{}%20"])
async def test_nobody_changes_their_own_account_by_another_spelling(
    own_cloud: Cloud, office: Office, hostile: str
) -> None:
    body = {"department": office.department, "role": "OrgAdmin", "display_name": "Renamed"}
    for spelling in (hostile.format(office.admin_id), quote(office.admin_id.upper())):
        answer = await office.admin.send("PUT", f"/users/{spelling}", json=body, headers=WHICHEVER)
        answer.problem(404, "not_found")
        (await office.admin.delete(f"/users/{spelling}")).problem(404, "not_found")
        (await office.admin.get(f"/users/{spelling}")).problem(404, "not_found")
    answer = await office.admin.send(
        "PUT", f"/users/{office.admin_id}", json=body, headers=WHICHEVER
    )
    answer.problem(403, "own_account")
    shown = (await office.admin.get(f"/users/{office.admin_id}")).json()
    assert (shown["revision"], shown["display_name"]) == (1, None)


async def test_department_with_people_is_closed_by_no_spelling(
    own_cloud: Cloud, office: Office
) -> None:
    for spelling in ("{}%2F", "%2F{}", "{}"):
        path = f"/departments/{spelling.format(office.department)}"
        answer = await office.admin.send("DELETE", path, headers=WHICHEVER)
        assert answer.status == (409 if spelling == "{}" else 404), answer.content
    shown = (await office.admin.get(f"/departments/{office.department}")).json()
    assert shown["status"] == "active"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_unknown_address_of_provisioning_is_told_in_the_words_of_the_protocol(
    own_cloud: Cloud, nobody: Person, method: str
) -> None:
    answer = await Person(nobody.session, own_cloud.host_url, None).send(method, "/scim/v2/Groups")
    assert answer.headers["Content-Type"] == "application/scim+json"
    assert answer.json(404)["schemas"] == [ERROR]
