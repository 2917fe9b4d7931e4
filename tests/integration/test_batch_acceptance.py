"""Batches that the budget does not cover in full, and receipts that anybody can check."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.verify_receipt import main as verify_receipt
from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.batch_files import as_csv, read_csv
from tests.integration.cloud import Cloud, organisation

ROW_MICROS = 4_620  # one flux-schnell picture: 3,000 micro-USD at 1.54
AMPLE = 50_000_000
CSV = {"Content-Type": "text/csv"}


@dataclass(frozen=True)
class Team:
    """People of a department of their own; each has an own limit."""

    ten: Person  # may spend ten rows and a bit
    crowd: Person  # twenty-five rows
    signed: Person
    asks: Person  # two rows
    slot: Person  # three rows
    manager: Person


@pytest.fixture(scope="module")
async def team(own_cloud: Cloud) -> Team:
    limits = [10 * ROW_MICROS + 100, 25 * ROW_MICROS, AMPLE, 2 * ROW_MICROS, 3 * ROW_MICROS, AMPLE]
    roles = ["StandardUser"] * 5 + ["DeptManager"]
    file = organisation("acceptance", AMPLE, limits, roles)
    await own_cloud.seed(file)
    people = [await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]]
    return Team(*people)


def rows(number: int) -> list[Json]:
    return [order("flux-schnell", id=f"r-{n}") for n in range(1, number + 1)]


async def submit(person: Person, items: list[Json], acceptance: str | None = None) -> Answer:
    body: Json = {"items": items} | ({"acceptance": acceptance} if acceptance else {})
    return await person.post("/batches", body)


async def available(person: Person) -> int:
    return int((await person.get("/budgets/user:me")).json()["available_micros"])


async def test_batch_is_refused_whole_unless_it_asks_for_less(team: Team) -> None:
    before = await available(team.ten)
    for acceptance in (None, "all"):
        refusal = (await submit(team.ten, rows(12), acceptance)).problem(402, "budget_exceeded")
        assert refusal["would_fit"] == {"rows": 10}
    assert await available(team.ten) == before


async def test_one_row_that_costs_more_than_is_left_is_refused(team: Team) -> None:
    dear = [order("flux-schnell", count=4), *rows(1)]
    answer = await submit(team.asks, dear, "as_many_as_fit")
    assert answer.problem(402, "budget_exceeded")["would_fit"] == {"rows": 0}


async def test_rows_that_fit_are_carried_out_and_the_others_are_named(
    own_cloud: Cloud, team: Team
) -> None:
    items = rows(15)
    items[2]["size"] = "1x1"  # at fault, so it takes no money
    params = {"acceptance": "as_many_as_fit"}
    headers = CSV | {"Idempotency-Key": "fit-1"}
    answer = await team.ten.send(
        "POST", "/batches", params=params, data=as_csv(items), headers=headers
    )
    batch = answer.json(202)
    assert batch["acceptance"] == "as_many_as_fit"
    assert batch["quoted_micros"] == 10 * ROW_MICROS
    again = await team.ten.send(
        "POST", "/batches", params=params, data=as_csv(items), headers=headers
    )
    assert again.json(202)["id"] == batch["id"]
    other = await team.ten.send("POST", "/batches", data=as_csv(items), headers=headers)
    other.problem(422, "idempotency_key_reused")

    ended = await team.ten.ended_batch(batch["id"])
    counts = ended["rows"]
    assert (counts["total"], counts["valid"], counts["invalid"], counts["over_budget"]) == (
        15, 10, 1, 4,
    )  # fmt: skip
    assert (ended["status"], counts["succeeded"], ended["progress"]) == ("completed", 10, 1)
    shown = await team.ten.listed(f"/batches/{batch['id']}/items")
    assert [item["status"] for item in shown] == [
        *["succeeded"] * 2, "invalid", *["succeeded"] * 8, *["over_budget"] * 4,
    ]  # fmt: skip
    assert shown[11]["faults"][0]["message"].startswith("over_budget")
    assert shown[11]["quoted_micros"] == ROW_MICROS
    errors = await own_cloud.result_file(batch["id"], "errors.csv")
    assert errors is not None
    assert [line["row"] for line in read_csv(errors)] == ["3", "12", "13", "14", "15"]
    receipt = (await team.ten.get(f"/batches/{batch['id']}/receipt")).json()
    assert receipt["amount_micros"] == ended["spent_micros"] == 10 * ROW_MICROS
    assert receipt["over_budget"] == [
        {"row": n, "item_id": f"r-{n}", "quoted_micros": ROW_MICROS} for n in range(12, 16)
    ]
    assert await available(team.ten) == 100


async def test_batches_at_the_same_moment_share_what_there_is(team: Team) -> None:
    answers = await asyncio.gather(
        *(submit(team.crowd, rows(10), "as_many_as_fit") for _ in range(5))
    )
    accepted = [answer.json(202) for answer in answers if answer.status == 202]
    for answer in answers:
        if answer.status != 202:
            answer.problem(402, "budget_exceeded")
    assert sum(batch["rows"]["valid"] for batch in accepted) == 25
    for batch in accepted:
        assert (await team.crowd.ended_batch(batch["id"]))["status"] == "completed"
    assert await available(team.crowd) == 0


async def test_batch_that_asks_waits_for_somebody_else(team: Team) -> None:
    batch = (await submit(team.asks, rows(5), "ask_approval")).json(202)
    assert batch["status"] == "awaiting_approval"
    assert await available(team.asks) == 2 * ROW_MICROS
    decision = {"decision": "approve", "comment": "go"}
    (await team.manager.post(f"/approvals/{batch['id']}/decisions", decision)).json()
    ended = await until(
        lambda: team.asks.batch(batch["id"]),
        lambda seen: seen["status"] not in ("running", "awaiting_approval"),
    )
    assert (ended["status"], ended["rows"]["succeeded"]) == ("completed", 5)


async def test_batch_that_fits_does_not_ask(team: Team) -> None:
    batch = (await submit(team.signed, rows(1), "ask_approval")).json(202)
    assert batch["status"] == "running"
    assert (await team.signed.ended_batch(batch["id"]))["rows"]["over_budget"] == 0


async def test_uploaded_file_is_taken_as_its_slot_says(own_cloud: Cloud, team: Team) -> None:
    body = {"file_name": "rows.csv", "acceptance": "as_many_as_fit"}
    slot = (await team.slot.post("/batches/uploads", body)).json(201)
    async with own_cloud.session.put(
        slot["upload_url"], data=as_csv(rows(5)), headers={"x-ms-blob-type": "BlockBlob"}
    ) as response:
        assert response.status == 201
    seen = await until(
        lambda: _slot(team.slot, slot["id"]), lambda found: found["batch_ids"], timeout_s=90
    )
    ended = await team.slot.ended_batch(seen["batch_ids"][0])
    assert (ended["rows"]["valid"], ended["rows"]["over_budget"]) == (3, 2)


async def _slot(person: Person, slot_id: str) -> Json:
    return (await person.get(f"/batches/uploads/{slot_id}")).json()


async def test_receipt_is_signed_and_can_be_checked_by_anybody(
    own_cloud: Cloud, team: Team, nobody: Person, tmp_path: Path
) -> None:
    batch = await team.signed.run_batch(rows(2))
    path = f"/batches/{batch['id']}/receipt"
    receipt = await team.signed.get(path)
    signature = await team.signed.get(path, {"format": "jws"})
    assert signature.headers["Content-Type"].startswith("application/jose")
    keys = (await nobody.get("/keys")).json()
    for name, content in (("receipt.json", receipt.content), ("signature", signature.content)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "keys").write_text(json.dumps(keys))
    arguments = [str(tmp_path / name) for name in ("receipt.json", "signature", "keys")]
    assert verify_receipt(arguments) == 0
    assert await own_cloud.result_file(batch["id"], "receipt.json") == receipt.content
    assert await own_cloud.result_file(batch["id"], "receipt.json.jws") == signature.content

    total = str(json.loads(receipt.content)["amount_micros"]).encode()
    (tmp_path / "receipt.json").write_bytes(receipt.content.replace(total, b"1", 1))
    assert verify_receipt(arguments) == 1
