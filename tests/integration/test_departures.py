"""Work that waited is asked about again at the door: residency, freezes, and denied models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.integration.api import Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "harbour"
AMPLE = 50_000_000
KNOWN_EVERYWHERE_S = 5.0  # the promise for policies and freezes on every worker


@dataclass(frozen=True)
class Pier:
    """A department whose projects have no money, and ask instead of refusing."""

    manager: Person
    member: Person
    admin: Person

    async def asked(self, project: str) -> str:
        answer = await self.member.post("/generations", order(project=project))
        return str(answer.json(202)["id"])

    async def approve(self, generation_id: str) -> None:
        path = f"/approvals/{generation_id}/decisions"
        (await self.admin.post(path, {"decision": "approve"})).json()  # escalated by now

    async def status(self, generation_id: str) -> Json:
        return (await self.member.get(f"/approvals/{generation_id}")).json()

    async def residency(self, mode: str) -> None:
        path = f"/privacy/policies/{DEPARTMENT}"
        revision = (await self.admin.get(path)).json()["revision"]
        match = {"If-Match": f'"{revision}"'} if revision else {"If-None-Match": "*"}
        body = {"residency": {"mode": mode}}
        answer = await self.admin.send("PUT", path, json=body, headers=match)
        assert answer.status == 200, answer.content


@pytest.fixture(scope="module")
async def pier(own_cloud: Cloud, olga: Person) -> Pier:
    file = organisation(DEPARTMENT, AMPLE, [AMPLE, AMPLE], ["DeptManager"])
    await own_cloud.seed(file)
    ids = [user["object_id"] for user in file["users"]]
    manager, member = [await own_cloud.minted(claims={"oid": each}) for each in ids]
    for name in ("quay", "mole"):
        answer = await manager.send(
            "PUT",
            f"/budgets/project:{name}",
            json={"limit_micros": 0, "overage": "approval"},
            headers={"If-None-Match": "*"},
        )
        assert answer.status == 200, answer.content
    return Pier(manager, member, olga)


async def test_approved_work_is_asked_about_again_before_it_goes(pier: Pier) -> None:
    away, frozen = await pier.asked("quay"), await pier.asked("mole")
    target = f"/freezes/project:{DEPARTMENT}.mole"
    reason = {"reason": "a leak is looked into"}
    assert (await pier.manager.send("PUT", target, json=reason)).status == 200
    await pier.residency("australia")
    await asyncio.sleep(KNOWN_EVERYWHERE_S)
    await pier.approve(frozen)
    await pier.approve(away)

    ended = await pier.member.ended_generation(away)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "residency_denied")
    assert (await pier.status(away))["status"] == "failed"
    assert (await pier.status(frozen))["status"] == "approved"  # it waits at the door
    project = (await pier.member.get("/budgets/project:mole")).json()
    assert (project["reserved_micros"], project["limit_micros"]) == (0, 0)

    await pier.residency("anywhere")
    await asyncio.sleep(KNOWN_EVERYWHERE_S)
    lifted = await pier.manager.send("DELETE", target, params={"reason": "all clear"})
    assert lifted.status == 200
    concluded = await until(lambda: pier.status(frozen), lambda each: each["status"] != "approved")
    assert concluded["status"] == "concluded"
    assert (await pier.member.ended_generation(frozen))["status"] == "succeeded"


async def test_approved_work_for_a_model_that_is_denied_meanwhile_does_not_go(pier: Pier) -> None:
    asked = await pier.asked("quay")
    path = f"/routing/policies/{DEPARTMENT}"
    denies = {"denied_models": [order()["model"]]}
    written = await pier.manager.send("PUT", path, json=denies, headers={"If-None-Match": "*"})
    assert written.status == 200, written.content
    try:
        await asyncio.sleep(KNOWN_EVERYWHERE_S)
        await pier.approve(asked)
        ended = await pier.member.ended_generation(asked)
        assert (ended["status"], ended["failure"]["code"]) == ("failed", "model_denied")
        project = (await pier.member.get("/budgets/project:quay")).json()
        assert (project["reserved_micros"], project["limit_micros"]) == (0, 0)
    finally:
        await pier.manager.send("PUT", path, json={}, headers={"If-Match": "*"})
