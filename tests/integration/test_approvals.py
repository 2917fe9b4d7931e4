"""What happens beyond a budget: refused, asked for, or kept for the next period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "academy"
AMPLE = 50_000_000
MANAGERS = 2
ENDS = ("concluded", "failed", "rejected", "expired", "canceled")


@dataclass(frozen=True)
class School:
    """A department whose budgets ask or wait instead of refusing."""

    managers: list[Person]
    member: Person
    admin: Person

    async def asked(self, body: Json | None = None, key: str | None = None) -> Json:
        headers = {"Idempotency-Key": key} if key else None
        posted = body or order(project="asks")
        return (await self.member.post("/generations", posted, headers)).json(202)

    async def approval(self, generation_id: str, person: Person | None = None) -> Json:
        return (await (person or self.member).get(f"/approvals/{generation_id}")).json()

    async def ended(self, generation_id: str) -> Json:
        found: Json = await until(
            lambda: self.approval(generation_id), lambda each: each["status"] in ENDS
        )
        return found

    async def project(self, name: str) -> Json:
        return (await self.member.get(f"/budgets/project:{name}")).json()


async def decide(person: Person, generation_id: str, decision: str = "approve") -> Answer:
    return await person.post(f"/approvals/{generation_id}/decisions", {"decision": decision})


@pytest.fixture(scope="module")
async def school(own_cloud: Cloud, olga: Person) -> School:
    file = organisation(DEPARTMENT, AMPLE, [AMPLE] * (MANAGERS + 1), ["DeptManager"] * MANAGERS)
    await own_cloud.seed(file)
    ids = [user["object_id"] for user in file["users"]]
    managers = [await own_cloud.minted(claims={"oid": each}) for each in ids[:MANAGERS]]
    member = await own_cloud.minted(claims={"oid": ids[MANAGERS]})
    for name, overage in (("asks", "approval"), ("waits", "queue"), ("strict", "refuse")):
        body = {"limit_micros": 0, "overage": overage}
        answer = await managers[0].send(
            "PUT", f"/budgets/project:{name}", json=body, headers={"If-None-Match": "*"}
        )
        assert answer.status == 200, answer.content
    return School(managers, member, olga)


async def test_approved_request_is_carried_out_and_raises_by_what_it_costs(school: School) -> None:
    before = await school.project("asks")
    body = order(project="asks")
    asked = await school.asked(body, key="ask-once")
    assert asked["status"] == "awaiting_approval"
    assert (await school.asked(body, key="ask-once"))["id"] == asked["id"]
    shown = await school.approval(asked["id"], school.managers[0])
    assert (shown["status"], shown["may_decide"]) == ("pending", True)
    assert shown["raised_scopes"] == ["project:asks"]
    assert shown["amount_micros"] == asked["quote"]["amount_micros"]
    listed = (await school.managers[0].get("/approvals")).json()["items"]
    assert asked["id"] in {each["id"] for each in listed}
    mine = (await school.member.get("/approvals", {"show": "mine"})).json()["items"]
    assert asked["id"] in {each["id"] for each in mine}

    assert (await decide(school.managers[0], asked["id"])).json()["approvals"] == 1
    ended = await school.member.ended_generation(asked["id"])
    assert ended["status"] == "succeeded"
    concluded = await school.ended(asked["id"])
    assert concluded["status"] == "concluded"
    assert [vote["decision"] for vote in concluded["votes"]] == ["approve"]
    after = await school.project("asks")
    cost = ended["cost"]["amount_micros"]
    assert cost < shown["amount_micros"]
    assert after["spent_micros"] - before["spent_micros"] == cost
    assert after["limit_micros"] - before["limit_micros"] == cost
    assert after["available_micros"] == before["available_micros"] == 0
    (await decide(school.managers[1], asked["id"])).problem(409, "already_decided")


async def test_approved_batch_that_is_canceled_leaves_no_money_behind(school: School) -> None:
    before = await school.project("asks")
    items = [order(scenario="slow seconds=3") for _ in range(30)]
    posted = await school.member.send(
        "POST", "/batches", json={"items": items}, params={"project": "asks"}
    )
    batch_id = posted.json(202)["id"]
    for person in school.managers:
        (await decide(person, batch_id)).json()

    async def look() -> Json:
        found: Json = await school.member.batch(batch_id)
        return found

    await until(look, lambda each: each["status"] == "running")
    assert (await school.project("asks"))["limit_micros"] > before["limit_micros"]
    (await school.member.delete(f"/batches/{batch_id}")).json(202)
    ended = await until(look, lambda each: each["status"] != "running")
    assert ended["status"] == "canceled"
    assert ended["rows"]["canceled"] > 0
    after = await school.project("asks")
    assert after["reserved_micros"] == 0
    assert after["limit_micros"] - before["limit_micros"] == ended["spent_micros"]
    again = await school.asked()  # nothing is left to spend
    (await school.member.delete(f"/generations/{again['id']}")).json()


async def test_requester_and_strangers_cannot_approve(
    own_cloud: Cloud, school: School, mia: Person
) -> None:
    asked = (await school.managers[0].post("/generations", order(project="asks"))).json(202)
    (await decide(school.managers[0], asked["id"])).problem(403, "self_approval")
    (await decide(mia, asked["id"])).problem(404, "not_found")
    (await decide(school.member, asked["id"])).problem(404, "not_found")
    own = (await school.managers[0].get("/approvals")).json()["items"]
    assert asked["id"] not in {each["id"] for each in own}
    (await decide(school.managers[1], asked["id"], "reject")).json()
    ended = await school.managers[0].generation(asked["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "approval_rejected")
    assert ended["cost"] is None


async def test_large_request_needs_two_different_people(school: School) -> None:
    asked = await school.asked(order(project="asks", count=10))
    first = (await decide(school.managers[0], asked["id"])).json()
    assert (first["status"], first["required_approvals"]) == ("pending", 2)
    (await decide(school.managers[0], asked["id"])).problem(409, "already_decided")
    assert (await school.member.generation(asked["id"]))["status"] == "awaiting_approval"
    assert (await decide(school.admin, asked["id"])).json()["approvals"] == 2
    ended = await school.member.ended_generation(asked["id"])
    assert ended["status"] == "succeeded"


async def test_nobody_decides_so_it_escalates_and_expires(school: School) -> None:
    asked = await school.asked()
    escalated = await until(
        lambda: school.approval(asked["id"], school.managers[0]), lambda each: each["escalated"]
    )
    assert escalated["may_decide"] is False
    (await decide(school.managers[0], asked["id"])).problem(403, "policy_denied")
    assert (await school.approval(asked["id"], school.admin))["may_decide"] is True
    assert (await school.ended(asked["id"]))["status"] == "expired"
    ended = await school.member.generation(asked["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "approval_expired")
    (await decide(school.admin, asked["id"])).problem(409, "already_decided")


async def test_waiting_request_can_be_canceled(school: School) -> None:
    asked = await school.asked()
    assert (await school.member.delete(f"/generations/{asked['id']}")).json()[
        "status"
    ] == "canceled"
    assert (await school.approval(asked["id"]))["status"] == "canceled"
    (await decide(school.managers[0], asked["id"])).problem(409, "already_decided")


async def test_batch_waits_for_an_approval_and_runs(school: School) -> None:
    items = [order(), order()]
    posted = await school.member.send(
        "POST", "/batches", json={"items": items}, params={"project": "asks"}
    )
    batch = posted.json(202)
    assert batch["status"] == "awaiting_approval"
    (await decide(school.managers[0], batch["id"])).json()
    ended = await until(
        lambda: school.member.batch(batch["id"]), lambda each: each["status"] == "completed"
    )
    assert ended["rows"]["succeeded"] == 2


async def test_deferred_request_waits_under_an_id_of_the_next_period(school: School) -> None:
    body = order(project="waits")
    deferred = await school.asked(body, key="next-month")
    assert deferred["status"] == "deferred"
    month = datetime.now(UTC).strftime("%Y%m")
    assert deferred["id"][:6] > month
    assert deferred["starts_at"][:7].replace("-", "") == deferred["id"][:6]
    assert (await school.asked(body, key="next-month"))["id"] == deferred["id"]
    other = order(project="waits")
    answer = await school.member.post("/generations", other, {"Idempotency-Key": "next-month"})
    answer.problem(422, "idempotency_key_reused")
    assert (await school.project("waits"))["reserved_micros"] == 0
    canceled = (await school.member.delete(f"/generations/{deferred['id']}")).json()
    assert canceled["status"] == "canceled"


async def test_deferred_batch_waits_with_its_rows(school: School) -> None:
    posted = await school.member.send(
        "POST", "/batches", json={"items": [order()]}, params={"project": "waits"}
    )
    batch = posted.json(202)
    assert batch["status"] == "deferred"
    items = (await school.member.get(f"/batches/{batch['id']}/items")).json()["items"]
    assert [item["status"] for item in items] == ["waiting"]
    canceled = (await school.member.delete(f"/batches/{batch['id']}")).json(202)
    assert canceled["status"] == "canceled"


async def test_refusal_says_what_would_fit(school: School) -> None:
    answer = await school.member.post("/generations", order(project="strict", count=2))
    problem = answer.problem(402, "budget_exceeded")
    assert problem["scope"] == "project:strict"
    assert problem["overage"] == "refuse"
    assert problem["would_fit"] == {"count": 0, "quality": None}
    one = (await school.member.post("/estimates", order())).json()["quote"]["amount_micros"]
    grown = await school.managers[0].send(
        "PUT",
        "/budgets/project:strict",
        json={"limit_micros": 3 * one, "overage": "refuse"},
        headers={"If-Match": "*"},
    )
    assert grown.status == 200
    dear = order(project="strict", count=3, quality="medium")
    problem = (await school.member.post("/generations", dear)).problem(402, "budget_exceeded")
    assert problem["would_fit"]["quality"] == "low"


async def test_unknown_approval_is_not_found(school: School) -> None:
    for unknown in ("nonsense", "202611-academy-" + "0" * 32):
        (await school.member.get(f"/approvals/{unknown}")).problem(404, "not_found")
        (await decide(school.admin, unknown)).problem(404, "not_found")


async def test_raising_a_department_that_refuses_needs_an_org_admin(
    own_cloud: Cloud, school: School
) -> None:
    file = organisation("studio", 0, [AMPLE, AMPLE], ["DeptManager"])
    await own_cloud.seed(file)
    manager, member = [
        await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]
    ]
    body = {"items": [order()], "acceptance": "ask_approval"}
    batch = (await member.post("/batches", body)).json(202)
    assert batch["status"] == "awaiting_approval"
    (await decide(manager, batch["id"])).problem(403, "policy_denied")
    (await decide(school.admin, batch["id"])).json()
    ended = await until(
        lambda: member.batch(batch["id"]), lambda each: each["status"] == "completed"
    )
    assert ended["rows"]["succeeded"] == 1


async def test_decision_whose_watch_is_lost_is_carried_out_by_the_sweep(
    own_cloud: Cloud, school: School
) -> None:
    asked = await school.asked()
    watch = f"{own_cloud.host_url}/runtime/webhooks/durabletask/instances/approval:{asked['id']}"
    async with own_cloud.session.post(f"{watch}/terminate", params={"reason": "lost"}) as answer:
        assert answer.status == 202
    (await decide(school.managers[0], asked["id"])).json()

    async def look() -> Json:
        await own_cloud.fire("OverageSweep")
        return await school.member.generation(asked["id"])

    ended = await until(look, lambda each: each["status"] == "succeeded")
    assert ended["cost"]["amount_micros"] > 0
    holds = await own_cloud.documents(
        "ledger", "c.type = 'hold' AND c.operation_id = @id", id=asked["id"]
    )
    assert len(holds) == 1
