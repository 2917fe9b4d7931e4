"""Properties of the batch file parser: what is written is read, and no bytes break it."""

import csv
import io
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.batch_files import (
    COLUMNS,
    BatchFileLimits,
    BatchFileRejected,
    FileFormat,
    errors_csv,
    parse_batch_file,
)
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.models import MODELS

CHECKED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = (
    st.text(
        st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t\r"), max_size=80
    )
    .map(str.strip)
    .filter(lambda text: text and text[0] not in "=+-@")
)


@st.composite
def requests(draw: st.DrawFn) -> GenerationRequest:
    model = MODELS[draw(st.sampled_from(sorted(MODELS)))]
    fields: dict[str, Any] = {
        "model": model.model,
        "prompt": draw(TEXT),
        "size": draw(st.sampled_from([None, *model.sizes])),
        "quality": draw(st.sampled_from([None, *model.qualities])),
        "count": draw(st.integers(1, model.count_max)),
        "output_format": draw(st.sampled_from([None, *model.output_formats])),
        "seed": draw(st.none() | st.integers(0, 2**32 - 1)) if model.seed else None,
        "negative_prompt": draw(st.none() | TEXT) if model.negative_prompt else None,
    }
    return GenerationRequest(**fields)


def written(items: list[GenerationRequest], file_format: FileFormat) -> bytes:
    if file_format == "jsonl":
        lines = [json.dumps(item.model_dump(exclude_none=True)) + "\n" for item in items]
        return "".join(lines).encode()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(item.model_dump(exclude={"routing"}) for item in items)
    return text.getvalue().encode()


def outcome(data: bytes, file_format: FileFormat, limits: BatchFileLimits) -> None:
    """Read hostile bytes; anything but rows or BatchFileRejected fails the test."""
    ids: set[str] = set()
    try:
        for number, row in enumerate(parse_batch_file(io.BytesIO(data), file_format, limits), 1):
            assert row.row == number
            assert (row.request is None) == bool(row.faults)
            assert len(row.faults) <= limits.faults_per_row_max
            if row.request is not None:
                assert row.item_id not in ids
                ids.add(row.item_id)
            for line in errors_csv([row]):
                assert line.isprintable() or line.endswith("\r\n")
    except BatchFileRejected as error:
        assert error.problem_code != BatchFileRejected.code
        assert error.detail.isascii()


@CHECKED
@given(
    items=st.lists(requests(), min_size=1, max_size=6),
    file_format=st.sampled_from(["csv", "jsonl"]),
)
def test_requests_are_read_back_equal_when_written_by_a_standard_writer(
    items: list[GenerationRequest], file_format: FileFormat
) -> None:
    rows = list(parse_batch_file(io.BytesIO(written(items, file_format)), file_format))
    assert [row.faults for row in rows] == [()] * len(items)
    assert [row.request for row in rows] == [resolve_request(item)[0] for item in items]
    assert [row.item_id for row in rows] == [f"row-{n}" for n in range(1, len(items) + 1)]


@CHECKED
@given(
    data=st.binary(max_size=600),
    headed=st.booleans(),
    file_format=st.sampled_from(["csv", "jsonl"]),
)
def test_arbitrary_bytes_give_rows_or_a_rejection(
    data: bytes, headed: bool, file_format: FileFormat
) -> None:
    head = b"id,model,prompt,count\n" if headed else b""
    outcome(head + data, file_format, BatchFileLimits(line_bytes_max=200, record_bytes_max=300))


CELL = st.sampled_from(
    ["a", "sdxl", "", " ", '"', '""', ",", "\r", "\n", "\r\n", "=1+", "-", "x y", "1", "\x07", "é"]
)
JSON_BIT = st.sampled_from(
    ['"id"', '"model"', '"sdxl"', '"prompt"', ":", ",", "{", "}", "[", "]", "1", "NaN", "\n", '"']
)


@CHECKED
@given(bits=st.lists(CELL, max_size=40))
def test_scrambled_csv_gives_rows_or_a_rejection(bits: list[str]) -> None:
    data = "id,model,prompt,count\n" + "".join(bits)
    outcome(data.encode(), "csv", BatchFileLimits())


@CHECKED
@given(bits=st.lists(JSON_BIT, max_size=40))
def test_scrambled_json_gives_rows_or_a_rejection(bits: list[str]) -> None:
    outcome("".join(bits).encode(), "jsonl", BatchFileLimits())


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(CHECKED, max_examples=40)  # drawing nested values is what takes the time
@given(
    lines=st.lists(
        st.dictionaries(st.sampled_from(COLUMNS) | st.text(max_size=8), JSON_VALUE), max_size=5
    )
)
def test_any_json_object_gives_a_row(lines: list[dict[str, Any]]) -> None:
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    outcome(data, "jsonl", BatchFileLimits())
