"""The organisation's cap over HTTP: given out to departments, moved between them, never exceeded.

In a cloud of its own: a cap concerns every department of the tenant.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.books import check_all
from tests.integration.cloud import Cloud, open_cloud

MARKETING, DESIGN, OPERATIONS = 250_000_000, 120_000_000, 40_000_000  # the demo's limits
CAP = MARKETING + DESIGN + OPERATIONS // 2  # two departments fit, the third does not
BUDGET, ALLOCATIONS = "/organisation/budget", "/organisation/allocations"
SPARE = 5_000_000


@pytest.fixture(scope="module")
async def capped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    if os.environ.get("EIG_TARGET"):
        pytest.skip("a cap would concern everybody who uses the target")
    async with open_cloud(tmp_path_factory.mktemp("capped")) as cloud:
        yield cloud
        await check_all(cloud)
        await check_caps(cloud)


@pytest.fixture(scope="module")
async def admin(capped: Cloud) -> Person:
    """An Org Admin; design opened its budget before there was a cap, marketing after."""
    person = await capped.person("olga")
    await (await capped.person("finn")).generate(order())
    shown = (await put(person, BUDGET, {"limit_micros": CAP}, none_match=True)).json()
    assert [share["allocated_micros"] for share in shown["departments"]] == [None]
    await (await capped.person("ava")).generate(order())
    await capped.fire("AllocationSweep")
    await until(lambda: shares(person), lambda found: found["design"]["allocated_micros"])
    return person


async def put(
    person: Person, path: str, body: Json, etag: str = "", *, none_match: bool = False
) -> Answer:
    headers = {"If-None-Match": "*"} if none_match else {"If-Match": etag} if etag else {}
    return await person.send("PUT", path, json=body, headers=headers)


async def allocate(
    person: Person, source: str | None, target: str | None, amount: int, key: str | None = None
) -> Answer:
    body = {"from": source, "to": target, "amount_micros": amount, "reason": "a campaign"}
    return await person.post(ALLOCATIONS, body, {"Idempotency-Key": key} if key else None)


async def shares(person: Person) -> dict[str, Json]:
    """What each department has, by its id."""
    departments = (await person.get(BUDGET)).json()["departments"]
    return {share["department_id"]: share for share in departments}


async def set_limit(person: Person, department: str, limit_micros: int) -> Answer:
    path = f"/budgets/department:{department}"
    etag = (await person.get(path)).headers["ETag"]
    return await put(person, path, {"limit_micros": limit_micros}, etag)


async def check_caps(cloud: Cloud) -> None:
    """A2 to A5 on the stored documents: nothing is lost between the cap and the departments."""
    for cap in await cloud.documents("ledger", "c.type = 'cap'"):
        transfers = await cloud.documents(
            "ledger", "c.type = 'transfer' AND c.pk = @pk", pk=cap["pk"]
        )
        legs = await cloud.documents(
            "ledger", "c.type = 'leg' AND c.organisation = @pk", pk=cap["pk"]
        )
        assert {each["status"] for each in transfers} <= {"done", "refused", "returned"}
        assert sum(each["applied_micros"] for each in transfers) == cap["allocated_micros"]
        assert sum(each["amount_micros"] for each in legs) == cap["allocated_micros"]
        assert cap["allocated_micros"] <= cap["limit_micros"]
        for budget in await cloud.documents("ledger", "c.scope_kind = 'department'"):
            if "allocated_micros" in budget:
                own = [each["amount_micros"] for each in legs if each["pk"] == budget["pk"]]
                assert budget["allocated_micros"] == sum(own) >= budget["ceiling_micros"]


async def test_cap_is_not_there_until_it_is_set(capped: Cloud) -> None:
    olga = await capped.person("olga")
    (await olga.get(BUDGET)).problem(404, "not_found")
    (await allocate(olga, None, "design", 1)).problem(404, "not_found")
    (await put(olga, BUDGET, {"limit_micros": CAP})).problem(428, "precondition_required")
    crossing = {"limit_micros": CAP, "period": "month", "fiscal_start_month": 13}
    (await put(olga, BUDGET, crossing, none_match=True)).problem(422, "invalid")


@pytest.mark.parametrize("username", ["ava", "mia"])
async def test_cap_is_for_administrators_only(capped: Cloud, admin: Person, username: str) -> None:
    person = await capped.person(username)
    (await person.get(BUDGET)).problem(403, "policy_denied")
    (await person.get(ALLOCATIONS)).problem(403, "policy_denied")
    (await put(person, BUDGET, {"limit_micros": 0}, "*")).problem(403, "policy_denied")
    (await allocate(person, None, "marketing", 1)).problem(403, "policy_denied")


async def test_cap_covers_departments_that_open_and_those_that_were_open(admin: Person) -> None:
    budget = (await admin.get(BUDGET)).json()
    assert budget["limit_micros"] == CAP
    assert budget["allocated_micros"] == MARKETING + DESIGN
    assert budget["available_micros"] == CAP - MARKETING - DESIGN
    found = {share["department_id"]: share["allocated_micros"] for share in budget["departments"]}
    assert found == {"marketing": MARKETING, "design": DESIGN}


async def test_department_that_does_not_fit_is_refused_in_the_organisations_name(
    capped: Cloud, admin: Person
) -> None:
    scope = (await admin.get(BUDGET)).json()["scope"]
    people = await capped.documents(
        "directory", "c.user.department_id = 'operations' AND c.type = 'user'"
    )
    person = await capped.minted(claims={"oid": people[0]["object_id"]})
    problem = (await person.post("/generations", order())).problem(402, "budget_exceeded")
    assert problem["scope"] == scope
    assert problem["needed_micros"] == OPERATIONS
    assert problem["available_micros"] == CAP - MARKETING - DESIGN


async def test_limit_above_the_allocation_waits_for_a_movement(admin: Person) -> None:
    limit = MARKETING + SPARE
    problem = (await set_limit(admin, "marketing", limit)).problem(409, "allocation_too_small")
    assert problem["allocated_micros"] == MARKETING
    assert problem["needed_micros"] == limit
    moved = (await allocate(admin, None, "marketing", SPARE)).json(201)
    assert (moved["status"], moved["kind"]) == ("done", "allocate")
    assert (await set_limit(admin, "marketing", limit)).json()["limit_micros"] == limit


async def test_department_spares_only_what_its_limit_leaves(admin: Person) -> None:
    problem = (await allocate(admin, "design", "marketing", SPARE)).problem(
        409, "allocation_too_small"
    )
    assert problem["available_micros"] == 0
    (await set_limit(admin, "design", DESIGN - SPARE)).json()
    before = await shares(admin)
    (await allocate(admin, "design", "marketing", SPARE)).json(201)
    after = await shares(admin)
    for department, change in (("design", -SPARE), ("marketing", SPARE)):
        gained = after[department]["allocated_micros"] - before[department]["allocated_micros"]
        assert gained == change


async def test_same_key_moves_once(admin: Person) -> None:
    key = uuid4().hex
    first = (await allocate(admin, None, "design", 1_000, key)).json(201)
    again = (await allocate(admin, None, "design", 1_000, key)).json(201)
    assert again["id"] == first["id"]
    (await allocate(admin, None, "design", 1_001, key)).problem(422, "idempotency_key_reused")
    back = (await allocate(admin, "design", None, 1_000)).json(201)
    assert back["kind"] == "return"


async def test_cap_refuses_what_it_does_not_have(admin: Person) -> None:
    available = (await admin.get(BUDGET)).json()["available_micros"]
    problem = (await allocate(admin, None, "design", available + 1)).problem(402, "budget_exceeded")
    assert problem["available_micros"] == available


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("nowhere", None, "unknown_department"),
        (None, None, "invalid"),
        ("design", "design", "invalid"),
    ],
)
async def test_movement_that_makes_no_sense_answers_422(
    admin: Person, source: str | None, target: str | None, code: str
) -> None:
    (await allocate(admin, source, target, 5)).problem(422, code)


async def test_movement_to_a_department_that_has_not_opened_comes_back(admin: Person) -> None:
    before = (await admin.get(BUDGET)).json()["allocated_micros"]
    (await allocate(admin, None, "operations", 7)).problem(409, "department_not_open")
    assert (await admin.get(BUDGET)).json()["allocated_micros"] == before


async def test_lowered_cap_refuses_what_is_new_only(admin: Person) -> None:
    shown = await admin.get(BUDGET)
    lowered = await put(admin, BUDGET, {"limit_micros": 1}, shown.headers["ETag"])
    assert lowered.json()["available_micros"] == 0
    (await allocate(admin, None, "design", 1)).problem(402, "budget_exceeded")
    stale = await put(admin, BUDGET, {"limit_micros": 2}, shown.headers["ETag"])
    stale.problem(412, "precondition_failed")
    (await put(admin, BUDGET, {"limit_micros": CAP}, lowered.headers["ETag"])).json()


async def test_movements_are_listed_newest_first(admin: Person) -> None:
    listed = await admin.listed(ALLOCATIONS, limit="2")
    assert [each["created_at"] for each in listed] == sorted(
        (each["created_at"] for each in listed), reverse=True
    )
    assert {each["kind"] for each in listed} >= {"open", "adopt", "allocate", "move", "return"}
    assert {each["status"] for each in listed} == {"done", "refused", "returned"}
