"""Budgets as they are set: who may, under which condition, and what it does to spending."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.integration.api import Json, Person, order
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "printers"
AMPLE = 50_000_000


@dataclass(frozen=True)
class Team:
    """A department of its own: its manager, two members, and an Org Admin from elsewhere."""

    manager: Person
    member: Person
    other: Person
    admin: Person
    member_id: str


@pytest.fixture(scope="module")
async def team(own_cloud: Cloud, olga: Person) -> Team:
    file = organisation(DEPARTMENT, AMPLE, [AMPLE, AMPLE, AMPLE], ["DeptManager"])
    file["projects"] = [{"id": "atlas", "department_id": DEPARTMENT, "limit_micros": AMPLE}]
    file["cost_centres"] = [{"id": "cc100", "department_id": DEPARTMENT, "limit_micros": AMPLE}]
    file["users"][2]["cost_centre_id"] = "cc100"
    await own_cloud.seed(file)
    ids = [user["object_id"] for user in file["users"]]
    people = [await own_cloud.minted(claims={"oid": each}) for each in ids]
    return Team(people[0], people[1], people[2], olga, ids[1])


async def put(person: Person, scope: str, body: Json, **headers: str) -> Json:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await person.send("PUT", f"/budgets/{scope}", json=body, headers=sent)
    document = answer.json()
    assert answer.headers["ETag"] == f'"{document["revision"]}"'
    return document


async def test_project_and_cost_centre_are_charged_with_the_department(team: Team) -> None:
    ended = await team.other.generate(order(project="atlas"))
    assert ended["status"] == "succeeded"
    cost = ended["cost"]["amount_micros"]
    for scope in ("project:atlas", "cost_centre:cc100", "user:me"):
        budget = (await team.other.get(f"/budgets/{scope}")).json()
        assert (budget["spent_micros"], budget["reserved_micros"]) == (cost, 0), scope


async def test_project_without_money_refuses_and_charges_nobody(team: Team) -> None:
    await put(team.manager, "project:empty", {"limit_micros": 0}, If_None_Match="*")
    before = (await team.member.get("/budgets/user:me")).json()
    answer = await team.member.post("/generations", order(project="empty"))
    problem = answer.problem(402, "budget_exceeded")
    assert problem["scope"] == "project:empty"
    assert problem["available_micros"] == 0 < problem["needed_micros"]
    assert problem["overage"] == "refuse"
    assert (await team.member.get("/budgets/user:me")).json() == before


@pytest.mark.parametrize("field", ["project", "cost_centre"])
async def test_unknown_payer_is_refused_by_name(team: Team, field: str) -> None:
    answer = await team.member.post("/generations", order(**{field: "nobody"}))
    answer.problem(422, f"unknown_{field}")
    assert answer.fields() == {f"/{field}"}


async def test_change_needs_the_revision_that_was_read(team: Team) -> None:
    path = f"/budgets/user:{team.member_id}"
    body = {"limit_micros": AMPLE - 1}
    (await team.manager.send("PUT", path, json=body)).problem(428, "precondition_required")
    read = await team.manager.get(path)
    changed = await put(team.manager, f"user:{team.member_id}", body, If_Match=read.headers["ETag"])
    assert (changed["limit_micros"], changed["revision"]) == (
        AMPLE - 1,
        read.json()["revision"] + 1,
    )
    stale = {"If-Match": read.headers["ETag"]}
    answer = await team.manager.send("PUT", path, json=body, headers=stale)
    answer.problem(412, "precondition_failed")
    answer = await team.manager.send("PUT", path, json=body, headers={"If-None-Match": "*"})
    answer.problem(412, "precondition_failed")
    answer = await team.manager.send("PUT", path, json=body, headers={"If-Match": "7"})
    answer.problem(422, "invalid")


async def test_lowered_limit_is_accepted_and_refuses_new_holds(team: Team) -> None:
    spent = (await team.other.generate(order(project="atlas")))["cost"]["amount_micros"]
    lowered = await put(team.manager, "project:atlas", {"limit_micros": 1}, If_Match="*")
    assert lowered["spent_micros"] >= spent > lowered["limit_micros"] == 1
    assert lowered["available_micros"] == 0
    answer = await team.other.post("/generations", order(project="atlas"))
    assert answer.problem(402, "budget_exceeded")["scope"] == "project:atlas"
    raised = await put(team.manager, "project:atlas", {"limit_micros": AMPLE}, If_Match="*")
    assert raised["available_micros"] == AMPLE - raised["spent_micros"]
    assert (await team.other.generate(order(project="atlas")))["status"] == "succeeded"


async def test_soft_budget_allows_its_overdraft_and_no_more(team: Team) -> None:
    one = (await team.member.post("/estimates", order())).json()["quote"]["amount_micros"]
    soft = {"limit_micros": 0, "mode": "soft", "overdraft_micros": one}
    await put(team.manager, "project:soft", soft, If_None_Match="*")
    assert (await team.member.generate(order(project="soft")))["status"] == "succeeded"
    answer = await team.member.post("/generations", order(project="soft", count=2))
    assert answer.problem(402, "budget_exceeded")["scope"] == "project:soft"


async def test_warn_budget_allows_everything_and_counts_it(team: Team) -> None:
    body = {"limit_micros": 0, "mode": "warn"}
    await put(team.manager, "project:loud", body, If_None_Match="*")
    cost = (await team.member.generate(order(project="loud")))["cost"]["amount_micros"]
    budget = (await team.member.get("/budgets/project:loud")).json()
    assert (budget["spent_micros"], budget["mode"]) == (cost, "warn")


async def test_ended_budget_pays_for_nothing_new(team: Team) -> None:
    created = await put(team.manager, "project:brief", {"limit_micros": AMPLE}, If_None_Match="*")
    assert (await team.member.generate(order(project="brief")))["status"] == "succeeded"
    headers = {"If-Match": f'"{created["revision"]}"'}
    answer = await team.manager.send("DELETE", "/budgets/project:brief", headers=headers)
    assert answer.status == 204
    (await team.member.get("/budgets/project:brief")).problem(404, "not_found")
    answer = await team.member.post("/generations", order(project="brief"))
    answer.problem(402, "budget_exceeded")
    again = await put(team.manager, "project:brief", {"limit_micros": AMPLE}, If_None_Match="*")
    assert again["revision"] == created["revision"] + 2
    assert again["spent_micros"] > 0  # nothing was reset


async def test_department_period_changes_with_the_next_period(team: Team) -> None:
    scope = f"department:{DEPARTMENT}"
    body = {"limit_micros": AMPLE, "period": "quarter", "fiscal_start_month": 7}
    (await team.manager.send("PUT", f"/budgets/{scope}", json=body)).problem(
        428, "precondition_required"
    )
    answer = await team.manager.send(
        "PUT", f"/budgets/{scope}", json=body, headers={"If-Match": "*"}
    )
    answer.problem(403, "policy_denied")
    before = (await team.admin.get(f"/budgets/{scope}")).json()
    after = await put(team.admin, scope, body, If_Match="*")
    assert after["period"] == before["period"]
    assert [rule["period"] for rule in after["calendar"]] == ["month", "quarter"]
    assert after["calendar"][1]["from_month"].endswith(before["period_end"][5:7])
    answer = await team.manager.send(
        "PUT", "/budgets/project:atlas", json=body, headers={"If-Match": "*"}
    )
    assert answer.fields() == {"/period"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "/limit_micros"),
        ({"limit_micros": -1}, "/limit_micros"),
        ({"limit_micros": 1.5}, "/limit_micros"),
        ({"limit_micros": "5"}, "/limit_micros"),
        ({"limit_micros": 10**16}, "/limit_micros"),
        ({"limit_micros": 1, "mode": "loose"}, "/mode"),
        ({"limit_micros": 1, "overdraft_micros": 1}, ""),
        ({"limit_micros": 1, "rollover": "capped"}, ""),
        ({"limit_micros": 1, "alert_thresholds": [0]}, "/alert_thresholds/0"),
        ({"limit_micros": 1, "spent_micros": 0}, "/spent_micros"),
        ({"limit_micros": 1, "fiscal_start_month": 13}, "/fiscal_start_month"),
    ],
)
async def test_unusable_policy_names_the_field(team: Team, body: Json, field: str) -> None:
    answer = await team.manager.send(
        "PUT", "/budgets/project:atlas", json=body, headers={"If-Match": "*"}
    )
    answer.problem(422, "invalid")
    assert answer.fields() == {field or "/"}


async def test_nobody_sets_a_budget_above_their_place(team: Team, ava: Person) -> None:
    body = {"limit_micros": 1}
    match = {"If-Match": "*"}

    async def refused(person: Person, scope: str, status: int, code: str) -> None:
        answer = await person.send("PUT", f"/budgets/{scope}", json=body, headers=match)
        answer.problem(status, code)

    await refused(team.member, "project:atlas", 403, "policy_denied")
    await refused(team.member, f"department:{DEPARTMENT}", 403, "policy_denied")
    await refused(team.manager, "user:me", 403, "policy_denied")
    await refused(team.manager, "department:marketing", 404, "not_found")
    await refused(ava, f"user:{team.member_id}", 404, "not_found")
    await refused(team.admin, "project:atlas", 404, "not_found")  # of the admin's own department
    answer = await team.admin.send(
        "PUT", f"/budgets/project:atlas?department={DEPARTMENT}", json={"limit_micros": AMPLE},
        headers=match,
    )  # fmt: skip
    assert answer.json()["department_id"] == DEPARTMENT


async def test_list_shows_people_to_their_manager_only(team: Team) -> None:
    shown = (await team.manager.get("/budgets")).json()["items"]
    assert {item["scope"].partition(":")[0] for item in shown} == {
        "department", "user", "project", "cost_centre",
    }  # fmt: skip
    own = (await team.member.get("/budgets")).json()["items"]
    users = [item["scope"] for item in own if item["scope"].startswith("user:")]
    assert users == [f"user:{users[0][5:].partition('.')[0]}.{team.member_id}"]


async def test_change_is_audited_with_before_and_after(team: Team, own_cloud: Cloud) -> None:
    created = await put(team.manager, "project:noted", {"limit_micros": 5}, If_None_Match="*")
    body = {"limit_micros": 7, "overage": "approval"}
    await put(team.manager, "project:noted", body, If_Match=f'"{created["revision"]}"')
    await own_cloud.fire("AuditRelay")
    found: list[Json] = []
    while not found:
        found = [
            document["event"]
            for document in await own_cloud.documents(
                "audit",
                "c.event.object_id = @id AND c.event.action = @action",
                id=f"budget:{DEPARTMENT}:policies:project:noted",
                action="budget.changed.2",
            )
        ]
    (event,) = found
    assert event["details"] == {
        "before.limit_micros": 5,
        "after.limit_micros": 7,
        "before.overage": "refuse",
        "after.overage": "approval",
    }
    assert event["actor_role"] == "DeptManager"
