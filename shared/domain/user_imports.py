"""People in a CSV file: which columns there may be, and what is wrong with a row."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.domain.identity import ROLE_BY_CLAIM
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.personal_data import folded
from shared.domain.roles import ROLE_ID
from shared.domain.users import NAME_CHARS_MAX, NOT_IN_NAMES
from shared.errors import FieldFault, Invalid

ROWS_MAX: Final = 1_000  # each is a transaction; more would outlast a request
NEEDED: Final = ("object_id", "department")
COLUMNS: Final = (
    *NEEDED,
    "role",
    "tier",
    "cost_centre",
    "user_name",
    "display_name",
    "email",
)
TIERS: Final = ("free", "standard", "enterprise")
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DEPARTMENT: Final = re.compile(DEPARTMENT_ID_PATTERN)


@dataclass(frozen=True)
class ImportRow:
    """One row: its number in the file (the line of names is 1), its cells, and what is wrong.

    A cell that is empty leaves what stands, or takes the default of somebody new.
    """

    number: int
    cells: dict[str, str]
    faults: tuple[FieldFault, ...] = field(default=())


def read_import(content: bytes) -> list[ImportRow]:
    """The rows of a file; Invalid for one that cannot be read as a whole."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable("save it as UTF-8") from None
    if "\x00" in text:
        raise _unusable("it holds a NUL")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_names(names)
        rows = list(_rows(reader, names))
    except csv.Error:
        raise _unusable("its quotes do not match") from None
    if not rows:
        raise _unusable("there is nobody in it")
    return rows


def _rows(reader: Iterator[list[str]], names: list[str]) -> Iterator[ImportRow]:
    seen: dict[tuple[str, str], int] = {}
    for number, cells in enumerate(reader, 2):
        if number - 1 > ROWS_MAX:
            raise _unusable(f"it may have at most {ROWS_MAX} rows")
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            yield ImportRow(number, {}, (FieldFault("row", "the number of cells is another"),))
            continue
        named = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        faults = list(_faults(named))
        for column in ("object_id", "user_name"):
            value = folded(named.get(column, ""))
            first = seen.setdefault((column, value), number) if value else number
            if first != number:
                faults.append(FieldFault(column, f"it stands in row {first} already"))
        yield ImportRow(number, named, tuple(faults))


def _faults(cells: dict[str, str]) -> Iterator[FieldFault]:
    for name, value in cells.items():
        if len(value) > NAME_CHARS_MAX or NOT_IN_NAMES.search(value):
            yield FieldFault(name, f"at most {NAME_CHARS_MAX} characters on one line")
    if not _GUID.fullmatch(cells["object_id"]):
        yield FieldFault("object_id", "the object id of the account, in lower case")
    if not _DEPARTMENT.fullmatch(cells["department"]):
        yield FieldFault("department", "the id of a department")
    role = cells.get("role")
    if role and role not in ROLE_BY_CLAIM and not ROLE_ID.fullmatch(role):
        yield FieldFault("role", "a built-in role, or custom: and its name")
    if cells.get("tier") and cells["tier"] not in TIERS:
        yield FieldFault("tier", f"one of {', '.join(TIERS)}")
    if cells.get("cost_centre") and not _DEPARTMENT.fullmatch(cells["cost_centre"]):
        yield FieldFault("cost_centre", "the id of a cost centre")


def _check_names(names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        raise _unusable(f"its first line names {', '.join(COLUMNS)}; the first two are needed")


def _unusable(why: str) -> Invalid:
    return Invalid("The file cannot be used.", faults=[FieldFault("/file", why)])
