"""The rows of a CSV batch file: a header, quoted cells, line breaks inside quotes."""

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Final

from shared.domain.batch_files_lines import (
    BatchFileLimits,
    BatchFileRejected,
    Line,
    RawRow,
    rejected,
)
from shared.errors import FieldFault

COLUMNS: Final = (
    "id",
    "model",
    "prompt",
    "size",
    "quality",
    "count",
    "output_format",
    "seed",
    "negative_prompt",
    "deadline",
    "routing.strategy",
    "routing.models",
    "routing.fallback",
    "routing.max_price_micros",
    "routing.max_uplift_percent",
)
REQUIRED_COLUMNS: Final = ("model", "prompt")
COLUMNS_MAX: Final = 32  # a header cell is looked at only up to here; only fifteen are known
COLUMNS_NAMED_MAX: Final = 5  # unknown columns named in one sentence
_NUMBERS: Final = ("count", "seed", "routing.max_price_micros", "routing.max_uplift_percent")
_ROUTING: Final = "routing."
_YES_NO: Final[Mapping[str, bool]] = {"true": True, "yes": True, "false": False, "no": False}
_TEXTS: Final = ("prompt", "negative_prompt")
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_COLUMN_NAME: Final = re.compile(r"[a-z0-9_.-]{1,32}")
# Text that a spreadsheet would calculate. "-5 degrees", "@dawn" and "- a gull (oil)" are ordinary
# prompts and pass. Each alternative starts with another kind of character: no slow backtracking.
_FORMULA: Final = re.compile(
    r"""[=+@-]
    (?: [\s=+@*/^&(.,%$0-9-]*                       # signs, digits and operators, and then
        (?: (?<=[0-9])[)\s=+@*/^&%-]*\Z             #   nothing else: +1+
        |   [^\W\d][\w.]*(?:[(|]|![$A-Za-z])        #   SUM( or cmd| or Sheet1!A1
        )
    |   (?<==)\s*(?:["'{]|\$?[A-Za-z]{1,3}\$?[0-9]) # ="text or ='file or =A1
    )""",
    re.VERBOSE,
)


class _RecordFeed:
    """Hands lines to csv.reader one at a time and bounds the record that they add up to."""

    def __init__(self, lines: Iterator[Line], limits: BatchFileLimits) -> None:
        self._lines = lines
        self._limits = limits
        self._record_bytes = 0
        self.record_line = 0
        self.ended = False

    def begin_record(self) -> None:
        self._record_bytes = 0
        self.record_line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.record_line = self.record_line or line.number
        self._record_bytes += line.size_bytes
        if self._record_bytes > self._limits.record_bytes_max:
            raise rejected(
                "line_too_long",
                f"the row that starts here is longer than {self._limits.record_bytes_max:,} bytes. "
                "Look for a double quote that is opened and never closed.",
                self.record_line,
            )
        return line.text


def csv_rows(lines: Iterator[Line], limits: BatchFileLimits) -> Iterator[RawRow]:
    """Yield the data rows below the header; rows whose cells are all blank are left out."""
    records = _records(_RecordFeed(lines, limits))
    header = next(records, None)
    if header is None:
        return
    columns = _columns(*header)
    data_rows = 0
    for line, cells in records:
        data_rows += 1
        yield _raw_row(line, columns, cells)
    if data_rows == 0:
        raise rejected("no_rows", "there is a header but no row below it. Add a row.", header[0])


def _records(feed: _RecordFeed) -> Iterator[tuple[int, list[str]]]:
    # csv.field_size_limit is global to the process. Its default (131,072 characters) is never
    # reached by a record within RECORD_BYTES_MAX; were it lowered, the file would be rejected.
    reader = csv.reader(feed, strict=True, skipinitialspace=True)
    while True:
        feed.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise _malformed(feed) from None
        if any(cell.strip() for cell in cells):
            yield feed.record_line, cells


def _malformed(feed: _RecordFeed) -> BatchFileRejected:
    if feed.ended:
        sentence = "a double quote in the row that starts here is never closed. Close it."
    else:
        sentence = (
            "the row that starts here has text after a closing double quote, or a carriage return "
            "outside quotes. Put the cell in double quotes, double the quotes inside it, and end "
            "lines with LF or CRLF."
        )
    return rejected("csv_malformed", sentence, feed.record_line)


def _columns(line: int, cells: list[str]) -> list[str]:
    """Check the header. Names that do not look like one are not repeated: they may be a prompt."""
    known = f"Known columns: {', '.join(COLUMNS)}."
    names = [cell.strip().lower() for cell in cells]
    unknown = [
        name if _COLUMN_NAME.fullmatch(name) else f"column {position}"
        for position, name in enumerate(names[:COLUMNS_MAX], start=1)
        if name not in COLUMNS
    ]
    if unknown:
        listed = ", ".join(unknown[:COLUMNS_NAMED_MAX])
        hint = "Rename or remove them; the first line must be the header."
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            hint = "Separate the columns with commas, not with semicolons or tabs."
        raise rejected("columns_unknown", f"unknown columns: {listed}. {hint} {known}", line)
    duplicates = [name for name in COLUMNS if names.count(name) > 1]
    if duplicates:
        listed = ", ".join(duplicates)
        raise rejected("columns_duplicate", f"repeated columns: {listed}. Keep one each.", line)
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        listed = ", ".join(missing)
        raise rejected("columns_missing", f"missing columns: {listed}. Add them. {known}", line)
    return names


def _raw_row(line: int, columns: list[str], cells: list[str]) -> RawRow:
    item_id = cells[columns.index("id")] if "id" in columns[: len(cells)] else ""
    if len(cells) > len(columns):
        fault = FieldFault(
            "",
            f"the row has {len(cells)} cells but the header has {len(columns)}: put a cell that "
            "has a comma in double quotes",
        )
        return RawRow(line, item_id.strip() or None, None, [fault])
    fields: dict[str, object] = {}
    faults: list[FieldFault] = []
    for name, cell in zip(columns, cells, strict=False):  # a short row lacks its last cells
        text = cell.strip()
        if not text or name == "id":
            continue
        fields[name] = text
        if name in _NUMBERS:
            if _WHOLE_NUMBER.fullmatch(text):
                fields[name] = int(text)
            else:
                faults.append(FieldFault(f"/{name}", "write a whole number in digits, such as 2"))
        elif name == "routing.models":
            fields[name] = text.split()
        elif name == "routing.fallback":
            fields[name] = _YES_NO.get(text.lower(), text)
        elif name in _TEXTS and _FORMULA.match(text):
            faults.append(
                FieldFault(f"/{name}", "starts like a spreadsheet formula: begin it with a word")
            )
    return RawRow(line, item_id.strip() or None, _nested(fields), faults)


def _nested(fields: dict[str, object]) -> dict[str, object]:
    """The cells of a row as a request: those of routing stand together."""
    routing = {
        name.removeprefix(_ROUTING): value
        for name, value in fields.items()
        if name.startswith(_ROUTING)
    }
    plain = {name: value for name, value in fields.items() if not name.startswith(_ROUTING)}
    return plain | {"routing": routing} if routing else plain
