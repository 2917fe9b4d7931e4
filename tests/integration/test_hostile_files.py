"""Files that are broken or meant to break something: told clearly, charged nothing, and gone."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.integration.api import Json, Person, order
from tests.integration.batch_files import as_csv, read_csv
from tests.integration.cloud import Cloud
from tests.integration.test_uploads import batches_of, put, slot_for, uploaded

HEADER = b"id,model,prompt\n"
LINE_OF_10_MB = HEADER + b"a,sdxl," + b"x" * (10 * 1024 * 1024) + b"\n"
ROWS_OVER_THE_LIMIT = HEADER + b"".join(b"r%d,sdxl,x\n" % n for n in range(50_001))


def zipped() -> bytes:
    """An archive that calls itself a CSV file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("rows.csv", as_csv([order()]))
    return file.getvalue()


HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "empty": ("rows.csv", b"", "file_empty"),
    "empty_jsonl": ("rows.jsonl", b"", "file_empty"),
    "header_only": ("rows.csv", HEADER, "no_rows"),
    "zip": ("rows.csv", zipped(), "file_not_text"),
    "zip_as_jsonl": ("rows.jsonl", zipped(), "file_not_text"),
    "utf_16": ("rows.csv", "id,model,prompt\na,sdxl,x\n".encode("utf-16"), "file_not_text"),
    "latin_1": ("rows.csv", HEADER + "a,sdxl,Zürich\n".encode("latin-1"), "file_not_text"),
    "nul_bytes": ("rows.csv", HEADER + b"a,sdxl,x\x00y\n", "file_not_text"),
    "line_of_10_mb": ("rows.csv", LINE_OF_10_MB, "line_too_long"),
    "jsonl_line_of_10_mb": ("rows.jsonl", b'{"prompt":"' + b"x" * 10_485_760, "line_too_long"),
    "too_many_rows": ("rows.csv", ROWS_OVER_THE_LIMIT, "too_many_rows"),
    "wrong_columns": (
        "rows.csv",
        b"id,model,prompt,department\na,sdxl,x,design\n",
        "columns_unknown",
    ),
    "missing_columns": ("rows.csv", b"id,model\na,sdxl\n", "columns_missing"),
    "repeated_columns": ("rows.csv", b"id,model,prompt,prompt\na,sdxl,x,y\n", "columns_duplicate"),
    "open_quote": ("rows.csv", HEADER + b'a,sdxl,"x\n', "csv_malformed"),
    "formula_only": ("rows.csv", HEADER + b"=cmd|'/c calc'!A1,sdxl,x\n", "no_valid_rows"),
    "json_in_csv": ("rows.csv", b'{"model":"sdxl","prompt":"x"}\n', "csv_malformed"),
    "array_lines": ("rows.jsonl", b"[1,2]\n[3]\n", "no_valid_rows"),
    "deep_json": ("rows.jsonl", b"[" * 60_000 + b"\n", "no_valid_rows"),
    "unpriced_model": ("rows.csv", HEADER + b"a,dall-e-3,x\n", "no_valid_rows"),
}


@pytest.mark.parametrize(("name", "content", "code"), HOSTILE.values(), ids=HOSTILE)
async def test_hostile_file_is_told_and_charges_nothing(
    cloud: Cloud, files: Cloud, finn: Person, name: str, content: bytes, code: str
) -> None:
    spent = (await finn.get("/budgets/user:me")).json()["spent_micros"]
    calls = len(await cloud.submissions())
    batch = await uploaded(cloud, finn, content, name)
    assert batch["status"] == "rejected"
    assert batch["problem"]["code"] == code
    assert batch["problem"]["detail"]
    assert batch["quoted_micros"] == batch["spent_micros"] == batch["images"] == 0
    assert batch["completed_at"] is not None
    errors = await files.result_file(batch["id"], "errors.csv")
    assert errors is not None and read_csv(errors)
    budget = (await finn.get("/budgets/user:me")).json()
    assert (budget["spent_micros"], budget["reserved_micros"]) == (spent, 0)
    assert len(await cloud.submissions()) == calls
    (await finn.get(f"/batches/{batch['id']}/receipt")).problem(409, "no_receipt")
    (await finn.delete(f"/batches/{batch['id']}")).problem(409, "already_ended")
    assert (await finn.get(f"/batches/{batch['id']}/items")).json()["items"] == []


async def test_file_over_50_mb_is_told(cloud: Cloud, finn: Person) -> None:
    row = b"a,sdxl," + b"x" * 3_900 + b"\n"
    content = HEADER + row * (50 * 1024 * 1024 // len(row) + 1)
    batch = await uploaded(cloud, finn, content)
    assert batch["status"] == "rejected"
    assert batch["problem"]["code"] == "file_too_large"


async def test_bad_rows_are_left_out_and_written_safely(
    cloud: Cloud, files: Cloud, finn: Person
) -> None:
    rows: list[Json] = [
        order(id="good"),
        order(id="=1+1"),
        order(id="good"),
        order(id="dots") | {"model": "=HYPERLINK(1)"},
        order(id="bell") | {"prompt": "ring \x07"},
        order(id="..") | {"prompt": "up"},
    ]
    batch = await uploaded(cloud, finn, as_csv(rows))
    assert batch["status"] == "completed"
    assert (batch["rows"]["succeeded"], batch["rows"]["invalid"]) == (1, 5)
    errors = await files.result_file(batch["id"], "errors.csv")
    assert errors is not None
    for row in read_csv(errors):
        for cell in row.values():
            assert not str(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert {row["row"] for row in read_csv(errors)} == {"2", "3", "4", "5", "6"}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + as_csv([order(id="bom")]),
        as_csv([order(id="lf")]).replace(b"\r\n", b"\n"),
        as_csv([order(id="lines", prompt='a "quoted"\nsecond line\r\nthird')]),
        as_csv([order(id="last")]).rstrip(),
        as_csv([order(id="wide", prompt="Kafé Måken 灯台 🗼")]),
    ],
    ids=["bom", "lf", "quoted_newlines", "no_last_newline", "unicode"],
)
async def test_unusual_but_good_file_is_read(cloud: Cloud, finn: Person, content: bytes) -> None:
    batch = await uploaded(cloud, finn, content)
    assert batch["rows"]["succeeded"] == batch["rows"]["total"] == 1


async def test_good_file_after_the_hostile_ones_works(cloud: Cloud, finn: Person) -> None:
    slots = [await slot_for(finn) for _ in range(2)]
    assert await put(cloud, slots[0]["upload_url"], zipped()) == 201
    assert await put(cloud, slots[1]["upload_url"], as_csv([order(), order("sdxl")])) == 201
    good = await finn.ended_batch((await batches_of(finn, slots[1]))[0])
    assert good["rows"]["succeeded"] == 2
