"""Whom rules of models stop, on every route that takes a model: compared with what was agreed in
`tests/data/model_matrix.csv`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from functions import names
from tests.access_matrix import ROLES
from tests.integration.api import Answer, Json, Person, order
from tests.integration.cloud import Cloud, organisation
from tests.model_matrix import MODEL, RULES, agreed

AMPLE = 500_000_000
RULES_OF_ALL = "/organisation/model-rules"
WHICHEVER = {"If-Match": "*"}


@pytest.fixture(scope="module")
async def people(own_cloud: Cloud) -> list[Person]:
    """One person of each built-in role."""
    file = organisation("ruled", len(ROLES) * AMPLE, [AMPLE] * len(ROLES), ROLES)
    await own_cloud.seed(file)
    return [await own_cloud.minted(claims={"oid": each["object_id"]}) for each in file["users"]]


@pytest.fixture(params=RULES)
async def rules(request: pytest.FixtureRequest, own_cloud: Cloud) -> AsyncIterator[str]:
    """Rules of the whole organisation, in force during one test."""
    sam = await own_cloud.person("sam")
    standing = (await sam.get(RULES_OF_ALL)).headers.get("ETag")
    headers = WHICHEVER if standing else {"If-None-Match": "*"}
    try:
        put = await sam.send("PUT", RULES_OF_ALL, json=RULES[request.param], headers=headers)
        assert put.status == 200, put.content
        yield request.param
    finally:
        await sam.send("PUT", RULES_OF_ALL, json={}, headers=WHICHEVER)


async def generation(person: Person) -> Answer:
    return await person.post("/generations", order(MODEL))


async def batch(person: Person) -> Answer:
    return await person.post("/batches", {"items": [order(MODEL)]})


async def estimate(person: Person) -> Answer:
    return await person.post("/estimates", order(MODEL))


async def openai(person: Person) -> Answer:
    at = Person(person.session, person.api_url.replace("/api/v1", "/openai/v1"), person.token)
    return await at.post("/images/generations", {"model": MODEL, "prompt": "a cat"})


ASKED: dict[str, Callable[[Person], Awaitable[Answer]]] = {
    names.SUBMIT_GENERATION: generation,
    names.SUBMIT_BATCH: batch,
    names.ESTIMATE: estimate,
    names.OPENAI_GENERATE: openai,
}


def word_of(answer: Answer) -> str:
    """What an answer says of the rules; whatever else it may say is a fault of this test."""
    if b"The rules of your organisation do not allow" in answer.content:
        return "deny"
    body: Json = answer.json(answer.status)
    assert answer.status < 300 and body.get("eligible", True), answer.content
    return "allow"


@pytest.mark.parametrize("route", ASKED)
async def test_rules_of_models_stop_each_role_as_agreed(
    people: list[Person], rules: str, route: str
) -> None:
    words = [word_of(await ASKED[route](person)) for person in people]
    assert words == agreed()[route, rules]
