"""Deadlines of batch rows: how they are written, and which rows wait."""

import io
import json

import pytest

from shared.domain.batch_files import BatchRow, FileFormat, parse_batch_file
from shared.domain.batch_plans import totals_of
from shared.domain.batch_quotes import planned_row
from shared.services.batch_planning import BatchPlanning
from tests import builders
from tests.fakes.batch_files import FakeBatchFiles


def parsed(text: str, file_format: FileFormat) -> list[BatchRow]:
    return list(parse_batch_file(io.BytesIO(text.encode()), file_format))


@pytest.mark.parametrize(("written", "deadline"), [("24h", "24h"), ("", None), (" 24h ", "24h")])
def test_deadline_in_a_cell_is_read(written: str, deadline: str | None) -> None:
    (row,) = parsed(f"model,prompt,deadline\ngpt-image-2,A quay,{written}\n", "csv")
    assert row.request is not None
    assert row.deadline == deadline


@pytest.mark.parametrize("written", ["24H", "7d", "tomorrow"])
def test_other_deadline_in_a_cell_is_a_fault_of_the_row(written: str) -> None:
    (row,) = parsed(f"model,prompt,deadline\ngpt-image-2,A quay,{written}\n", "csv")
    assert row.request is None
    assert [fault.field for fault in row.faults] == ["/deadline"]


@pytest.mark.parametrize("written", [24, True, ["24h"], "24 hours"])
def test_other_deadline_in_json_is_a_fault_of_the_row(written: object) -> None:
    line = json.dumps({"model": "gpt-image-2", "prompt": "A quay", "deadline": written})
    (row,) = parsed(line, "jsonl")
    assert row.request is None


def test_null_in_json_is_no_deadline() -> None:
    (row,) = parsed('{"model": "gpt-image-2", "prompt": "A quay", "deadline": null}', "jsonl")
    assert row.request is not None
    assert row.deadline is None


@pytest.mark.parametrize(
    ("models", "waiting"), [(frozenset({"gpt-image-2"}), [1]), (frozenset(), [])]
)
def test_only_rows_of_models_with_a_batch_deployment_wait(
    models: frozenset[str], waiting: list[int]
) -> None:
    text = "model,prompt,deadline\ngpt-image-2,A quay,24h\nsdxl,A pier,24h\ngpt-image-2,A bay,\n"
    planning = BatchPlanning(FakeBatchFiles(), batched_models=models)
    around = builders.surroundings()
    planned = [
        planning._with_deadline(planned_row(row, around), row) for row in parsed(text, "csv")
    ]
    assert [row.row for row in planned if row.deadline] == waiting
    assert totals_of(planned).deadline_rows == len(waiting)
