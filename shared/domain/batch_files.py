"""A batch file (CSV or JSON Lines) as checked rows, each a request or its faults.

A file is hostile until it is read to its end: BatchFileRejected may come after rows were yielded,
so nothing may be spent on a row before the iterator is exhausted.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Literal

from pydantic import ValidationError

from shared.domain.batch_files_csv import COLUMNS, csv_rows
from shared.domain.batch_files_jsonl import jsonl_rows
from shared.domain.batch_files_lines import (
    DEFAULT_LIMITS,
    BatchFileLimits,
    BatchFileRejected,
    RawRow,
    RejectionCode,
    physical_lines,
    rejected,
)
from shared.domain.generations import GenerationRequest, resolve_request
from shared.domain.provider_batches import Deadline
from shared.errors import FieldFault, Invalid

__all__ = [
    "COLUMNS",
    "DEFAULT_LIMITS",
    "ERROR_COLUMNS",
    "BatchFileLimits",
    "BatchFileRejected",
    "BatchRow",
    "FileFormat",
    "RejectionCode",
    "errors_csv",
    "file_format_of",
    "parse_batch_file",
]

FileFormat = Literal["csv", "jsonl"]
DEADLINE: Final[Deadline] = "24h"  # the only one that providers offer
ERROR_COLUMNS: Final = ("row", "line", "item_id", "field", "message")

_EXTENSIONS: Final[Mapping[str, FileFormat]] = MappingProxyType(
    {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
)
# Dots alone are refused: "." and ".." would climb about in a path made from the id.
_ITEM_ID: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.-]{1,64}")
# C0 and C1 controls except tab and line breaks, and lone surrogates, which UTF-8 cannot carry.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "required: fill it in",
        "string_type": "write text in double quotes",
        "string_too_short": "must not be empty",
        "string_too_long": "at most {max_length} characters",
        "int_type": "write a whole number, such as 2",
        "greater_than_equal": "at least {ge}",
        "less_than_equal": "at most {le}",
        "literal_error": "use one of: {expected}",
    }
)
_OTHER_SENTENCE: Final = "this value cannot be used here"


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One data row; `request` is None exactly when there are faults, and resolved if its model is
    named and nobody else may carry it out."""

    row: int
    line: int
    item_id: str
    request: GenerationRequest | None
    faults: tuple[FieldFault, ...]
    deadline: Deadline | None = None  # the row may wait so long for a lower price


def file_format_of(name: str) -> FileFormat:
    """Tell the format by the extension; raise BatchFileRejected for any other name."""
    lowered = name.lower()
    for extension, file_format in _EXTENSIONS.items():
        if lowered.endswith(extension):
            return file_format
    raise rejected("file_type_unknown", "The file's name must end in .csv, .jsonl or .ndjson.")


def parse_batch_file(
    stream: BinaryIO, file_format: FileFormat, limits: BatchFileLimits = DEFAULT_LIMITS
) -> Iterator[BatchRow]:
    """Yield a BatchRow per data row; raise BatchFileRejected if the file as a whole is at fault."""
    lines = physical_lines(stream, limits)
    raw_rows = csv_rows(lines, limits) if file_format == "csv" else jsonl_rows(lines, limits)
    first_rows: dict[str, int] = {}
    row = 0
    for row, raw in enumerate(raw_rows, start=1):
        if row > limits.rows_max:
            raise rejected(
                "too_many_rows",
                f"more than {limits.rows_max:,} rows. Split the file into several.",
                raw.line,
            )
        yield _checked(row, raw, first_rows, limits)
    if row == 0:
        raise rejected("file_empty", "The file is empty. Write the rows of the batch into it.")


def errors_csv(rows: Iterable[BatchRow]) -> Iterator[str]:
    """Yield a CSV text, line by line: one line per fault, safe to open in a spreadsheet."""
    yield _csv_line(ERROR_COLUMNS)
    for row in rows:
        for fault in row.faults:
            yield _csv_line((row.row, row.line, row.item_id, fault.field, fault.message))


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow([spreadsheet_safe(str(cell)) for cell in cells])
    return line.getvalue()


def spreadsheet_safe(cell: str) -> str:
    """A leading apostrophe makes a spreadsheet show the cell instead of calculating it."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _checked(
    row: int, raw: RawRow, first_rows: dict[str, int], limits: BatchFileLimits
) -> BatchRow:
    item_id, faults = _item_id(row, raw.item_id, first_rows)
    faults += raw.faults
    request, deadline = None, None
    if raw.fields is not None:
        fields = dict(raw.fields)
        deadline, deadline_faults = _deadline(fields.pop("deadline", None))
        faults += [*_control_faults(fields), *deadline_faults]
        request, request_faults = _request(fields)
        named = {fault.field for fault in faults}
        faults += [fault for fault in request_faults if fault.field not in named]
    kept = tuple(faults[: limits.faults_per_row_max])
    return BatchRow(row, raw.line, item_id, None if faults else request, kept, deadline)


def _deadline(written: object) -> tuple[Deadline | None, list[FieldFault]]:
    if written is None or written == DEADLINE:
        return DEADLINE if written else None, []
    return None, [FieldFault("/deadline", f"write {DEADLINE}, or leave it out")]


def _item_id(row: int, written: object, first_rows: dict[str, int]) -> tuple[str, list[FieldFault]]:
    """The row's id, always safe to use in a name, and what is wrong with the one written."""
    item_id = f"row-{row}"
    faults: list[FieldFault] = []
    if isinstance(written, str) and _ITEM_ID.fullmatch(written):
        item_id = written
    elif written is not None:
        faults.append(
            FieldFault("/id", "write 1 to 64 letters, digits, _ . or - as text, not dots alone")
        )
    first_row = first_rows.setdefault(item_id, row)
    if first_row != row:
        faults.append(FieldFault("/id", f"the id {item_id} is taken by row {first_row}"))
    return item_id, faults


def _control_faults(fields: Mapping[str, object]) -> list[FieldFault]:
    return [
        FieldFault(f"/{name}", "has a control character: remove it")
        for name, value in fields.items()
        if isinstance(value, str) and _CONTROL.search(value)
    ]


def _request(fields: Mapping[str, object]) -> tuple[GenerationRequest | None, list[FieldFault]]:
    faults = []
    if "model" not in fields:  # a blank is a slip, not a wish: who means it writes auto
        faults.append(FieldFault("/model", _SENTENCES["missing"]))
    try:
        # It is read strictly: the reader of the format has made numbers of what may be one.
        request = GenerationRequest.model_validate(fields)
        if not faults and not request.is_routed:
            request, _ = resolve_request(request)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return None, faults + [_field_fault(entry) for entry in found]
    except Invalid as error:
        return None, list(error.faults)
    return None if faults else request, faults


def _field_fault(error: Mapping[str, Any]) -> FieldFault:
    """One of pydantic's errors in our words; never the value, which may be a prompt."""
    sentence = _SENTENCES.get(error["type"], _OTHER_SENTENCE)
    path = "".join(f"/{part}" for part in error["loc"])
    return FieldFault(path, sentence.format(**error.get("ctx", {})))
