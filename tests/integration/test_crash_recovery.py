"""The host is killed as `kill -9` does, in the middle of work: nothing is lost or paid twice."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from devhost.stack import HOST
from tests.integration.api import GENERATION_ENDS, Json, Person, order, until
from tests.integration.books import invoiced_usd_micros, wait_until_settled
from tests.integration.cloud import UNKNOWN_HORIZON_S, Cloud

ROWS = 60
KILLS = 3
LIFE_S_MAX = 2.5  # of the host between two kills: a wave takes a second
BATCH_TIMEOUT_S = 240.0


@pytest.fixture(autouse=True)
async def _host_is_up_again(own_cloud: Cloud) -> AsyncIterator[None]:
    """A test that fails while the host is down must not take the other modules along."""
    yield
    assert own_cloud.stack is not None
    if own_cloud.stack.supervisor.running[HOST].process.returncode is not None:
        await own_cloud.kill_host()
        await own_cloud.start_host()


async def submissions_of(cloud: Cloud, bodies: list[Json]) -> list[int]:
    counts = await cloud.submissions()
    return [counts.get(hashlib.sha256(body["prompt"].encode()).hexdigest(), 0) for body in bodies]


async def swept_batch(cloud: Cloud, person: Person, batch_id: str) -> Json:
    await cloud.fire("LedgerSweep")
    await asyncio.sleep(0.5)
    return await person.batch(batch_id)


async def test_batch_survives_kill_9_at_random_moments(own_cloud: Cloud, mia: Person) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"kill seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    rows = [
        order(scenario="slow seconds=1") if n % 3 else order("sdxl", "slow seconds=2", seed=n)
        for n in range(ROWS)
    ]
    batch = (await mia.post("/batches", {"items": rows}, {"Idempotency-Key": str(seed)})).json(202)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.2, LIFE_S_MAX))
        await own_cloud.kill_host()
        await own_cloud.start_host()
        assert (await mia.post("/batches", {"items": rows}, {"Idempotency-Key": str(seed)})).json(
            202
        )["id"] == batch["id"]
    ended = await mia.ended_batch(batch["id"], BATCH_TIMEOUT_S)
    counts = ended["rows"]
    # On a slow machine the horizon passes for the earliest before the last row has ended.
    assert counts["succeeded"] + counts["indeterminate"] + counts["failed"] == ROWS
    assert max(await submissions_of(own_cloud, rows)) == 1

    # What was in flight at a kill is unknown; it keeps its money until it is booked.
    entries, hold = await entries_and_hold(own_cloud, batch["id"])
    invoiced = await invoiced_for(own_cloud, rows)
    booked = sum(entry["usd_micros"] for entry in entries)
    still_held = hold["usd_micros"] - sum(await quoted_usd_micros(own_cloud, entries))
    assert invoiced <= booked + still_held

    settled = await until(
        lambda: swept_batch(own_cloud, mia, batch["id"]),
        lambda b: b["rows"]["indeterminate"] == 0,
        UNKNOWN_HORIZON_S + 30,
    )
    assert settled["rows"]["succeeded"] >= counts["succeeded"]
    assert settled["rows"]["succeeded"] + settled["rows"]["failed"] == ROWS
    await until(
        lambda: swept_batch(own_cloud, mia, batch["id"]), lambda b: b["status"] == "completed"
    )

    entries, hold = await entries_and_hold(own_cloud, batch["id"])
    assert Counter(entry["row"] for entry in entries) == Counter(range(1, ROWS + 1))
    assert hold["open_rows"] == hold["remaining_micros"] == 0
    assert await invoiced_for(own_cloud, rows) <= sum(entry["usd_micros"] for entry in entries)
    receipt = (await mia.get(f"/batches/{batch['id']}/receipt")).json()
    assert len(receipt["lines"]) == ROWS
    assert max(await submissions_of(own_cloud, rows)) == 1


async def entries_and_hold(cloud: Cloud, batch_id: str) -> tuple[list[Json], Json]:
    entries = await cloud.documents(
        "ledger", "c.type = 'resolution' AND c.operation_id = @batch", batch=batch_id
    )
    [hold] = await cloud.documents("ledger", "c.id = @id", id=f"h:{batch_id}")
    return entries, hold


async def quoted_usd_micros(cloud: Cloud, entries: list[Json]) -> list[int]:
    """What was held, in the provider's money, for rows that have ended."""
    if not entries:
        return []
    records = await cloud.documents(
        "ledger", "c.type = 'generation' AND c.batch_id = @batch", batch=entries[0]["operation_id"]
    )
    by_id = {record["generation_id"]: record["quote"]["usd_micros"] for record in records}
    return [by_id[entry["generation_id"]] for entry in entries]


async def invoiced_for(cloud: Cloud, bodies: list[Json]) -> int:
    wanted = {hashlib.sha256(body["prompt"].encode()).hexdigest() for body in bodies}
    lines = [line for line in await cloud.invoice_lines() if line["prompt_sha256"] in wanted]
    return sum(invoiced_usd_micros(lines).values())


@pytest.mark.parametrize("model", ["sdxl", "firefly-image3", "firefly-image5"])
async def test_job_of_a_provider_is_taken_up_by_its_id_after_kill_9(
    own_cloud: Cloud, mia: Person, model: str
) -> None:
    body = order(model, "slow seconds=4")
    shown = await mia.submit(body)

    async def job_id() -> str | None:
        found = await own_cloud.documents("ledger", "c.id = @id", id=f"a:{shown['id']}:1")
        return found[0]["job_id"] if found else None

    job = await until(job_id, lambda value: value, 60)
    await own_cloud.kill_host()
    await own_cloud.start_host()
    ended = await mia.ended_generation(shown["id"])
    assert ended["status"] == "succeeded"
    assert ended["attempts"] == 1
    assert await submissions_of(own_cloud, [body]) == [1]
    [entry] = await own_cloud.documents("ledger", "c.id = @id", id=f"x:{shown['id']}")
    assert entry["job_id"] == job
    assert entry["usd_micros"] == await invoiced_for(own_cloud, [body]) > 0


@pytest.mark.parametrize(
    ("point", "activity"),
    [
        ("before_activity", "AttemptActivity"),
        ("after_activity", "AttemptActivity"),
        ("after_activity", "SettleActivity"),
        ("after_activity", "DrawThumbnailsActivity"),
        ("after_activity", "FinishBatchActivity"),
    ],
)
async def test_work_goes_on_after_a_crash_around_an_activity(
    own_cloud: Cloud, mia: Person, point: str, activity: str
) -> None:
    await own_cloud.host_control("crash", {"on": point, "name": activity})
    rows = [order(), order("sdxl"), order(scenario="content_filter")]
    batch = (await mia.post("/batches", {"items": rows})).json(202)
    assert own_cloud.stack is not None
    process = own_cloud.stack.supervisor.running[HOST].process
    await asyncio.wait_for(process.wait(), 30)
    await own_cloud.kill_host()
    await own_cloud.start_host()
    ended = await mia.ended_batch(batch["id"])
    counts = ended["rows"]
    # Only a call that was under way when the host died may have an unknown outcome.
    assert counts["succeeded"] + counts["refused"] + counts["indeterminate"] == len(rows)
    if activity != "AttemptActivity":
        assert counts["indeterminate"] == 0
    assert max(await submissions_of(own_cloud, rows)) == 1


async def test_generation_is_complete_after_a_crash_between_picture_and_commit(
    own_cloud: Cloud, mia: Person
) -> None:
    await own_cloud.host_control("crash", {"on": "after_activity", "name": "AttemptActivity"})
    bodies = [order()]
    shown = await mia.submit(bodies[0])
    assert own_cloud.stack is not None
    await asyncio.wait_for(own_cloud.stack.supervisor.running[HOST].process.wait(), 30)
    await own_cloud.kill_host()
    await own_cloud.start_host()
    ended = await until(
        lambda: mia.generation(shown["id"]), lambda g: g["status"] in GENERATION_ENDS
    )
    assert ended["status"] == "succeeded"
    assert ended["cost"]["usd_micros"] == await invoiced_for(own_cloud, bodies)
    assert await submissions_of(own_cloud, bodies) == [1]
    await wait_until_settled(own_cloud)
