"""Batches over HTTP: rows in, progress, pages, results, receipt, cancel."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter

import pytest

from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.batch_files import as_csv, as_jsonl, read_csv
from tests.integration.books import invoiced_usd_micros
from tests.integration.cloud import Cloud


def mixed_rows() -> list[Json]:
    """Seven rows: both providers, several pictures, a refusal, two that are not valid."""
    return [
        order(id="a-1", count=2),
        order("sdxl", id="b-2", seed=7),
        order("flux-schnell", id="c-3", count=2),
        order(scenario="content_filter", id="d-4"),
        order(id="e-5", quality="best"),
        order("sdxl", "nsfw", id="f-6"),
        order(id="g-7", size="1x1"),
    ]


async def send_rows(person: Person, rows: list[Json], media_type: str) -> Answer:
    if media_type == "application/json":
        return await person.post("/batches", {"items": rows})
    body = as_csv(rows) if media_type == "text/csv" else as_jsonl(rows)
    return await person.send("POST", "/batches", data=body, headers={"Content-Type": media_type})


@pytest.fixture(scope="module")
async def mixed(finn: Person) -> Json:
    """An ended batch of the rows above."""
    answer = await send_rows(finn, mixed_rows(), "text/csv")
    return await finn.ended_batch(answer.json(202)["id"])


async def test_submit_answers_202_and_where_to_look(finn: Person) -> None:
    answer = await finn.post("/batches", {"items": [order()]})
    batch = answer.json(202)
    assert answer.headers["Operation-Location"] == f"/api/v1/batches/{batch['id']}"
    assert batch["status"] == "running"
    assert batch["source"]["kind"] == "http"
    assert batch["rows"]["total"] == batch["rows"]["valid"] == 1
    assert batch["progress"] == 0
    ended = await finn.ended_batch(batch["id"])
    assert ended["status"] == "completed"
    assert ended["progress"] == 1
    assert ended["quoted_micros"] == batch["quoted_micros"] >= ended["spent_micros"] > 0


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/jsonl", "application/x-ndjson"]
)
async def test_every_kind_of_body_becomes_a_batch(finn: Person, media_type: str) -> None:
    rows = [order(id="one"), order("sdxl", id="two", seed=3), order(id="three", count=2)]
    answer = await send_rows(finn, rows, media_type)
    batch = await finn.ended_batch(answer.json(202)["id"])
    assert batch["rows"]["succeeded"] == 3
    assert batch["images"] == 4
    items = await finn.listed(f"/batches/{batch['id']}/items")
    assert [item["item_id"] for item in items] == ["one", "two", "three"]
    assert [item["generation"]["request"]["prompt"] for item in items] == [
        row["prompt"] for row in rows
    ]


async def test_rows_end_each_in_its_own_way(mixed: Json) -> None:
    assert mixed["status"] == "completed"
    rows = mixed["rows"]
    assert (rows["total"], rows["valid"], rows["invalid"]) == (7, 5, 2)
    assert (rows["succeeded"], rows["refused"], rows["failed"]) == (3, 2, 0)
    assert mixed["images"] == 5
    assert mixed["progress"] == 1


async def test_items_tell_rows_in_file_order(finn: Person, mixed: Json) -> None:
    items = await finn.listed(f"/batches/{mixed['id']}/items")
    assert [item["row"] for item in items] == [1, 2, 3, 4, 5, 6, 7]
    assert [item["item_id"] for item in items] == [
        "a-1", "b-2", "c-3", "d-4", "e-5", "f-6", "g-7",
    ]  # fmt: skip
    by_id = {item["item_id"]: item for item in items}
    assert by_id["e-5"]["status"] == by_id["g-7"]["status"] == "invalid"
    assert {fault["field"] for fault in by_id["e-5"]["faults"]} == {"/quality"}
    assert {fault["field"] for fault in by_id["g-7"]["faults"]} == {"/size"}
    assert by_id["d-4"]["status"] == by_id["f-6"]["status"] == "refused"
    assert by_id["e-5"]["generation"] is None
    quoted = sum(item["quoted_micros"] or 0 for item in items)
    assert quoted == mixed["quoted_micros"]


async def test_items_come_in_pages(finn: Person, mixed: Json) -> None:
    path = f"/batches/{mixed['id']}/items"
    first = (await finn.get(path, {"limit": "3"})).json()
    assert [item["row"] for item in first["items"]] == [1, 2, 3]
    paged = await finn.listed(path, limit="3")
    assert paged == await finn.listed(path)
    beyond = (await finn.get(path, {"continuation": "900"})).json()
    assert beyond == {"items": [], "continuation": None}


@pytest.mark.parametrize("continuation", ["-1", "x", "1.5", "9999999", "١"])
async def test_forged_continuation_answers_422(
    finn: Person, mixed: Json, continuation: str
) -> None:
    answer = await finn.get(f"/batches/{mixed['id']}/items", {"continuation": continuation})
    answer.problem(422, "invalid")
    assert answer.fields() == {"/continuation"}


async def test_row_is_shown_as_a_generation(finn: Person, mixed: Json) -> None:
    row = await finn.generation(f"{mixed['id']}.00001")
    assert row["batch_id"] == mixed["id"]
    assert row["row"] == 1
    assert row["item_id"] == "a-1"
    assert len(row["images"]) == 2
    content = await finn.get(f"/images/{row['images'][1]['id']}/content")
    assert hashlib.sha256(content.content).hexdigest() == row["images"][1]["sha256"]
    invalid = await finn.get(f"/generations/{mixed['id']}.00005")
    invalid.problem(404, "not_found")


async def test_row_is_canceled_with_its_batch_only(finn: Person, mixed: Json) -> None:
    (await finn.delete(f"/generations/{mixed['id']}.00001")).problem(409, "part_of_batch")


async def test_errors_file_names_the_rows_at_fault(files: Cloud, mixed: Json) -> None:
    content = await files.result_file(mixed["id"], "errors.csv")
    assert content is not None
    errors = read_csv(content)
    assert [(e["row"], e["item_id"], e["field"]) for e in errors] == [
        ("5", "e-5", "/quality"),
        ("7", "g-7", "/size"),
    ]


async def test_results_file_holds_each_row_that_was_carried_out(
    files: Cloud, finn: Person, mixed: Json
) -> None:
    content = await files.result_file(mixed["id"], "results.jsonl")
    assert content is not None
    shown = [json.loads(line) for line in content.splitlines()]
    items = await finn.listed(f"/batches/{mixed['id']}/items")
    assert shown == [item["generation"] for item in items if item["generation"]]


async def test_receipt_equals_ledger_and_invoice(ledger: Cloud, finn: Person, mixed: Json) -> None:
    receipt = (await finn.get(f"/batches/{mixed['id']}/receipt")).json()
    entries = await ledger.documents(
        "ledger", "c.type = 'resolution' AND c.operation_id = @batch", batch=mixed["id"]
    )
    assert [line["row"] for line in receipt["lines"]] == [1, 2, 3, 4, 6]
    by_row = {entry["row"]: entry for entry in entries}
    for line in receipt["lines"]:
        assert line.items() <= by_row[line["row"]].items()
    for name in ("amount_micros", "usd_micros"):
        total = sum(entry[name] for entry in entries)
        assert receipt[name] == total
        assert sum(provider[name] for provider in receipt["providers"]) == total
    assert receipt["amount_micros"] == mixed["spent_micros"]
    assert receipt["quoted_micros"] == mixed["quoted_micros"]
    assert receipt["rows"] == mixed["rows"]
    invoiced = invoiced_usd_micros(await ledger.invoice_lines())
    references = {entry["job_id"] or entry["generation_id"] for entry in entries}
    assert sum(invoiced[reference] for reference in references) == receipt["usd_micros"]


async def test_receipt_csv_is_the_receipt(finn: Person, mixed: Json) -> None:
    receipt = (await finn.get(f"/batches/{mixed['id']}/receipt")).json()
    answer = await finn.get(f"/batches/{mixed['id']}/receipt", {"format": "csv"})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = read_csv(answer.content)
    for line, told in zip(lines, receipt["lines"], strict=True):
        assert line == {name: "" if v is None else str(v) for name, v in told.items()}
    assert sum(int(line["amount_micros"]) for line in lines) == receipt["amount_micros"]


async def test_receipt_of_another_format_answers_422(finn: Person, mixed: Json) -> None:
    answer = await finn.get(f"/batches/{mixed['id']}/receipt", {"format": "pdf"})
    answer.problem(422, "invalid")


async def test_receipt_comes_at_the_end_only(finn: Person) -> None:
    batch = (await finn.post("/batches", {"items": [order(scenario="slow seconds=1")]})).json(202)
    (await finn.get(f"/batches/{batch['id']}/receipt")).problem(409, "no_receipt")
    items = (await finn.get(f"/batches/{batch['id']}/items")).json()["items"]
    assert [item["status"] for item in items] == ["waiting"]
    await finn.ended_batch(batch["id"])
    assert (await finn.get(f"/batches/{batch['id']}/receipt")).status == 200


async def test_batch_without_a_valid_row_answers_422(finn: Person) -> None:
    rows = [order(size="1x1"), order(quality="best")]
    answer = await send_rows(finn, rows, "text/csv")
    answer.problem(422, "no_valid_rows")
    assert answer.fields() == {"/rows/1/size", "/rows/2/quality"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"id,model,prompt\n", "no_rows"),
        (b"id,model,prompt,colour\na,sdxl,x,red\n", "columns_unknown"),
        (b"PK\x03\x04 rows", "file_not_text"),
    ],
)
async def test_csv_body_that_cannot_be_read_answers_422(
    finn: Person, content: bytes, code: str
) -> None:
    answer = await finn.send("POST", "/batches", data=content, headers={"Content-Type": "text/csv"})
    answer.problem(422, code)


async def test_duplicate_ids_are_faults_of_the_later_rows(finn: Person) -> None:
    batch = (await finn.post("/batches", {"items": [order(id="x"), order(id="x")]})).json(202)
    assert (batch["rows"]["valid"], batch["rows"]["invalid"]) == (1, 1)
    await finn.ended_batch(batch["id"])


async def test_cancel_stops_before_the_next_wave(ledger: Cloud, finn: Person) -> None:
    items = [order(scenario="slow seconds=1") for _ in range(60)]
    batch = (await finn.post("/batches", {"items": items})).json(202)
    path = f"/batches/{batch['id']}"
    await until(lambda: finn.batch(batch["id"]), lambda b: b["progress"] > 0, 30)
    canceled = (await finn.delete(path)).json(202)
    assert canceled["cancel_requested"] is True
    assert (await finn.delete(path)).status == 202  # asking again changes nothing
    ended = await finn.ended_batch(batch["id"])
    assert ended["status"] == "canceled"
    counts = Counter(item["status"] for item in await finn.listed(f"{path}/items"))
    assert set(counts) == {"succeeded", "canceled"}
    assert counts["succeeded"] <= 40  # the waves that were under way, not the rest
    assert sum(counts.values()) == 60
    receipt = (await finn.get(f"{path}/receipt")).json()
    assert receipt["amount_micros"] == ended["spent_micros"]
    assert len(receipt["lines"]) == 60
    [hold] = await ledger.documents("ledger", "c.id = @id", id=f"h:{batch['id']}")
    assert hold["remaining_micros"] == hold["open_rows"] == 0
    (await finn.delete(path)).problem(409, "already_ended")


async def test_batch_of_several_chunks_runs_to_its_end(finn: Person) -> None:
    batch = await finn.run_batch([order() for _ in range(110)])
    assert batch["rows"]["succeeded"] == 110
    items = await finn.listed(f"/batches/{batch['id']}/items")
    assert [item["row"] for item in items] == list(range(1, 111))


async def test_rate_limited_rows_are_tried_again_and_cost_once(ledger: Cloud, finn: Person) -> None:
    rows = [
        order(scenario="rate_limited retry_after_s=1 times=1") if n % 3 else order("sdxl")
        for n in range(12)
    ]
    batch = await finn.run_batch(rows)
    assert batch["rows"]["succeeded"] == 12
    entries = await ledger.documents(
        "ledger", "c.type = 'resolution' AND c.operation_id = @batch", batch=batch["id"]
    )
    assert Counter(entry["attempt"] for entry in entries) == {1: 4, 2: 8}


async def test_batches_side_by_side_share_the_providers(finn: Person, pat: Person) -> None:
    batches = await asyncio.gather(
        *(person.run_batch([order() for _ in range(15)]) for person in (finn, pat))
    )
    assert [batch["rows"]["succeeded"] for batch in batches] == [15, 15]
