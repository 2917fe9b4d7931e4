"""Limits over HTTP: what people may ask for, and what operators see of providers."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest

from tests.integration.api import Answer, Json, Person, order, prompt, until
from tests.integration.cloud import Cloud, organisation

FREE_PER_HOUR = 10
MEMBER = re.compile(r'"([a-z-]+)"((?:;[a-z]+=(?:\d+|"[a-z-]+"))+)')


def members(field: str) -> dict[str, dict[str, str]]:
    """A list of strings with parameters, as RFC 9651 writes it."""
    found: dict[str, dict[str, str]] = {}
    for member in field.split(", "):
        match = MEMBER.fullmatch(member)
        assert match, member
        parameters = (part.partition("=") for part in match[2][1:].split(";"))
        found[match[1]] = {name: value.strip('"') for name, _, value in parameters}
    return found


def left_of(answer: Answer, limit: str = "images-per-hour") -> int:
    return int(members(answer.headers["RateLimit"])[limit]["r"])


@pytest.fixture
async def person(own_cloud: Cloud) -> Person:
    """Somebody of the tier "free", in a department of their own."""
    file = organisation(f"r{uuid4().hex[:10]}", 1_000_000_000, [1_000_000_000])
    file["users"][0] |= {"tier": "free", "object_id": str(uuid4())}
    await own_cloud.seed(file)
    return await own_cloud.minted(claims={"oid": file["users"][0]["object_id"]})


async def submit(person: Person, count: int = 1, key: str | None = None) -> Answer:
    body: Json = order() | {"count": count, "prompt": f"a lighthouse, {key or uuid4().hex}"}
    return await person.post("/generations", body, {"Idempotency-Key": key} if key else None)


async def test_tenth_picture_of_an_hour_is_admitted_and_the_next_is_not(
    own_cloud: Cloud, person: Person
) -> None:
    answer = await submit(person, 4)
    assert answer.status == 202
    policy = members(answer.headers["RateLimit-Policy"])
    assert policy["images-per-hour"] == {"q": "10", "w": "3600", "qu": "images"}
    assert set(policy) == {
        "images-per-hour",
        "department-images-per-day",
        "spend-per-minute",
    }
    assert left_of(answer) == FREE_PER_HOUR - 4
    assert left_of(await submit(person, 6)) == 0
    refused = await submit(person)
    problem = refused.problem(429, "rate_limited")
    assert (problem["limit"], problem["quota"]) == ("images-per-hour", FREE_PER_HOUR)
    assert 0 < int(refused.headers["Retry-After"]) <= 360
    assert left_of(refused) == 0


async def test_repeat_of_what_was_admitted_is_answered_and_costs_nothing(person: Person) -> None:
    key = uuid4().hex
    first = await submit(person, 2, key)
    again = await submit(person, 2, key)
    assert (first.status, again.status) == (202, 202)
    assert first.json(202)["id"] == again.json(202)["id"]
    await submit(person, 8)
    (await submit(person)).problem(429, "rate_limited")
    assert (await submit(person, 2, key)).json(202)["id"] == first.json(202)["id"]


async def test_batch_counts_the_pictures_of_its_rows(person: Person) -> None:
    row = {"model": "gpt-image-2", "quality": "low"}
    rows: list[Json] = [row | {"id": f"r{n}", "prompt": prompt()} for n in range(11)]
    refused = await person.post("/batches", {"items": rows})
    problem = refused.problem(429, "rate_limited")
    assert problem["at_once_max"] == FREE_PER_HOUR
    assert "Retry-After" not in refused.headers
    rows[0]["count"] = 3
    admitted = await person.post("/batches", {"items": rows[:7]})
    assert left_of(admitted) == FREE_PER_HOUR - 9
    await person.ended_batch(admitted.json(202)["id"])


async def test_crowd_is_admitted_up_to_the_quota_and_denied_once_in_the_log(
    own_cloud: Cloud, person: Person
) -> None:
    answers = await asyncio.gather(*(submit(person) for _ in range(24)))
    assert sorted(answer.status for answer in answers) == [202] * 10 + [429] * 14
    admitted = next(answer for answer in answers if answer.status == 202).json(202)
    shown = await person.ended_generation(admitted["id"])
    assert shown["status"] == "succeeded"

    async def denials() -> list[Json]:
        waiting = await own_cloud.documents(
            "ledger", "c.type = 'outbox' AND STARTSWITH(c.event.action, 'rate_limit.denied')"
        )
        copied = await own_cloud.documents(
            "audit", "STARTSWITH(c.event.action, 'rate_limit.denied')"
        )
        return [each["event"] for each in (*waiting, *copied)]

    found = [each for each in await denials() if each["correlation_id"] in ids_of(answers)]
    assert len({each["event_id"] for each in found}) == 1
    assert found[0]["details"]["quota"] == FREE_PER_HOUR


def ids_of(answers: list[Answer]) -> set[str]:
    return {answer.headers["x-correlation-id"] for answer in answers}


async def test_managers_see_how_providers_are_and_others_do_not(
    own_cloud: Cloud, ava: Person, mia: Person
) -> None:
    await ava.generate(order())
    (await ava.get("/providers")).problem(403, "policy_denied")
    listed = (await mia.get("/providers")).json()["items"]
    azure = next(each for each in listed if each["provider"] == "azure_openai")
    assert (azure["state"], azure["reason"], azure["waiting"]) == ("closed", None, [])
    minute = next(each for each in azure["limits"] if each["name"] == "minute")
    assert 0 < minute["left"] < minute["quota"] == 60_000
    assert "gpt-image-2" in azure["models"]


async def test_blocked_provider_is_left_alone_until_a_probe_succeeds(
    own_cloud: Cloud, ava: Person, mia: Person
) -> None:
    failed = await ava.generate(order(scenario="provider_blocked"))
    assert failed["status"] != "refused"

    async def state() -> str:
        listed = (await mia.get("/providers")).json()["items"]
        return str(next(e["state"] for e in listed if e["provider"] == "azure_openai"))

    await until(state, lambda found: found in ("open", "half_open"))
    assert (await ava.generate(order()))["status"] == "succeeded"
    await until(state, lambda found: found == "closed")
    opened = await own_cloud.documents(
        "ledger", "c.pk = 'providers|health' AND c.type = 'provider_health'"
    )
    assert len(opened) >= 1
