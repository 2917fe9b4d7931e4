"""The same key and body are the same work; the same key with another body is an error."""

from __future__ import annotations

import asyncio
import hashlib
from uuid import uuid4

from tests.integration.api import Person, order
from tests.integration.cloud import Cloud

CONCURRENT = 20


def new_key() -> str:
    return uuid4().hex


async def submitted(cloud: Cloud, prompt: str) -> int:
    return (await cloud.submissions()).get(hashlib.sha256(prompt.encode()).hexdigest(), 0)


async def test_same_key_and_body_are_one_generation(cloud: Cloud, ava: Person) -> None:
    body, key = order(), new_key()
    first = await ava.submit(body, key)
    second = await ava.submit(body, key)
    assert first["id"] == second["id"]
    ended = await ava.generate(body, key)
    assert ended["id"] == first["id"]
    assert (await ava.submit(body, key))["status"] == "succeeded"
    assert await submitted(cloud, body["prompt"]) == 1


async def test_same_key_with_another_body_answers_422(cloud: Cloud, ava: Person) -> None:
    body, key = order(), new_key()
    first = await ava.submit(body, key)
    for other in (order(), body | {"count": 2}):
        answer = await ava.post("/generations", other, {"Idempotency-Key": key})
        answer.problem(422, "idempotency_key_reused")
    await ava.ended_generation(first["id"])
    assert await submitted(cloud, body["prompt"]) == 1


async def test_defaults_written_out_are_the_same_body(ava: Person) -> None:
    body, key = order("sdxl"), new_key()
    first = await ava.submit(body, key)
    second = await ava.submit(body | {"size": "1024x1024", "count": 1}, key)
    assert first["id"] == second["id"]


async def test_concurrent_submissions_with_one_key_are_one_generation(
    cloud: Cloud, ava: Person
) -> None:
    body, key = order(), new_key()
    answers = await asyncio.gather(
        *(ava.post("/generations", body, {"Idempotency-Key": key}) for _ in range(CONCURRENT))
    )
    ids = {answer.json(202)["id"] for answer in answers}
    assert len(ids) == 1
    assert (await ava.ended_generation(ids.pop()))["status"] == "succeeded"
    assert await submitted(cloud, body["prompt"]) == 1


async def test_concurrent_submissions_with_one_key_and_two_bodies_are_one_generation(
    cloud: Cloud, ava: Person
) -> None:
    bodies, key = [order(), order()], new_key()
    answers = await asyncio.gather(
        *(
            ava.post("/generations", bodies[n % 2], {"Idempotency-Key": key})
            for n in range(CONCURRENT)
        )
    )
    accepted = [answer for answer in answers if answer.status == 202]
    assert len({answer.json(202)["id"] for answer in accepted}) == 1
    for answer in answers:
        if answer.status != 202:
            answer.problem(422, "idempotency_key_reused")
    await ava.ended_generation(accepted[0].json(202)["id"])
    assert sum([await submitted(cloud, body["prompt"]) for body in bodies]) == 1


async def test_key_belongs_to_the_person_who_sent_it(ava: Person, ben: Person) -> None:
    body, key = order(), new_key()
    first, second = await asyncio.gather(ava.submit(body, key), ben.submit(body, key))
    assert first["id"] != second["id"]


async def test_without_a_key_each_submission_is_its_own(ava: Person) -> None:
    body = order()
    first, second = await asyncio.gather(ava.submit(body), ava.submit(body))
    assert first["id"] != second["id"]


async def test_same_key_and_rows_are_one_batch(cloud: Cloud, ava: Person) -> None:
    body, key = {"items": [order(), order("sdxl")]}, {"Idempotency-Key": new_key()}
    answers = await asyncio.gather(*(ava.post("/batches", body, key) for _ in range(CONCURRENT)))
    ids = {answer.json(202)["id"] for answer in answers}
    assert len(ids) == 1
    batch = await ava.ended_batch(ids.pop())
    assert batch["rows"]["succeeded"] == 2
    assert (await ava.post("/batches", body, key)).json(202)["id"] == batch["id"]
    for item in body["items"]:
        assert await submitted(cloud, item["prompt"]) == 1


async def test_same_key_with_other_rows_answers_422(ava: Person) -> None:
    key = {"Idempotency-Key": new_key()}
    first = (await ava.post("/batches", {"items": [order()]}, key)).json(202)
    for body in ({"items": [order()]}, {"items": [order(), order()]}):
        (await ava.post("/batches", body, key)).problem(422, "idempotency_key_reused")
    await ava.ended_batch(first["id"])
    answer = await ava.post("/batches", {"items": [order()]}, key)
    answer.problem(422, "idempotency_key_reused")


async def test_key_of_a_generation_is_free_for_a_batch(ava: Person) -> None:
    body, key = order(), new_key()
    generation = await ava.submit(body, key)
    answer = await ava.post("/batches", {"items": [body]}, {"Idempotency-Key": key})
    assert answer.json(202)["id"] != generation["id"]
