"""When something behind the app fails: what is unknown stays reserved, nothing is paid twice."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import aiohttp
import pytest

from tests.integration.api import GENERATION_ENDS, Json, Person, order, until
from tests.integration.cloud import UNKNOWN_HORIZON_S, Cloud

STORM_TIMEOUT_S = 60.0
AZURE_ROUTE = "POST /azure-openai/"


async def submitted(cloud: Cloud, body: Json) -> int:
    wanted = hashlib.sha256(body["prompt"].encode()).hexdigest()
    return (await cloud.submissions()).get(wanted, 0)


@pytest.fixture
async def faulty(own_cloud: Cloud) -> AsyncIterator[Cloud]:
    """The cloud, mended after the test."""
    yield own_cloud
    await own_cloud.no_cosmos_faults()
    await own_cloud.no_simulator_faults()


async def test_unknown_outcome_keeps_the_hold_until_the_horizon_then_books_the_maximum(
    own_cloud: Cloud, ledger: Cloud, pat: Person
) -> None:
    before = (await pat.get("/budgets/user:me")).json()
    bodies = [order(scenario="timeout_after_work"), order("sdxl", "timeout_after_work")]
    unknown = await asyncio.gather(*(pat.generate(body) for body in bodies))
    held = sum(generation["quote"]["amount_micros"] for generation in unknown)
    for body, generation in zip(bodies, unknown, strict=True):
        assert generation["status"] == "indeterminate"
        assert generation["failure"]["code"] == "outcome_unknown"
        assert generation["cost"] is None
        assert await submitted(own_cloud, body) == 1
        (await pat.delete(f"/generations/{generation['id']}")).problem(409, "already_ended")

    await own_cloud.fire("LedgerSweep")
    await asyncio.sleep(1)
    during = (await pat.get("/budgets/user:me")).json()
    assert during["reserved_micros"] - before["reserved_micros"] == held
    assert during["spent_micros"] == before["spent_micros"]

    age_s = time.time() - datetime.fromisoformat(unknown[-1]["created_at"]).timestamp()
    await asyncio.sleep(max(0.0, UNKNOWN_HORIZON_S - age_s) + 0.5)
    await own_cloud.fire("LedgerSweep")
    for body, generation in zip(bodies, unknown, strict=True):
        booked = await until(
            partial(pat.generation, generation["id"]), lambda g: g["status"] != "indeterminate"
        )
        assert booked["status"] == "failed"
        assert booked["cost"]["amount_micros"] == generation["quote"]["amount_micros"]
        assert booked["cost"]["usd_micros"] == generation["quote"]["usd_micros"]
        assert booked["cost"]["estimated"] is True
        assert await submitted(own_cloud, body) == 1
        [case] = await ledger.documents("ledger", "c.id = @id", id=f"case:{generation['id']}")
        assert case["kind"] == "outcome_unknown" and case["open"] is True
    after = (await pat.get("/budgets/user:me")).json()
    assert after["reserved_micros"] == before["reserved_micros"]
    assert after["spent_micros"] - before["spent_micros"] == held


async def test_batch_with_an_unknown_row_is_finished_by_the_sweep(
    own_cloud: Cloud, pat: Person
) -> None:
    batch = await pat.run_batch([order(), order(scenario="timeout_after_work"), order("sdxl")])
    assert batch["status"] == "indeterminate"
    rows = batch["rows"]
    assert (rows["succeeded"], rows["indeterminate"]) == (2, 1)
    first = (await pat.get(f"/batches/{batch['id']}/receipt")).json()
    assert [line["row"] for line in first["lines"]] == [1, 3]
    (await pat.delete(f"/batches/{batch['id']}")).problem(409, "already_ended")

    async def swept() -> Json:
        await own_cloud.fire("LedgerSweep")
        await asyncio.sleep(0.5)
        return await pat.batch(batch["id"])

    ended = await until(swept, lambda b: b["status"] != "indeterminate", 2 * UNKNOWN_HORIZON_S)
    assert ended["status"] == "completed"
    assert (ended["rows"]["failed"], ended["rows"]["indeterminate"]) == (1, 0), ended
    receipt = await until(
        lambda: pat.get(f"/batches/{batch['id']}/receipt"), lambda a: len(a.json()["lines"]) == 3
    )
    assert receipt.json()["amount_micros"] == ended["spent_micros"]


async def test_answer_of_the_provider_that_is_lost_is_unknown_and_never_sent_again(
    faulty: Cloud, pat: Person
) -> None:
    await faulty.simulator_fault(match=AZURE_ROUTE, kind="answer_lost", times=1)
    body = order()
    assert (await pat.generate(body))["status"] == "indeterminate"
    assert await submitted(faulty, body) == 1


async def test_provider_that_is_down_or_throttles_is_tried_again(
    faulty: Cloud, pat: Person
) -> None:
    await faulty.simulator_fault(match=AZURE_ROUTE, kind="throttle", retry_after_s=1, times=1)
    body = order()
    generation = await pat.generate(body)
    assert (generation["status"], generation["attempts"]) == ("succeeded", 2)
    assert await submitted(faulty, body) == 1


async def test_polls_that_fail_do_not_lose_the_job(faulty: Cloud, pat: Person) -> None:
    await faulty.simulator_fault(match="GET /replicate/v1/predictions", kind="error", times=2)
    await faulty.simulator_fault(match="GET /replicate/v1/predictions", kind="answer_lost", times=2)
    body = order("sdxl")
    generation = await pat.generate(body)
    assert (generation["status"], generation["attempts"]) == ("succeeded", 1)
    assert await submitted(faulty, body) == 1


async def test_picture_that_cannot_be_fetched_yet_is_fetched_by_the_sweep(
    faulty: Cloud, pat: Person
) -> None:
    body = order("flux-schnell")
    await faulty.simulator_fault(match="GET /replicate-delivery/", kind="error", status=503)
    generation = await pat.generate(body)
    assert generation["status"] == "indeterminate"
    await faulty.no_simulator_faults()

    async def swept() -> Json:
        await faulty.fire("LedgerSweep")
        await asyncio.sleep(0.3)
        return await pat.generation(generation["id"])

    ended = await until(swept, lambda g: g["status"] != "indeterminate", 20)
    assert ended["status"] == "succeeded"
    assert len(ended["images"]) == 1
    assert await submitted(faulty, body) == 1


async def test_store_that_does_not_answer_gives_503(faulty: Cloud, ava: Person) -> None:
    await faulty.cosmos_fault(match="/docs", kind="error", status=503)
    answer = await ava.get("/generations/202611-marketing-" + "0" * 32)
    problem = answer.problem(503, "unavailable")
    assert problem["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    ready = (await ava.get("/health/ready")).json(503)
    assert ready["status"] == "degraded"
    assert ready["checks"] | {"exchange_rate": "ok"} == {
        "cosmos": "failed",
        "storage": "ok",
        "receipt_keys": "ok",
        "exchange_rate": "ok",
    }
    assert (await ava.get("/health/live")).status == 200
    await faulty.no_cosmos_faults()
    assert (await ava.get("/health/ready")).status == 200


@pytest.mark.parametrize("kind", ["error", "answer_lost", "throttle"])
async def test_reservation_is_made_once_whatever_the_store_does(
    faulty: Cloud, pat: Person, kind: str
) -> None:
    body = order()
    await pat.submit(order())  # so that the person's document is read and only writes are faulted
    before = (await pat.get("/budgets/user:me")).json()
    key = {"Idempotency-Key": hashlib.sha256(body["prompt"].encode()).hexdigest()}
    await faulty.cosmos_fault(match="POST .*/ledger/docs", kind=kind, times=2, retry_after_s=0.1)
    answer = await pat.post("/generations", body, key)
    assert answer.status in (202, 503)
    await faulty.no_cosmos_faults()
    shown = (await pat.post("/generations", body, key)).json(202)
    await pat.ended_generation(shown["id"])
    assert await submitted(faulty, body) == 1
    assert before["limit_micros"] == (await pat.get("/budgets/user:me")).json()["limit_micros"]


async def test_storm_of_store_faults_loses_nothing_and_pays_nothing_twice(
    faulty: Cloud, finn: Person
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"storm seed {seed}")  # shown when the test fails
    for number, kind in enumerate(("error", "answer_lost", "throttle", "delay")):
        await faulty.cosmos_fault(
            match="/colls/(ledger|audit)/docs",
            kind=kind,
            probability=0.08,
            seed=seed + number,
            seconds=0.05,
            retry_after_s=0.05,
        )
    bodies = [order("sdxl" if n % 4 == 0 else "gpt-image-2") for n in range(16)]

    async def stubborn(body: Json) -> str:
        """A client that asks again until it is told, as the answers invite it to."""
        key = {"Idempotency-Key": hashlib.sha256(body["prompt"].encode()).hexdigest()}
        answer = await until(
            lambda: finn.post("/generations", body, key), lambda a: a.status == 202, STORM_TIMEOUT_S
        )
        return str(answer.json(202)["id"])

    async def batch() -> str:
        answer = await until(
            lambda: finn.post(
                "/batches", {"items": rows}, {"Idempotency-Key": f"storm-{seed}-{time.time_ns()}"}
            ),
            lambda a: a.status == 202,
            STORM_TIMEOUT_S,
        )
        return str(answer.json(202)["id"])

    rows = [order() for _ in range(25)]
    *ids, batch_id = await asyncio.gather(*map(stubborn, bodies), batch())
    await asyncio.sleep(1)
    await faulty.no_cosmos_faults()

    async def settled(generation_id: str) -> Json:
        await faulty.fire("LedgerSweep")
        return await finn.generation(generation_id)

    for generation_id in ids:
        ended = await until(
            partial(settled, generation_id), lambda g: g["status"] in GENERATION_ENDS
        )
        assert ended["status"] in ("succeeded", "indeterminate")
    ended_batch = await finn.ended_batch(batch_id)
    counts = ended_batch["rows"]
    assert counts["succeeded"] + counts["indeterminate"] + counts["failed"] == 25
    for body in bodies:
        assert await submitted(faulty, body) == 1
    for row in rows:
        assert await submitted(faulty, row) <= 1


@pytest.mark.parametrize(
    "activity",
    [
        "AttemptActivity",
        "SettleActivity",
        "DrawThumbnailsActivity",
        "OpenChunkActivity",
        "FinishBatchActivity",
    ],
)
async def test_activity_that_is_delivered_twice_acts_once(
    own_cloud: Cloud, pat: Person, activity: str
) -> None:
    spec = {"activity": activity, "probability": 1.0}
    await own_cloud.host_control("redeliver", spec)
    try:
        bodies = [order(), order("sdxl"), order(scenario="content_filter")]
        *singles, batch = await asyncio.gather(
            *(pat.generate(body) for body in bodies),
            pat.run_batch(rows := [order(), order("sdxl")]),
        )
    finally:
        await own_cloud.host_control("redeliver", spec | {"probability": 0.0})
    assert [single["status"] for single in singles] == ["succeeded", "succeeded", "refused"]
    assert batch["rows"]["succeeded"] == 2
    for body in (*bodies, *rows):
        assert await submitted(own_cloud, body) == 1


async def test_lost_orchestration_is_started_again_by_the_sweep(
    own_cloud: Cloud, pat: Person
) -> None:
    body = order(scenario="slow seconds=1")
    shown = await pat.submit(body)
    await until(lambda: submitted(own_cloud, body), lambda count: count == 1, 10)
    url = f"{own_cloud.host_url}/runtime/webhooks/durabletask/instances/{shown['id']}/terminate"
    async with own_cloud.session.post(url) as response:
        assert response.status == 202
    await asyncio.sleep(2)  # the call ends meanwhile, and its picture is kept

    async def swept() -> Json:
        await own_cloud.fire("LedgerSweep")
        await asyncio.sleep(0.3)
        return await pat.generation(shown["id"])

    ended = await until(swept, lambda g: g["status"] in GENERATION_ENDS, 20)
    assert ended["status"] == "succeeded"
    assert await submitted(own_cloud, body) == 1


async def test_identity_system_that_is_down_does_not_stop_known_keys(
    faulty: Cloud, ava: Person
) -> None:
    await faulty.simulator_fault(match="/v2.0/", kind="error", status=500)
    assert (await ava.get("/models")).status == 200


async def test_connection_that_breaks_during_a_wait_loses_nothing(
    cloud: Cloud, ava: Person
) -> None:
    body = order(scenario="slow seconds=1")
    key = {"Idempotency-Key": f"gone-{datetime.now(UTC).timestamp()}", "Prefer": "wait=60"}
    timeout = aiohttp.ClientTimeout(total=0.5)
    with pytest.raises(TimeoutError):
        await ava.send("POST", "/generations", json=body, headers=key, timeout=timeout)
    answer = await ava.post("/generations", body, key)
    assert answer.json()["status"] == "succeeded"
    assert await submitted(cloud, body) == 1
