"""Rows with a deadline over HTTP: the provider's batch price, and what happens when it is late."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256

from tests.integration.api import Json, Person, order, until
from tests.integration.batch_files import as_csv, read_csv
from tests.integration.books import invoiced_usd_micros
from tests.integration.cloud import Cloud

OUTPUT_USD_MICROS = 196 * 30  # of a small picture of low quality


def waiting(scenario: str | None = None, **fields: str) -> Json:
    return order(scenario=scenario, deadline="24h", **fields)


async def send(person: Person, rows: list[Json]) -> Json:
    csv = {"Content-Type": "text/csv"}
    return (await person.send("POST", "/batches", data=as_csv(rows), headers=csv)).json(202)


async def receipt_of(person: Person, batch_id: str) -> Json:
    receipt: Json = (await person.get(f"/batches/{batch_id}/receipt")).json()
    return receipt


async def entries_of(cloud: Cloud, batch_id: str) -> dict[str, Json]:
    found = await cloud.documents(
        "ledger", "c.type = 'resolution' AND c.operation_id = @id", id=batch_id
    )
    return {entry["item_id"]: entry for entry in found}


async def claims_of(cloud: Cloud, batch_id: str) -> list[Json]:
    return await cloud.documents(
        "ledger", "c.type = 'provider_batch' AND c.batch_id = @id", id=batch_id
    )


async def provider_batch(cloud: Cloud, job_id: str) -> Json:
    url = f"{cloud.simulators_url}/azure-openai/openai/v1/batches/{job_id}"
    async with cloud.session.get(url, headers={"api-key": "any"}) as answer:
        assert answer.status == 200
        job: Json = await answer.json()
        return job


async def test_rows_that_wait_cost_half_and_late_ones_fall_back(
    finn: Person, ledger: Cloud
) -> None:
    rows = [
        waiting(id="cheap"),
        waiting("batch_expires seconds=1", id="late"),
        order(id="now"),
        order("sdxl", id="no-batch-price", seed="5") | {"deadline": "24h"},
        order(id="faulty") | {"deadline": "7d"},
    ]
    batch = await send(finn, rows)
    assert batch["deadline_rows"] == 2
    ended = await finn.ended_batch(batch["id"])
    assert (ended["status"], ended["rows"]["succeeded"], ended["rows"]["invalid"]) == (
        "completed", 4, 1,
    )  # fmt: skip

    entries = await entries_of(ledger, batch["id"])
    cheap, late, now = entries["cheap"], entries["late"], entries["now"]
    assert cheap["usd_micros"] == -(-cheap["list_usd_micros"] // 2)
    assert cheap["list_usd_micros"] > OUTPUT_USD_MICROS
    assert (cheap["attempt"], late["attempt"], now["attempt"]) == (1, 2, 1)
    for full in (late, now, entries["no-batch-price"]):
        assert full["usd_micros"] == full["list_usd_micros"]
    (claim,) = await claims_of(ledger, batch["id"])
    assert cheap["job_id"] == f"{claim['job_id']}/{cheap['generation_id']}:1"
    assert late["job_id"] is None

    receipt = await receipt_of(finn, batch["id"])
    booked = [(e["amount_micros"], e["usd_micros"]) for e in entries.values()]
    assert receipt["amount_micros"] == sum(amount for amount, _ in booked) == ended["spent_micros"]
    assert receipt["usd_micros"] == sum(usd for _, usd in booked)
    rate = cheap["aud_per_usd_micros"]
    saved = -(-cheap["list_usd_micros"] * rate // 1_000_000) - cheap["amount_micros"]
    assert receipt["saved_micros"] == ended["saved_micros"] == saved > 0
    assert receipt["list_usd_micros"] - receipt["usd_micros"] == (
        cheap["list_usd_micros"] - cheap["usd_micros"]
    )

    invoiced = invoiced_usd_micros(await ledger.invoice_lines())
    assert invoiced[cheap["job_id"]] == cheap["usd_micros"]
    assert invoiced[late["generation_id"]] == late["usd_micros"]
    items = await finn.listed(f"/batches/{batch['id']}/items")
    assert {fault["field"] for fault in items[4]["faults"]} == {"/deadline"}
    content = await finn.get(f"/images/{items[0]['generation']['images'][0]['id']}/content")
    assert content.content.startswith(b"\x89PNG")


async def test_receipt_in_csv_tells_the_full_price_beside_the_paid_one(finn: Person) -> None:
    batch = await finn.run_batch([waiting(), waiting()])
    lines = read_csv((await finn.get(f"/batches/{batch['id']}/receipt", {"format": "csv"})).content)
    assert len(lines) == 2
    assert all(int(line["usd_micros"]) == -(-int(line["list_usd_micros"]) // 2) for line in lines)


async def test_lines_end_each_in_its_own_way(finn: Person, ledger: Cloud) -> None:
    rows = [
        waiting("content_filter", id="refused"),
        waiting("rate_limited times=1", id="busy"),
        waiting("not_an_image", id="broken"),
        waiting("outage times=1", id="down"),
        waiting("batch_no_line", id="unlisted"),
    ]
    batch = await finn.ended_batch((await send(finn, rows))["id"])
    entries = await entries_of(ledger, batch["id"])
    assert {name: (e["status"], e["attempt"]) for name, e in entries.items()} == {
        "refused": ("refused", 1),
        "busy": ("succeeded", 2),
        "broken": ("failed", 1),
        "down": ("succeeded", 2),
        "unlisted": ("failed", 1),
    }
    assert entries["refused"]["usd_micros"] == OUTPUT_USD_MICROS // 2
    invoiced = invoiced_usd_micros(await ledger.invoice_lines())
    assert entries["broken"]["usd_micros"] == invoiced[entries["broken"]["job_id"]]
    assert not entries["broken"]["estimated"]
    assert entries["unlisted"]["estimated"]


async def test_row_whose_result_is_missing_from_an_expired_job_is_booked_and_not_paid_again(
    finn: Person, ledger: Cloud
) -> None:
    rows = [waiting("batch_no_line", id="unlisted"), waiting("batch_expires seconds=1", id="late")]
    batch = await finn.ended_batch((await send(finn, rows))["id"])
    entries = await entries_of(ledger, batch["id"])
    (claim,) = await claims_of(ledger, batch["id"])
    assert (await provider_batch(ledger, claim["job_id"]))["status"] == "expired"
    assert {name: (e["status"], e["attempt"]) for name, e in entries.items()} == {
        "unlisted": ("failed", 1),
        "late": ("succeeded", 2),
    }
    assert entries["unlisted"]["estimated"]
    lines = await ledger.invoice_lines()
    for name, row in zip(("unlisted", "late"), rows, strict=True):
        prompt_sha256 = sha256(row["prompt"].encode()).hexdigest()
        billed = sum(x["usd_micros"] for x in lines if x["prompt_sha256"] == prompt_sha256)
        assert 0 < billed <= entries[name]["usd_micros"]


async def test_batch_that_the_provider_rejects_is_carried_out_at_once(
    finn: Person, ledger: Cloud
) -> None:
    batch = await finn.ended_batch((await send(finn, [waiting("batch_rejected")]))["id"])
    assert (batch["rows"]["succeeded"], batch["saved_micros"]) == (1, 0)
    (claim,) = await claims_of(ledger, batch["id"])
    job = await provider_batch(ledger, claim["job_id"])
    assert (job["status"], job["request_counts"]["completed"]) == ("failed", 0)


async def test_submission_whose_answer_is_lost_is_found_and_not_repeated(
    finn: Person, own_cloud: Cloud
) -> None:
    await own_cloud.simulator_fault(
        match="^POST /azure-openai/openai/v1/batches$", kind="answer_lost", times=1
    )
    row = waiting()
    batch = await finn.ended_batch((await send(finn, [row]))["id"])
    assert batch["rows"]["succeeded"] == 1
    assert batch["saved_micros"] > 0
    submitted = await own_cloud.submissions()
    entries = await entries_of(own_cloud, batch["id"])
    (claim,) = await claims_of(own_cloud, batch["id"])
    assert entries["row-1"]["job_id"].startswith(claim["job_id"])
    assert submitted[sha256(row["prompt"].encode()).hexdigest()] == 1


async def test_cancel_stops_the_provider_batch_and_keeps_what_it_made(
    finn: Person, ledger: Cloud
) -> None:
    rows = [waiting(id="made"), waiting("batch_stuck", id="stuck")]
    batch = await send(finn, rows)
    sent = await until(lambda: claims_of(ledger, batch["id"]), lambda c: c and c[0]["job_id"])
    job_id = sent[0]["job_id"]
    await until(
        lambda: provider_batch(ledger, job_id), lambda j: j["request_counts"]["completed"] == 1
    )
    assert (await finn.delete(f"/batches/{batch['id']}")).status == 202
    ended = await finn.ended_batch(batch["id"])
    assert ended["status"] == "canceled"
    entries = await entries_of(ledger, batch["id"])
    assert (entries["made"]["status"], entries["stuck"]["status"]) == ("succeeded", "canceled")
    assert entries["stuck"]["usd_micros"] == 0
    assert (await provider_batch(ledger, job_id))["status"] == "cancelled"


async def test_host_that_dies_while_the_provider_works_pays_nothing_twice(
    finn: Person, own_cloud: Cloud
) -> None:
    rows = [waiting("slow seconds=3", id=f"row-{n}") for n in range(3)]
    batch = await send(finn, rows)
    await until(lambda: claims_of(own_cloud, batch["id"]), lambda c: c and c[0]["job_id"])
    await own_cloud.kill_host()
    await asyncio.sleep(0.5)
    await own_cloud.start_host()
    ended = await finn.ended_batch(batch["id"])
    assert ended["rows"]["succeeded"] == 3
    (claim,) = await claims_of(own_cloud, batch["id"])
    entries = await entries_of(own_cloud, batch["id"])
    invoiced = invoiced_usd_micros(await own_cloud.invoice_lines())
    for entry in entries.values():
        assert entry["job_id"].startswith(f"{claim['job_id']}/")
        assert invoiced[entry["job_id"]] == entry["usd_micros"]


async def test_deadline_of_another_length_answers_422(finn: Person) -> None:
    answer = await finn.post("/batches", {"items": [order() | {"deadline": "1h"}]})
    assert answer.status == 422
    assert "deadline" in json.dumps(answer.json(422)["errors"])
