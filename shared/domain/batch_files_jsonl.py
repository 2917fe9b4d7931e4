"""The rows of a JSON Lines batch file: one flat JSON object per line."""

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from shared.domain.batch_files_csv import COLUMNS
from shared.domain.batch_files_lines import BatchFileLimits, Line, RawRow
from shared.domain.json_objects import RepeatedNameError, field_path, unique_names
from shared.errors import FieldFault

FIELDS: Final = (*(name for name in COLUMNS if "." not in name), "routing")
_INT_CHARS_MAX: Final = (
    20  # twice what any field takes; 20 characters are beyond every field's limit
)


class _RowSyntaxError(ValueError):
    """The line is JSON-like, but not the plain JSON that a row is."""

    def __init__(self, fault: FieldFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def jsonl_rows(lines: Iterator[Line], limits: BatchFileLimits) -> Iterator[RawRow]:
    """Yield a row per line that is not blank."""
    for line in lines:
        text = line.text.strip(" \t\r\n")
        if text:
            yield _raw_row(line.number, text, limits)


def _raw_row(line: int, text: str, limits: BatchFileLimits) -> RawRow:
    fields = _decode(text)
    if isinstance(fields, FieldFault):
        return RawRow(line, None, None, [fields])
    # null is how many programs write an empty cell: the same as leaving the field out
    item_id = fields.pop("id", None)
    known = {name: value for name, value in fields.items() if name in FIELDS and value is not None}
    unknown = [name for name in fields if name not in FIELDS][: limits.faults_per_row_max]
    return RawRow(line, item_id, known, [_unknown_field(name) for name in unknown])


def _decode(text: str) -> dict[str, Any] | FieldFault:
    try:
        value = _DECODER.decode(text)
    except (_RowSyntaxError, RepeatedNameError) as refused:
        return refused.fault
    except json.JSONDecodeError as error:
        return FieldFault("", f"not valid JSON at character {error.pos + 1} of this line")
    except RecursionError:
        return FieldFault("", "nested too deeply: a row holds only text and numbers")
    if not isinstance(value, dict):
        return FieldFault("", "write one JSON object per line, in braces")
    return value


def _unknown_field(name: str) -> FieldFault:
    return FieldFault(
        field_path(name), f"unknown field: remove it. Known fields: {', '.join(FIELDS)}"
    )


def _bounded_int(digits: str) -> int:
    # JSON has no leading zeros, so a cut number is still far beyond what any field takes
    return int(digits[:_INT_CHARS_MAX])


def _refuse_constant(name: str) -> NoReturn:
    raise _RowSyntaxError(
        FieldFault("", f"{name} is not JSON: write a number or leave the field out")
    )


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=unique_names, parse_int=_bounded_int, parse_constant=_refuse_constant
)
