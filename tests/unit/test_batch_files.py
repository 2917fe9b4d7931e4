"""Batch files as people write them: cells, ids, faults of a row, the examples, errors.csv."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest

from shared.domain.batch_files import (
    BatchFileRejected,
    BatchRow,
    FileFormat,
    errors_csv,
    file_format_of,
    parse_batch_file,
)
from shared.domain.generations import GenerationRequest
from shared.errors import FieldFault, Invalid

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def rows_of(data: str | bytes, file_format: FileFormat = "csv") -> list[BatchRow]:
    raw = data.encode() if isinstance(data, str) else data
    return list(parse_batch_file(io.BytesIO(raw), file_format))


def only_row(data: str, file_format: FileFormat = "csv") -> BatchRow:
    (row,) = rows_of(data, file_format)
    return row


def faults_of(row: BatchRow) -> dict[str, str]:
    return {fault.field: fault.message for fault in row.faults}


def test_row_carries_the_resolved_request_when_defaults_are_left_out() -> None:
    row = only_row("model,prompt\ngpt-image-2, A lighthouse \n")
    assert row == BatchRow(
        row=1,
        line=2,
        item_id="row-1",
        request=GenerationRequest(
            model="gpt-image-2",
            prompt="A lighthouse",
            size="1024x1024",
            quality="medium",
            output_format="png",
        ),
        faults=(),
    )


def test_every_column_is_read_when_the_header_is_shuffled_and_in_capitals() -> None:
    row = only_row(
        " Seed ,NEGATIVE_PROMPT,Count,id,Output_Format,Size,prompt,Quality,Model\n"
        "7,fog,2,a.b-c_9,png,1152x896,A gull,,sdxl\n"
    )
    assert row.item_id == "a.b-c_9"
    assert row.request == GenerationRequest(
        model="sdxl",
        prompt="A gull",
        size="1152x896",
        count=2,
        output_format="png",
        seed=7,
        negative_prompt="fog",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_file_is_read_alike_whatever_the_line_ends_and_bom(end: str, bom: str) -> None:
    text = end.join([bom + "model,prompt", "sdxl,one", "", " ", ",", 'sdxl,"two, three"'])
    rows = rows_of(text)
    assert [(r.row, r.line, r.request and r.request.prompt) for r in rows] == [
        (1, 2, "one"),
        (2, 6, "two, three"),
    ]


def test_line_is_the_first_physical_line_when_a_cell_has_line_breaks() -> None:
    rows = rows_of('model,prompt\r\nsdxl,"one\r\ntwo\nthree\rfour"\r\nsdxl,next\r\n')
    assert [row.line for row in rows] == [2, 5]
    assert rows[0].request is not None
    assert rows[0].request.prompt == "one\r\ntwo\nthree\rfour"


def test_missing_last_cells_are_left_out_when_a_row_is_short() -> None:
    row = only_row("model,prompt,size,count\nsdxl,A gull\n")
    assert row.request is not None
    assert (row.request.size, row.request.count) == ("1024x1024", 1)


def test_row_is_faulty_when_it_has_more_cells_than_the_header() -> None:
    bad, good = rows_of("id,model,prompt\ng1,sdxl,a gull, a cliff\ng2,sdxl,fine\n")
    assert (bad.item_id, bad.request) == ("g1", None)
    assert "4 cells but the header has 3" in faults_of(bad)[""]
    assert good.request is not None


def test_quoted_cell_is_read_when_a_space_precedes_the_quote() -> None:
    row = only_row('model,prompt\nsdxl, "a gull, a cliff"\n')
    assert row.request is not None
    assert row.request.prompt == "a gull, a cliff"


def test_second_row_is_faulty_when_its_id_is_taken() -> None:
    rows = rows_of("id,model,prompt\na,sdxl,\na,sdxl,two\nb,sdxl,three\na,sdxl,four\n")
    assert [row.request is not None for row in rows] == [False, False, True, False]
    assert faults_of(rows[1]) == {"/id": "the id a is taken by row 1"}
    assert faults_of(rows[3]) == {"/id": "the id a is taken by row 1"}


def test_default_id_is_refused_when_an_earlier_row_wrote_it() -> None:
    rows = rows_of("id,model,prompt\nrow-2,sdxl,one\n,sdxl,two\n")
    assert faults_of(rows[1]) == {"/id": "the id row-2 is taken by row 1"}


@pytest.mark.parametrize("bad", ["a b", "a/b", "..", "é", "x" * 65, "a\x07"])
def test_id_falls_back_to_the_row_number_when_it_is_malformed(bad: str) -> None:
    row = only_row(json.dumps({"id": bad, "model": "sdxl", "prompt": "x"}), "jsonl")
    assert (row.item_id, row.request) == ("row-1", None)
    assert list(faults_of(row)) == ["/id"]


@pytest.mark.parametrize(
    ("cells", "field", "part"),
    [
        (",A gull,,,,,,", "/model", "required"),
        ("dall-e-9,A gull,,,,,,", "/model", "use one of: "),
        ("sdxl,,,,,,,", "/prompt", "required"),
        (f"sdxl,{'x' * 4001},,,,,,", "/prompt", "at most 4000 characters"),
        (f"sdxl,{'x' * 32_001},,,,,,", "/prompt", "at most 32000 characters"),
        ("sdxl,A gull,1920x1080,,,,,", "/size", "use one of: 1024x1024"),
        ("gpt-image-2,A gull,,ultra,,,,", "/quality", "'low', 'medium', 'high'"),
        ("sdxl,A gull,,low,,,,", "/quality", "no quality setting"),
        ("sdxl,A gull,,,0,,,", "/count", "at least 1"),
        ("sdxl,A gull,,,11,,,", "/count", "at most 10"),
        ("sdxl,A gull,,,5,,,", "/count", "at most 4"),
        ("sdxl,A gull,,,2.0,,,", "/count", "whole number"),
        ("sdxl,A gull,,,1_0,,,", "/count", "whole number"),
        (f"sdxl,A gull,,,{'9' * 5000},,,", "/count", "whole number"),
        ("sdxl,A gull,,,,bmp,,", "/output_format", "'png', 'jpeg' or 'webp'"),
        ("sdxl,A gull,,,,,-1,", "/seed", "at least 0"),
        ("gpt-image-2,A gull,,,,,3,", "/seed", "takes no seed"),
        ("flux-schnell,A gull,,,,,,fog", "/negative_prompt", "no negative prompt"),
        ("sdxl,A\x07gull,,,,,,", "/prompt", "control character"),
        ("sdxl,A gull,,,,,,fo\x9bg", "/negative_prompt", "control character"),
    ],
)
def test_fault_names_the_field_and_the_remedy_when_a_cell_is_wrong(
    cells: str, field: str, part: str
) -> None:
    header = "model,prompt,size,quality,count,output_format,seed,negative_prompt\n"
    row = only_row(header + cells + "\n")
    assert row.request is None
    assert list(faults_of(row)) == [field]
    assert part in faults_of(row)[field]


def test_all_faults_of_a_row_are_told_at_once_when_several_cells_are_wrong() -> None:
    row = only_row("id,model,prompt,count,quality\na b,sdxl,,x,best\n")
    assert set(faults_of(row)) == {"/id", "/prompt", "/count", "/quality"}


@pytest.mark.parametrize(
    "prompt",
    [
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://127.0.0.1")',
        "@SUM(1+1)",
        "+1+",
        "-2+3+cmd|' /C calc'!D2",
        "=1+1",
        "= SUM(1)",
        "=A1&B1",
        "='file:///etc/passwd'#$Sheet.A1",
        "+Sheet1!A1",
        "-5",
    ],
)
def test_prompt_is_refused_when_it_looks_like_a_formula(prompt: str) -> None:
    for column in ("prompt", "negative_prompt"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["model", "prompt", "negative_prompt"])
        writer.writeheader()
        writer.writerow({"model": "sdxl", "prompt": "A gull", column: f"  {prompt} "})
        row = only_row(text.getvalue())
        assert list(faults_of(row)) == [f"/{column}"]
        assert "formula" in row.faults[0].message


@pytest.mark.parametrize(
    "prompt",
    [
        "-5 degrees and frost on the glass",
        "+1 for a happy dog",
        "@dawn over the sea",
        "- a gull (oil)",
        "- 3-4 people on a pier",
        "=> an arrow of geese",
        "-Wow! A lighthouse",
    ],
)
def test_prompt_is_taken_when_only_its_first_character_is_a_formulas(prompt: str) -> None:
    row = only_row(f'model,prompt\nsdxl,"{prompt}"\n')
    assert row.request is not None
    assert row.request.prompt == prompt


def test_json_line_is_read_when_null_stands_for_an_empty_cell() -> None:
    line = {"id": None, "model": "sdxl", "prompt": "é\n雪", "count": None, "seed": 3}
    row = only_row(json.dumps(line), "jsonl")
    assert row.item_id == "row-1"
    assert row.request is not None
    assert (row.request.prompt, row.request.count, row.request.seed) == ("é\n雪", 1, 3)


@pytest.mark.parametrize(
    ("line", "field", "part"),
    [
        ('{"model":"sdxl","prompt":"x","colour":1}', "/colour", "unknown field"),
        ('{"model":"sdxl","prompt":"x","my secret prompt":1}', "", "unknown field"),
        ('{"model":"sdxl","prompt":"x","prompt":"y"}', "/prompt", "written twice"),
        ('{"model":"sdxl","prompt":"x","count":NaN}', "", "NaN is not JSON"),
        ('{"model":"sdxl","prompt":"x","count":-Infinity}', "", "-Infinity is not JSON"),
        ('{"model":"sdxl","prompt":"x","count":1e400}', "/count", "whole number"),
        ('{"model":"sdxl","prompt":"x","count":true}', "/count", "whole number"),
        ('{"model":"sdxl","prompt":"x","count":"2"}', "/count", "whole number"),
        ('{"model":"sdxl","prompt":"x","seed":' + "9" * 6000 + "}", "/seed", "at most 4294967295"),
        ('{"model":"sdxl","prompt":"x","seed":-' + "9" * 6000 + "}", "/seed", "at least 0"),
        ('{"model":"sdxl","prompt":"  "}', "/prompt", "must not be empty"),
        ('{"model":"sdxl","prompt":["x"]}', "/prompt", "write text"),
        ('{"model":"sdxl","prompt":"\\ud800"}', "/prompt", "control character"),
        ('{"model":"sdxl","prompt":"a\\u0000b"}', "/prompt", "control character"),
        ('{"id":5,"model":"sdxl","prompt":"x"}', "/id", "as text"),
        ('{"model":"sdxl","prompt":"x"', "", "not valid JSON at character 29"),
        ('{"model":"sdxl"} {}', "", "not valid JSON at character 18"),
        ('["sdxl","x"]', "", "one JSON object per line"),
        ("[" * 60_000, "", "nested too deeply"),
        ('{"a":' * 12_000, "", "nested too deeply"),
    ],
)
def test_json_line_is_faulty_when_it_is_not_one_plain_request(
    line: str, field: str, part: str
) -> None:
    bad, good = rows_of(line + '\n{"model":"sdxl","prompt":"fine"}\n', "jsonl")
    assert bad.request is None
    assert list(faults_of(bad)) == [field]
    assert part in faults_of(bad)[field]
    assert good.request is not None


def test_faults_of_a_row_are_capped_when_every_field_is_unknown() -> None:
    line = json.dumps({f"f{n}": n for n in range(500)})
    assert len(only_row(line, "jsonl").faults) == 8


def test_prompt_is_never_repeated_when_a_row_or_a_header_is_wrong() -> None:
    secret = "Patient Ann Example"
    row = only_row(f"id,model,prompt,size\n{secret},{secret},{secret},{secret}\n")
    json_row = only_row(json.dumps({secret: secret, "quality": secret}), "jsonl")
    assert secret not in "".join(errors_csv([row, json_row]))
    with pytest.raises(BatchFileRejected) as caught:
        rows_of(f"sdxl,{secret}\n")
    assert secret not in caught.value.detail


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", "csv"), ("in/A.B.CSV", "csv"), ("x.JSONL", "jsonl"), ("x.ndjson", "jsonl")],
)
def test_format_is_told_when_the_extension_is_known(name: str, expected: str) -> None:
    assert file_format_of(name) == expected


@pytest.mark.parametrize("name", ["", "csv", "a.csv.gz", "a.xlsx", "a.json"])
def test_format_is_refused_when_the_extension_is_unknown(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        file_format_of(name)
    assert caught.value.problem_code == "file_type_unknown"


def test_errors_csv_holds_one_line_per_fault_when_rows_are_mixed() -> None:
    rows = rows_of("id,model,prompt,size\nok,sdxl,x,\nb1,sdxl,x,9x9\nb2,nope,,\n")
    lines = list(csv.DictReader(io.StringIO("".join(errors_csv(rows)), newline="")))
    assert [(x["row"], x["line"], x["item_id"], x["field"]) for x in lines] == [
        ("2", "3", "b1", "/size"),
        ("3", "4", "b2", "/prompt"),
    ]
    assert lines[0]["message"].startswith("use one of: 1024x1024, ")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_errors_csv_is_safe_in_a_spreadsheet_when_a_cell_starts_a_formula(start: str) -> None:
    row = BatchRow(1, 2, f"{start}1", None, (FieldFault(f"{start}f", f'{start}m,"q"'),))
    _, line = csv.reader(io.StringIO("".join(errors_csv([row])), newline=""))
    assert line == ["1", "2", f"'{start}1", f"'{start}f", f'\'{start}m,"q"']


def test_storyboard_example_has_23_valid_rows_and_one_faulty_row() -> None:
    rows = rows_of((EXAMPLES / "storyboard.csv").read_bytes())
    assert [row.item_id for row in rows] == [f"scene-{n:02d}" for n in range(1, 25)]
    faulty = [row for row in rows if row.request is None]
    assert [(row.item_id, row.faults[0].field) for row in faulty] == [("scene-13", "/size")]
    requests = [row.request for row in rows if row.request is not None]
    assert len(requests) == 23
    models = Counter(request.model for request in requests)
    assert set(models) == {"gpt-image-2", "sdxl", "flux-schnell"}
    refused = [request for request in requests if "gore" in request.prompt.lower()]
    assert [request.model for request in refused] == ["gpt-image-2"]
    assert any("\n" in request.prompt for request in requests)
    assert any(not request.prompt.isascii() for request in requests)


def test_brand_set_example_has_six_valid_rows() -> None:
    rows = rows_of((EXAMPLES / "brand_set.jsonl").read_bytes(), "jsonl")
    assert [row.faults for row in rows] == [()] * 6
