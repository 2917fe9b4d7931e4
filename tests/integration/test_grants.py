"""Temporary increases and emergency overrides: who may, what they pay for, and that they end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.api import Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "foundry"
AMPLE = 50_000_000
AMOUNT = 1_000_000


@dataclass(frozen=True)
class Team:
    """A department of its own: its manager, a member without money, and an Org Admin."""

    manager: Person
    member: Person
    admin: Person
    member_id: str
    manager_id: str

    async def budget(self, scope: str | None = None) -> Json:
        path = scope or f"user:{self.member_id}"
        return (await self.admin.get(f"/budgets/{path}")).json()

    def wanted(self, **fields: object) -> Json:
        return {
            "scopes": [f"user:{self.member_id}"],
            "amount_micros": AMOUNT,
            "reason": "The launch is tomorrow",
        } | fields


@pytest.fixture(scope="module")
async def team(own_cloud: Cloud, olga: Person) -> Team:
    file = organisation(DEPARTMENT, AMPLE, [AMPLE, 0], ["DeptManager"])
    await own_cloud.seed(file)
    ids = [user["object_id"] for user in file["users"]]
    manager, member = [await own_cloud.minted(claims={"oid": each}) for each in ids]
    return Team(manager, member, olga, ids[1], ids[0])


async def test_manager_raises_a_member_until_the_grant_is_ended(team: Team) -> None:
    (await team.member.post("/generations", order())).problem(402, "budget_exceeded")
    key = {"Idempotency-Key": "raise-once"}
    answer = await team.manager.post("/grants", team.wanted(), key)
    grant = answer.json(201)
    assert answer.headers["Location"] == f"/api/v1/grants/{grant['id']}"
    assert (grant["status"], grant["kind"]) == ("active", "increase")
    assert (await team.manager.post("/grants", team.wanted(), key)).json(201) == grant
    assert (await team.budget())["limit_micros"] == AMOUNT
    assert (await team.member.generate(order()))["status"] == "succeeded"
    assert grant in (await team.manager.get("/grants")).json()["items"]
    ended = (await team.manager.delete(f"/grants/{grant['id']}")).json()
    assert (ended["status"], ended["ended_by"]) == ("ended", team.manager_id)
    assert (await team.manager.delete(f"/grants/{grant['id']}")).json() == ended
    after = await team.budget()
    assert after["limit_micros"] == 0 < after["spent_micros"]
    (await team.member.post("/generations", order())).problem(402, "budget_exceeded")
    assert grant["id"] not in str((await team.manager.get("/grants")).json())
    other = team.wanted(amount_micros=2)
    (await team.manager.post("/grants", other, key)).problem(422, "idempotency_key_reused")


async def test_grant_ends_when_its_time_has_come(own_cloud: Cloud, team: Team) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=1)
    body = team.wanted(ends_at=ends_at.isoformat())
    grant = (await team.manager.post("/grants", body)).json(201)

    async def look() -> Json:
        await own_cloud.fire("OverageSweep")
        return (await team.manager.get(f"/grants/{grant['id']}")).json()

    ended = await until(look, lambda each: each["status"] == "ended")
    assert ended["ended_by"] == "system:grants"
    assert datetime.fromisoformat(ended["ended_at"]) >= ends_at
    assert (await team.budget())["limit_micros"] == 0


async def test_override_with_surcharge_books_it_as_an_entry(own_cloud: Cloud, team: Team) -> None:
    scope = f"department:{DEPARTMENT}"
    before = await team.budget(scope)
    body = team.wanted(
        scopes=[scope, f"user:{team.member_id}"],
        reason="Bushfire warnings must go out",
        surcharge_percent=15,
    )
    override = (await team.admin.post("/overrides", body)).json(201)
    assert override["surcharge_micros"] == AMOUNT * 15 // 100
    after = await team.budget(scope)
    assert after["spent_micros"] - before["spent_micros"] == override["surcharge_micros"]
    assert after["available_micros"] - before["available_micros"] == AMOUNT
    (entry,) = await own_cloud.documents("ledger", "c.id = @id", id=f"j:{override['id']}")
    assert entry["type"] == "adjustment"
    assert entry["kind"] == "surcharge"
    assert entry["amount_micros"] == override["surcharge_micros"]
    end = datetime.fromisoformat(override["ends_at"]) - datetime.now(UTC)
    assert end <= timedelta(hours=72)
    (await team.admin.delete(f"/grants/{override['id']}")).json()
    assert (await team.budget(scope))["available_micros"] == before["available_micros"]


async def test_nobody_grants_to_themselves(team: Team) -> None:
    own = team.wanted(scopes=[f"user:{team.manager_id}"])
    (await team.manager.post("/grants", own)).problem(403, "self_grant")
    asked_for = team.wanted(requested_by=team.manager_id)
    (await team.manager.post("/grants", asked_for)).problem(403, "self_grant")


async def test_grants_need_their_roles(own_cloud: Cloud, team: Team, finn: Person) -> None:
    (await team.member.post("/grants", team.wanted())).problem(403, "self_grant")
    department = team.wanted(scopes=[f"department:{DEPARTMENT}"])
    (await team.manager.post("/grants", department)).problem(403, "policy_denied")
    override = team.wanted(reason="We really need this")
    (await team.manager.post("/overrides", override)).problem(403, "policy_denied")
    (await finn.post("/grants", team.wanted())).problem(404, "not_found")
    (await finn.get("/grants")).problem(403, "policy_denied")
    denied = await own_cloud.documents(
        "ledger", "c.type = 'outbox' AND STARTSWITH(c.event.action, 'grant.denied.')"
    ) + await own_cloud.documents("audit", "STARTSWITH(c.event.action, 'grant.denied.')")
    assert {each["event"]["outcome"] for each in denied} == {"denied"}


async def test_manager_hands_out_no_more_than_the_department_has(team: Team) -> None:
    problem = (await team.manager.post("/grants", team.wanted(amount_micros=2 * AMPLE))).problem(
        409, "department_does_not_cover"
    )
    assert problem["needed_micros"] > problem["available_micros"]


@pytest.mark.parametrize(
    ("path", "fields", "fault"),
    [
        ("/grants", {"ends_at": "2020-01-01T00:00:00Z"}, "/ends_at"),
        ("/grants", {"ends_at": "0001-01-01T00:00:00+14:00"}, "/ends_at"),
        ("/grants", {"ends_at": "9999-12-31T23:59:59-14:00"}, "/ends_at"),
        ("/grants", {"reason": "why\u0000not"}, "/reason"),
        ("/grants", {"amount_micros": 0}, "/amount_micros"),
        ("/grants", {"scopes": []}, "/scopes"),
        ("/overrides", {"reason": "short"}, "/reason"),
        ("/overrides", {"ends_at": "2999-01-01T00:00:00Z"}, "/ends_at"),
        ("/overrides", {"surcharge_percent": 101}, "/surcharge_percent"),
    ],
)
async def test_grant_that_makes_no_sense_is_refused_by_field(
    team: Team, path: str, fields: Json, fault: str
) -> None:
    answer = await team.admin.post(path, team.wanted() | fields)
    assert answer.status == 422
    assert answer.fields() == {fault}


async def test_grants_of_others_are_not_found(team: Team, mia: Person) -> None:
    grant = (await team.manager.post("/grants", team.wanted())).json(201)
    (await mia.get(f"/grants/{grant['id']}")).problem(404, "not_found")
    (await mia.delete(f"/grants/{grant['id']}")).problem(404, "not_found")
    (await team.member.get(f"/grants/{grant['id']}")).problem(404, "not_found")
    (await team.admin.delete(f"/grants/{grant['id']}")).json()
