"""The physical lines of an uploaded batch file, read forward only and in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, NamedTuple

from shared.domain.ids import BATCH_ROWS_MAX
from shared.errors import FieldFault, Invalid

ROWS_MAX: Final = BATCH_ROWS_MAX  # one batch is one priced contract; its row ids have five digits
FILE_BYTES_MAX: Final = 50 * 1024 * 1024  # 50,000 rows of 1 KiB, five times a usual prompt
# Two texts of 4,000 characters, each character written as two \u escapes, and the rest of a row.
LINE_BYTES_MAX: Final = 128 * 1024
RECORD_BYTES_MAX: Final = (
    LINE_BYTES_MAX  # a CSV row with line breaks in it; also what csv allows a cell
)
LINES_MAX: Final = 20 * ROWS_MAX  # 20 lines a row: stops 50 MB of blank lines from eating minutes
FAULTS_PER_ROW_MAX: Final = 8  # enough to mend a row at one go; keeps errors.csv readable
READ_BYTES: Final = 64 * 1024  # one read: with a line in hand, at most 192 KiB are held

_BOM: Final = b"\xef\xbb\xbf"
_SAVE_AS: Final = 'Save it as "CSV UTF-8" or as JSON Lines in UTF-8.'
_FOREIGN_MAGIC: Final = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF-", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)

RejectionCode = Literal[
    "file_type_unknown",
    "file_empty",
    "file_not_text",
    "file_too_large",
    "too_many_rows",
    "line_too_long",
    "columns_unknown",
    "columns_missing",
    "columns_duplicate",
    "csv_malformed",
    "no_rows",
]


class BatchFileRejected(Invalid):
    """The file as a whole cannot be taken; `problem_code` is a RejectionCode."""

    title = "The batch file cannot be read"


def rejected(code: RejectionCode, sentence: str, line: int | None = None) -> BatchFileRejected:
    """Build the error: what is wrong, where (1-based physical line) and how to mend it."""
    if line is None:
        return BatchFileRejected(sentence, code=code)
    return BatchFileRejected(f"Line {line}: {sentence}", code=code, extra={"line": line})


@dataclass(frozen=True)
class BatchFileLimits:
    """What one batch file may hold at most."""

    file_bytes_max: int = FILE_BYTES_MAX
    rows_max: int = ROWS_MAX
    lines_max: int = LINES_MAX
    line_bytes_max: int = LINE_BYTES_MAX
    record_bytes_max: int = RECORD_BYTES_MAX
    faults_per_row_max: int = FAULTS_PER_ROW_MAX


DEFAULT_LIMITS: Final = BatchFileLimits()


class Line(NamedTuple):
    """One physical line with its line end; `number` is 1-based."""

    number: int
    text: str
    size_bytes: int


class RawRow(NamedTuple):
    """One data row before validation; `fields` is None when the row could not be taken apart."""

    line: int
    item_id: object
    fields: dict[str, object] | None
    faults: list[FieldFault]


def physical_lines(stream: BinaryIO, limits: BatchFileLimits) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file; raise BatchFileRejected where a byte rules it out."""
    number = 0
    total_bytes = 0
    rest = b""
    while chunk := stream.read(READ_BYTES):
        total_bytes += len(chunk)
        if total_bytes > limits.file_bytes_max:
            raise _too_large(limits)
        block = rest + chunk
        if number == 0:
            _refuse_foreign_format(block)
        _refuse_nul(block, number)
        *whole, rest = block.split(b"\n")
        for piece in whole:
            number += 1
            yield _line(number, piece, b"\n", limits)
        if len(rest) > limits.line_bytes_max:
            raise _line_too_long(number + 1, limits)
    if rest:
        yield _line(number + 1, rest, b"", limits)


def _line(number: int, piece: bytes, end: bytes, limits: BatchFileLimits) -> Line:
    if len(piece) > limits.line_bytes_max:
        raise _line_too_long(number, limits)
    if number > limits.lines_max:
        raise rejected(
            "too_many_rows",
            f"the file has more than {limits.lines_max:,} lines. Remove blank lines or split it.",
            number,
        )
    if number == 1:
        piece = piece.removeprefix(_BOM)
    try:
        text = (piece + end).decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} of this line is not UTF-8 text"
        raise rejected("file_not_text", f"{where}. {_SAVE_AS}", number) from None
    return Line(number, text, len(piece) + len(end))


def _refuse_foreign_format(head: bytes) -> None:
    for magic, what in _FOREIGN_MAGIC:
        if head.startswith(magic):
            raise rejected("file_not_text", f"the file is {what}. {_SAVE_AS}", 1)


def _refuse_nul(block: bytes, lines_before: int) -> None:
    at = block.find(b"\0")
    if at >= 0:
        line = lines_before + 1 + block.count(b"\n", 0, at)
        sentence = f"a NUL byte: the file is binary or in UTF-16. {_SAVE_AS}"
        raise rejected("file_not_text", sentence, line)


def _line_too_long(line: int, limits: BatchFileLimits) -> BatchFileRejected:
    return rejected(
        "line_too_long",
        f"longer than {limits.line_bytes_max:,} bytes. Shorten the prompt or break the line.",
        line,
    )


def _too_large(limits: BatchFileLimits) -> BatchFileRejected:
    return rejected(
        "file_too_large",
        f"The file is larger than {limits.file_bytes_max:,} bytes. Split it into several files.",
    )
