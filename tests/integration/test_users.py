"""People, departments and roles over HTTP: who may change whom, and how fast it holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.api import Answer, Json, Person, order
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "gallery"
PLENTY = 50_000_000
NEWS = {"If-None-Match": "*"}
WHICHEVER = {"If-Match": "*"}
CLERK = ("users.read", "users.write", "roles.read", "roles.write", "departments.read")


def new_id() -> str:
    return str(uuid4())


@dataclass
class Gallery:
    cloud: Cloud
    admin: Person
    top: Person
    manager: Person
    member: Person
    ids: list[str]

    async def invited(self, **fields: Any) -> str:
        body = {"id": new_id(), "department": DEPARTMENT, "tier": "enterprise"} | fields
        return str((await self.admin.post("/users", body)).json(201)["id"])

    async def signed_in(self, object_id: str) -> Person:
        return await self.cloud.minted(claims={"oid": object_id})

    async def put(self, path: str, body: Json, headers: Json | None = None) -> Answer:
        return await self.admin.send("PUT", path, json=body, headers=headers or WHICHEVER)


@pytest.fixture(scope="module")
async def gallery(own_cloud: Cloud, olga: Person) -> AsyncIterator[Gallery]:
    file = organisation(DEPARTMENT, PLENTY, [PLENTY, PLENTY], ["DeptManager"])
    await own_cloud.seed(file)
    ids = [user["object_id"] for user in file["users"]]
    manager, member = [await own_cloud.minted(claims={"oid": each}) for each in ids]
    yield Gallery(own_cloud, olga, await own_cloud.person("sam"), manager, member, ids)


async def test_invited_person_is_let_in_and_disabled_one_at_once_no_longer(
    gallery: Gallery,
) -> None:
    object_id = await gallery.invited(display_name="Lee Ann", role="PowerUser")
    person = await gallery.signed_in(object_id)
    assert (await person.get("/models")).status == 200
    status = {"status": "disabled", "reason": "left"}
    await gallery.admin.send("PUT", f"/users/{object_id}/status", json=status)
    (await person.get("/models")).problem(403, "account_disabled")
    await gallery.admin.send("PUT", f"/users/{object_id}/status", json={"status": "active"})
    assert (await person.get("/models")).status == 200
    assert (await gallery.admin.delete(f"/users/{object_id}")).status == 204
    (await person.get("/models")).problem(403, "unknown_user")
    (await gallery.admin.get(f"/users/{object_id}")).problem(404, "not_found")


async def test_person_is_changed_under_the_revision_that_was_read(gallery: Gallery) -> None:
    object_id = await gallery.invited(display_name="Kim", email="kim@contoso.example")
    read = await gallery.admin.get(f"/users/{object_id}")
    assert (read.headers["ETag"], read.json()["email"]) == ('"1"', "kim@contoso.example")
    body: Json = {"department": DEPARTMENT, "role": "PowerUser"}
    changed = await gallery.put(f"/users/{object_id}", body, {"If-Match": '"1"'})
    assert (changed.json()["role"], changed.json()["email"]) == ("PowerUser", None)
    late = await gallery.put(f"/users/{object_id}", body, {"If-Match": '"1"'})
    late.problem(412, "precondition_failed")
    without = await gallery.admin.send("PUT", f"/users/{object_id}", json=body)
    without.problem(428, "precondition_required")
    for method, path, sent in (
        ("PUT", f"/users/{object_id}/status", {"status": "disabled"}),
        ("DELETE", f"/users/{object_id}", None),
    ):
        for header, *refusal in (('"1"', 412, "precondition_failed"), ("1", 422, "invalid")):
            answer = await gallery.admin.send(method, path, json=sent, headers={"If-Match": header})
            assert [answer.status, json.loads(answer.content)["code"]] == refusal
    told = (await gallery.admin.get(f"/users/{object_id}/history")).json()["items"]
    assert [each["action"] for each in told] == ["user.role_changed", "user.created"]


async def test_work_after_a_move_is_charged_to_the_new_department(gallery: Gallery) -> None:
    object_id = await gallery.invited()
    person = await gallery.signed_in(object_id)
    for department in (DEPARTMENT, "marketing"):
        path = f"/budgets/user:{object_id}"
        if department != DEPARTMENT:
            body = {"department": department, "tier": "enterprise"}
            assert (await gallery.put(f"/users/{object_id}", body)).status == 200
            (await person.post("/generations", order())).problem(403, "no_budget")
        await gallery.put(path, {"limit_micros": PLENTY}, NEWS)
        done = await person.generate(order())
        assert done["department_id"] == department
    both = await person.listed("/generations")
    assert [each["department_id"] for each in both] == ["marketing"]
    old = (await gallery.manager.get("/reports/spend", {"by": "user"})).json()
    assert any(object_id in json.dumps(row) for row in old["rows"])
    (await gallery.manager.get(f"/users/{object_id}")).problem(404, "not_found")


async def test_nobody_without_the_right_changes_or_sees_others(gallery: Gallery) -> None:
    body = {"id": new_id(), "department": DEPARTMENT}
    (await gallery.member.post("/users", body)).problem(403, "policy_denied")
    (await gallery.member.get("/users")).problem(403, "policy_denied")
    (await gallery.member.get(f"/users/{gallery.ids[0]}")).problem(404, "not_found")
    assert (await gallery.member.get("/users/me")).json()["id"] == gallery.ids[1]
    (await gallery.manager.post("/users", body | {"department": "design"})).problem(
        404, "not_found"
    )
    high = body | {"role": "DeptManager"}
    (await gallery.manager.post("/users", high)).problem(403, "role_too_high")
    (await gallery.admin.post("/users", high | {"role": "OrgAdmin"})).problem(403, "role_too_high")
    top = high | {"role": "SuperAdmin"}
    (await gallery.top.post("/users", top)).problem(403, "role_too_high")
    made = (await gallery.manager.post("/users", body | {"role": "PowerUser"})).json(201)
    assert (made["department_id"], made["role"]) == (DEPARTMENT, "PowerUser")


async def test_last_super_admin_stays(gallery: Gallery) -> None:
    sam = (await gallery.top.get("/users/me")).json()["id"]
    (await gallery.admin.delete(f"/users/{sam}")).problem(403, "role_too_high")
    (await gallery.top.delete(f"/users/{sam}")).problem(403, "own_account")


async def test_people_are_found_by_words_and_listed_in_pages(gallery: Gallery) -> None:
    word = f"w{uuid4().hex[:10]}"
    ids = sorted([await gallery.invited(display_name=f"{word} {n}") for n in range(3)])
    found = await gallery.admin.listed("/users", search=f"{word.upper()}", limit="2")
    assert sorted(each["id"] for each in found) == ids
    assert await gallery.manager.listed("/users", search=f"{word} 1", limit="100")
    assert await gallery.admin.listed("/users", search=f"{word[:5]}") == []
    hostile = await gallery.admin.get("/users", {"search": "' OR 1=1 --", "department": DEPARTMENT})
    assert hostile.json()["items"] == []
    (await gallery.admin.get("/users", {"role": "x' OR '1'='1"})).problem(422, "invalid")
    (await gallery.admin.get("/users", {"continuation": "nonsense"})).problem(422, "invalid")


async def test_import_is_tried_then_done_then_changes_nothing(gallery: Gallery) -> None:
    first, second = new_id(), new_id()
    rows = [
        "object_id,department,role,tier,display_name",
        f"{first},{DEPARTMENT},PowerUser,enterprise,Ann",
        f"{second},{DEPARTMENT},,,Bob",
        f"{new_id()},nowhere,,,Cat",
        f"{new_id()},{DEPARTMENT},SuperAdmin,,Dan",
        f"nobody,{DEPARTMENT},,,Eve",
    ]

    async def run(dry_run: str) -> Json:
        answer = await gallery.admin.send(
            "POST",
            "/users/imports",
            params={"dry_run": dry_run},
            data="\n".join(rows).encode(),
            headers={"Content-Type": "text/csv"},
        )
        return answer.json()

    tried = await run("true")
    assert (tried["created"], tried["failed"]) == (2, 3)
    assert {each["row"]: each["field"] for each in tried["errors"]} == {
        4: "department",
        5: "row",
        6: "object_id",
    }
    (await gallery.admin.get(f"/users/{first}")).problem(404, "not_found")
    done = await run("false")
    assert {**done, "dry_run": True} == tried
    assert (await gallery.admin.get(f"/users/{first}")).json()["role"] == "PowerUser"
    again = await run("false")
    assert (again["unchanged"], again["created"], again["updated"]) == (2, 0, 0)


async def test_departments_form_a_tree_without_a_ring_and_close_when_empty(
    gallery: Gallery,
) -> None:
    names = [f"d{uuid4().hex[:8]}" for _ in range(3)]
    parent: str | None = None
    for name in names:
        body = {"id": name, "name": name.title(), "parent": parent}
        assert (await gallery.admin.post("/departments", body)).status == 201
        parent = name
    ring = await gallery.put(f"/departments/{names[0]}", {"name": "x", "parent": names[2]})
    ring.problem(409, "department_ring")
    (await gallery.admin.post("/departments", {"id": names[0], "name": "x"})).problem(
        409, "already_exists"
    )
    shown = (await gallery.admin.get(f"/departments/{names[1]}")).json()
    assert (shown["parent_id"], shown["parts"]) == (names[0], [names[2]])
    closing = await gallery.admin.send("DELETE", f"/departments/{names[1]}", headers=WHICHEVER)
    closing.problem(409, "has_parts")
    someone = await gallery.invited(department=names[2])
    closing = await gallery.admin.send("DELETE", f"/departments/{names[2]}", headers=WHICHEVER)
    closing.problem(409, "has_people")
    await gallery.admin.delete(f"/users/{someone}")
    closing = await gallery.admin.send("DELETE", f"/departments/{names[2]}", headers=WHICHEVER)
    assert closing.status == 204
    body = {"id": new_id(), "department": names[2]}
    (await gallery.admin.post("/users", body)).problem(404, "not_found")
    told = (await gallery.admin.get(f"/departments/{names[2]}/history")).json()["items"]
    assert [each["action"] for each in told] == ["department.closed", "department.created"]


async def test_department_shows_managers_projects_and_cost_centres(gallery: Gallery) -> None:
    for scope in ("project:atlas", "cost_centre:cc7"):
        body: Json = {"limit_micros": PLENTY}
        answer = await gallery.manager.send("PUT", f"/budgets/{scope}", json=body, headers=NEWS)
        assert answer.status == 200
    shown = (await gallery.member.get(f"/departments/{DEPARTMENT}")).json()
    assert (shown["managers"], shown["projects"]) == ([gallery.ids[0]], ["atlas"])
    assert shown["cost_centres"] == ["cc7"]
    (await gallery.member.get("/departments/design")).problem(404, "not_found")
    listed = (await gallery.member.get("/departments")).json()["items"]
    assert [each["id"] for each in listed] == [DEPARTMENT]


async def test_custom_role_allows_what_it_names_and_nothing_else(gallery: Gallery) -> None:
    role_id = f"custom:r{uuid4().hex[:8]}"
    role: Json = {
        "name": "Auditor",
        "rank": "StandardUser",
        "permissions": {"generations.read": "organisation"},
    }
    assert (await gallery.put(f"/roles/{role_id}", role, NEWS)).status == 200
    object_id = await gallery.invited(role=role_id)
    auditor = await gallery.signed_in(object_id)
    theirs = await gallery.member.generate(order())
    assert (await auditor.get(f"/generations/{theirs['id']}")).status == 200
    (await auditor.delete(f"/generations/{theirs['id']}")).problem(404, "not_found")
    (await auditor.post("/generations", order())).problem(403, "policy_denied")
    narrower = role | {"permissions": {"generations.create": "own"}}
    assert (await gallery.put(f"/roles/{role_id}", narrower)).status == 200
    (await auditor.get(f"/generations/{theirs['id']}")).problem(404, "not_found")
    in_use = await gallery.admin.send("DELETE", f"/roles/{role_id}", headers=WHICHEVER)
    in_use.problem(409, "in_use")


async def test_role_wider_or_higher_than_its_makers_is_refused(gallery: Gallery) -> None:
    path, clerk_id = f"/roles/custom:r{uuid4().hex[:8]}", f"custom:c{uuid4().hex[:8]}"
    role: Json = {"name": "x", "rank": "OrgAdmin", "permissions": {}}
    (await gallery.put(path, role, NEWS)).problem(403, "role_too_high")
    denied = await gallery.manager.send("PUT", path, json=role, headers=WHICHEVER)
    denied.problem(403, "policy_denied")
    # A clerk with the rank of an administrator, who looks after accounts and roles alone.
    narrow: Json = role | {"permissions": dict.fromkeys(CLERK, "organisation")}
    made = await gallery.top.send("PUT", f"/roles/{clerk_id}", json=narrow, headers=NEWS)
    assert made.status == 200, made.content
    body: Json = {"id": new_id(), "department": DEPARTMENT, "role": clerk_id}
    clerk = await gallery.signed_in((await gallery.top.post("/users", body)).json(201)["id"])
    wide: Json = {"name": "x", "rank": "PowerUser", "permissions": {"generations.read": "own"}}
    refused = await clerk.send("PUT", path, json=wide, headers=NEWS)
    refused.problem(403, "role_too_wide")
    someone = body | {"id": new_id(), "role": "StandardUser"}
    (await clerk.post("/users", someone)).problem(403, "role_too_wide")
    own = await clerk.send("PUT", f"/roles/{clerk_id}", json=wide, headers=WHICHEVER)
    own.problem(403, "own_role")


async def test_each_change_and_denial_is_in_the_audit_log(gallery: Gallery) -> None:
    object_id = await gallery.invited()
    body = {"id": object_id, "department": DEPARTMENT}
    await gallery.member.post("/users", body)
    found = [
        *await gallery.cloud.documents(
            "directory", "c.event.object_id = @id", id=f"user:{object_id}"
        ),
        *await gallery.cloud.documents("audit", "c.event.object_id = @id", id=f"user:{object_id}"),
    ]
    told = {(each["event"]["action"].split(".")[1], each["event"]["outcome"]) for each in found}
    assert told == {("created", "success"), ("change_denied", "denied")}
