"""Hard budgets: what is shown, who may look, and that no crowd gets past the limit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from devhost.local_settings import people
from tests.integration.api import Json, Person, order
from tests.integration.cloud import Cloud, organisation

DEPARTMENT = "atelier"
CROWD = 24
AFFORDABLE = 5  # generations that the small limits below pay for


SLOW = "slow seconds=2"  # so that nothing is settled while the crowd is asking


async def quote_micros(person: Person, body: Json) -> int:
    """What a generation reserves; the length of the prompt counts, its text does not."""
    estimate = (await person.post("/estimates", body)).json()
    return int(estimate["quote"]["amount_micros"])


@pytest.fixture(scope="module")
async def atelier(own_cloud: Cloud, ava: Person) -> list[Person]:
    """Two people whose department can pay for twice what the first of them can."""
    one = await quote_micros(ava, order(scenario=SLOW))
    file = organisation(DEPARTMENT, 2 * AFFORDABLE * one, [AFFORDABLE * one, 100 * one])
    await own_cloud.seed(file)
    return [await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]]


async def test_untouched_budget_shows_its_limit(own_cloud: Cloud) -> None:
    file = organisation("library", 3_000_000, [1_000_000])
    await own_cloud.seed(file)
    reader = await own_cloud.minted(claims={"oid": file["users"][0]["object_id"]})
    for scope, limit in (("department:library", 3_000_000), ("user:me", 1_000_000)):
        budget = (await reader.get(f"/budgets/{scope}")).json()
        assert budget["limit_micros"] == budget["available_micros"] == limit
        assert budget["reserved_micros"] == budget["spent_micros"] == 0
        assert budget["mode"] == "hard"
        assert budget["period"] == f"{datetime.now(UTC):%Y%m}"


async def test_generation_moves_money_from_reserved_to_spent(pat: Person) -> None:
    before = (await pat.get("/budgets/user:me")).json()
    shown = await pat.submit(order(scenario="slow seconds=1"))
    during = (await pat.get("/budgets/user:me")).json()
    assert during["reserved_micros"] - before["reserved_micros"] == shown["quote"]["amount_micros"]
    ended = await pat.ended_generation(shown["id"])
    after = (await pat.get("/budgets/user:me")).json()
    assert after["reserved_micros"] == before["reserved_micros"]
    assert after["spent_micros"] - before["spent_micros"] == ended["cost"]["amount_micros"]
    for budget in (before, during, after):
        used = budget["reserved_micros"] + budget["spent_micros"]
        assert budget["available_micros"] == budget["limit_micros"] - used


@pytest.mark.parametrize(
    ("username", "scope", "is_shown"),
    [
        ("ava", "department:marketing", True),
        ("ava", "department:design", False),
        ("ava", "user:ben", False),
        ("mia", "user:ava", True),
        ("mia", "user:finn", False),
        ("mia", "department:design", False),
        ("olga", "user:finn", True),
        ("olga", "department:design", True),
        ("olga", "department:nowhere", False),
        ("olga", "user:zoe", False),
        ("ava", "project:apollo", False),
        ("ava", "nonsense", False),
        ("ava", "user:", False),
    ],
)
async def test_budget_is_shown_to_those_it_concerns(
    cloud: Cloud, username: str, scope: str, is_shown: bool
) -> None:
    kind, _, name = scope.partition(":")
    oids = {user["username"]: user["oid"] for user in people()["users"]}
    person = await cloud.person(username)
    answer = await person.get(f"/budgets/{kind}:{oids.get(name, name)}")
    if is_shown:
        assert answer.json()["limit_micros"] > 0
    else:
        answer.problem(404, "not_found")


async def test_budget_of_a_past_month_is_its_own(ava: Person) -> None:
    budget = (await ava.get("/budgets/user:me", {"period": "202001"})).json()
    assert budget["spent_micros"] == budget["reserved_micros"] == 0


@pytest.mark.parametrize("period", ["2026", "2026-11", "abcdef", "20261", "٢٠٢٦١١", "202613"])
async def test_period_that_is_no_month_answers_422(ava: Person, period: str) -> None:
    answer = await ava.get("/budgets/user:me", {"period": period})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/period"}


async def test_refusal_names_scope_need_and_what_is_left(atelier: list[Person]) -> None:
    first, _ = atelier
    available = (await first.get("/budgets/user:me")).json()["available_micros"]
    needed = await quote_micros(first, order(count=10))
    assert (await first.post("/estimates", order(count=10))).json()["fits_budget"] is False
    problem = (await first.post("/generations", order(count=10))).problem(402, "budget_exceeded")
    assert problem["scope"].startswith("user:")
    assert problem["needed_micros"] == needed
    assert problem["available_micros"] == available
    after = (await first.get("/budgets/user:me")).json()
    assert after["available_micros"] == available


async def test_batch_over_budget_is_refused_as_a_whole(cloud: Cloud, atelier: list[Person]) -> None:
    first, _ = atelier
    calls = len(await cloud.submissions())
    items = [order() for _ in range(AFFORDABLE + 1)]
    problem = (await first.post("/batches", {"items": items})).problem(402, "budget_exceeded")
    assert problem["needed_micros"] > problem["available_micros"]
    assert (await first.get("/budgets/user:me")).json()["reserved_micros"] == 0
    assert await first.listed("/generations") == []
    assert len(await cloud.submissions()) == calls


async def test_crowd_gets_exactly_what_the_limits_pay_for(atelier: list[Person]) -> None:
    async def one(person: Person) -> int:
        answer = await person.post("/generations", order(scenario=SLOW))
        if answer.status != 202:
            answer.problem(402, "budget_exceeded")
        return answer.status

    first, second = atelier
    statuses = await asyncio.gather(*(one(first) for _ in range(CROWD)))
    assert statuses.count(202) == AFFORDABLE  # the person's own limit
    statuses = await asyncio.gather(*(one(second) for _ in range(CROWD)))
    assert statuses.count(202) == AFFORDABLE  # what is left of the department's
    budget = (await first.get(f"/budgets/department:{DEPARTMENT}")).json()
    assert budget["reserved_micros"] == budget["limit_micros"]
    assert budget["available_micros"] == 0


async def test_refused_key_may_be_used_again_once_there_is_money(
    own_cloud: Cloud, ava: Person
) -> None:
    one = await quote_micros(ava, order(scenario=SLOW))
    file = organisation("garage", 10 * one, [3 * one // 2])
    await own_cloud.seed(file)
    person = await own_cloud.minted(claims={"oid": file["users"][0]["object_id"]})
    running = await person.submit(order(scenario="rate_limited retry_after_s=30"))
    body, key = order(), {"Idempotency-Key": "once-there-is-money"}
    (await person.post("/generations", body, key)).problem(402, "budget_exceeded")

    async def cancel() -> int:
        return (await person.delete(f"/generations/{running['id']}")).status

    while await cancel() != 200:
        await asyncio.sleep(0.1)
    assert (await person.post("/generations", body, key)).status == 202
