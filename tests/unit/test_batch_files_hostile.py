"""Files that must be rejected as a whole, early, with a code, a place and a remedy."""

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import BinaryIO, cast

import pytest

from shared.domain.batch_files import (
    DEFAULT_LIMITS,
    BatchFileLimits,
    BatchFileRejected,
    FileFormat,
    parse_batch_file,
)
from shared.domain.batch_files_lines import (
    FILE_BYTES_MAX,
    LINE_BYTES_MAX,
    READ_BYTES,
    RECORD_BYTES_MAX,
    ROWS_MAX,
)

HEADER = b"model,prompt\n"
ROW = b"sdxl,A gull over the sea\n"
JSON_ROW = b'{"model":"sdxl","prompt":"A gull"}\n'


class RepeatedBytes(io.RawIOBase):
    """A forward-only stream of `head` and then `times` times `piece`; counts what was taken."""

    def __init__(self, head: bytes, piece: bytes, times: int) -> None:
        self._pending = head
        self._piece = piece
        self._left = times
        self.taken_bytes = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "the parser must never ask for the whole stream"
        while len(self._pending) < size and self._left:
            pieces = min(self._left, size // len(self._piece) + 1)
            self._pending += self._piece * pieces
            self._left -= pieces
        taken, self._pending = self._pending[:size], self._pending[size:]
        self.taken_bytes += len(taken)
        return taken


def read(
    data: bytes | RepeatedBytes,
    file_format: FileFormat = "csv",
    limits: BatchFileLimits = DEFAULT_LIMITS,
) -> tuple[int, BatchFileRejected | None]:
    """Read to the end or to the rejection; keep no row, only their number."""
    stream = io.BytesIO(data) if isinstance(data, bytes) else cast(BinaryIO, data)
    rows = 0
    try:
        for _ in parse_batch_file(stream, file_format, limits):
            rows += 1
    except BatchFileRejected as error:
        return rows, error
    return rows, None


def rejection_of(
    data: bytes | RepeatedBytes,
    file_format: FileFormat = "csv",
    limits: BatchFileLimits = DEFAULT_LIMITS,
) -> BatchFileRejected:
    _, error = read(data, file_format, limits)
    assert error is not None, "the file was taken"
    return error


def zip_file() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.csv", HEADER + ROW)
    return archive.getvalue()


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b"\xef\xbb\xbf", "file_empty"),
        (b"\n \r\n\n", "file_empty"),
        (zip_file(), "file_not_text"),
        (gzip.compress(HEADER + ROW), "file_not_text"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "file_not_text"),
        ((HEADER + ROW).decode().encode("utf-16"), "file_not_text"),
        ((HEADER + ROW).decode().encode("utf-16-le"), "file_not_text"),
        ((HEADER + ROW).decode().encode("utf-32"), "file_not_text"),
        (b"\x00" * 200_000, "file_not_text"),
        (b"a" * (LINE_BYTES_MAX + 1), "line_too_long"),
        (b"a" * LINE_BYTES_MAX + b"\xff", "line_too_long"),
    ],
)
def test_file_is_rejected_when_it_is_not_a_batch_at_all(
    data: bytes, code: str, file_format: FileFormat
) -> None:
    error = rejection_of(data, file_format)
    assert error.problem_code == code
    assert error.status == 422
    assert not error.retryable


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (HEADER, "no_rows", 1),
        (b"\n" + HEADER + b"\n,\n", "no_rows", 2),
        (HEADER + ROW + b"sdxl,\x00\n", "file_not_text", 3),
        (HEADER + ROW + "sdxl,café\n".encode("latin-1"), "file_not_text", 3),
        (HEADER + ROW + b"sdxl,\xed\xa0\x80\n", "file_not_text", 3),
        (HEADER + ROW + b'sdxl,"never closed\n' + ROW * 3, "csv_malformed", 3),
        (HEADER + b'sdxl,"never closed\n' + ROW * 9000, "line_too_long", 2),
        (HEADER + b'sdxl,"a" b\n', "csv_malformed", 2),
        (b"model,prompt\rsdxl,A gull\r", "csv_malformed", 1),
        (HEADER + ROW + b"sdxl," + b"x" * LINE_BYTES_MAX + b"\n", "line_too_long", 3),
        (b"model,prompt,colour,Style\n" + ROW, "columns_unknown", 1),
        (b"model,prompt,\n" + ROW, "columns_unknown", 1),
        (b"model;prompt\nsdxl;x\n", "columns_unknown", 1),
        (b"model\tprompt\nsdxl\tx\n", "columns_unknown", 1),
        (b"," * 60_000 + b"a\n" + ROW, "columns_unknown", 1),
        (b"model\n" + ROW, "columns_missing", 1),
        (b"\nid,size\n" + ROW, "columns_missing", 2),
        (b"model,prompt,Prompt\n" + ROW, "columns_duplicate", 1),
        (b"prompt," * 9000 + b"model\n" + ROW, "columns_duplicate", 1),
    ],
)
def test_csv_is_rejected_with_its_line_when_a_part_rules_it_out(
    data: bytes, code: str, line: int
) -> None:
    error = rejection_of(data)
    assert (error.problem_code, error.extra) == (code, {"line": line})
    assert error.detail.startswith(f"Line {line}: ")
    assert len(error.detail) < 400


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (b"model,prompt,colour,Style", "colour, style"),
        (b"model,prompt,,A prompt without a header", "column 3, column 4"),
        (b"model;prompt", "commas, not with semicolons"),
    ],
)
def test_unknown_columns_are_named_when_their_names_are_plain(header: bytes, part: str) -> None:
    assert part in rejection_of(header + b"\n" + ROW).detail


@pytest.mark.parametrize(
    ("file_format", "head", "piece"), [("csv", HEADER, ROW), ("jsonl", b"", JSON_ROW)]
)
def test_row_50001_is_rejected_when_50000_are_allowed(
    file_format: FileFormat, head: bytes, piece: bytes
) -> None:
    rows, error = read(RepeatedBytes(head, piece, ROWS_MAX + 1), file_format)
    assert rows == 50_000
    assert error is not None
    assert error.problem_code == "too_many_rows"


def test_ten_megabyte_line_is_rejected_before_it_is_read() -> None:
    stream = RepeatedBytes(HEADER + b"sdxl,", b"x", 10_000_000)
    tracemalloc.start()
    try:
        error = rejection_of(stream)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (error.problem_code, error.extra) == ("line_too_long", {"line": 2})
    assert stream.taken_bytes <= LINE_BYTES_MAX + READ_BYTES
    assert peak_bytes < 2_000_000


def test_memory_stays_flat_when_the_file_is_long() -> None:
    def peak_bytes(rows: int) -> int:
        stream = RepeatedBytes(HEADER, b'sdxl,"' + b"x" * 2000 + b'"\n', rows)
        tracemalloc.start()
        try:
            assert read(stream) == (rows, None)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)  # first use fills caches
    # 6 MB more of input; only the ids seen so far may add up (about 150 bytes each)
    assert peak_bytes(4000) - peak_bytes(1000) < 1_000_000


def test_file_is_rejected_when_it_is_larger_than_the_limit() -> None:
    stream = RepeatedBytes(b"", JSON_ROW[:-1] + b" " * 60_000 + b"\n", 1000)
    assert rejection_of(stream, "jsonl").problem_code == "file_too_large"
    assert FILE_BYTES_MAX < stream.taken_bytes <= FILE_BYTES_MAX + 64 * 1024


def test_blank_lines_are_bounded_when_a_file_has_nothing_else() -> None:
    stream = RepeatedBytes(HEADER, b"\n", 3000)
    error = rejection_of(stream, limits=BatchFileLimits(lines_max=2000))
    assert (error.problem_code, error.extra) == ("too_many_rows", {"line": 2001})


def test_longest_line_and_record_are_taken_when_they_just_fit() -> None:
    line = b'sdxl,"ab\n'
    data = HEADER + line + b'cd"\n'
    fits = BatchFileLimits(line_bytes_max=len(HEADER) - 1, record_bytes_max=len(HEADER))
    assert read(data, limits=fits) == (1, None)
    for tight in (
        BatchFileLimits(line_bytes_max=len(HEADER) - 2),
        BatchFileLimits(record_bytes_max=len(HEADER) - 1),
        BatchFileLimits(file_bytes_max=len(data) - 1),
        BatchFileLimits(rows_max=0),
        BatchFileLimits(lines_max=2),
    ):
        assert rejection_of(data, "csv", tight).problem_code in {
            "line_too_long",
            "file_too_large",
            "too_many_rows",
        }


def test_largest_record_stays_below_the_csv_module_limit() -> None:
    quoted_lines = b"\n".join([b"x" * 60_000] * 2)
    data = HEADER + b'sdxl,"' + quoted_lines + b'"\n'
    assert len(data) < RECORD_BYTES_MAX
    (row,) = parse_batch_file(io.BytesIO(data), "csv")
    assert [fault.field for fault in row.faults] == ["/prompt"]


def test_rows_before_the_fault_are_yielded_when_a_later_line_rejects_the_file() -> None:
    rows = parse_batch_file(io.BytesIO(HEADER + ROW + b"sdxl,\xff\n"), "csv")
    assert next(rows).request is not None
    with pytest.raises(BatchFileRejected):
        next(rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"=" + b"1" * n + b"x",
        lambda n: b"-" + b"1=" * (n // 2) + b"x",
        lambda n: b"-" + b" " * n + b"x",
        lambda n: b"@" + b"a" * n,
        lambda n: b"-" + b"(" * n + b"a",
    ],
)
def test_formula_check_is_linear_when_a_cell_is_made_to_backtrack(
    make: Callable[[int], bytes],
) -> None:
    # a quadratic match of 60,000 characters would take minutes and hit the suite's time limit
    (row,) = parse_batch_file(io.BytesIO(HEADER + b"sdxl," + make(60_000) + b"\n"), "csv")
    assert row.request is None
