"""The reviewed file that says who gets what: route, scope, and one word for each built-in role."""

import csv
from pathlib import Path
from typing import Final

MATRIX: Final = Path(__file__).resolve().parent / "data" / "access_matrix.csv"
ROLES: Final = ("StandardUser", "PowerUser", "DeptManager", "OrgAdmin", "SuperAdmin")
COLUMNS: Final = ("route", "scope", *ROLES)


def agreed() -> dict[tuple[str, str], list[str]]:
    with MATRIX.open(encoding="utf-8", newline="") as file:
        return {
            (row["route"], row["scope"]): [row[r] for r in ROLES] for row in csv.DictReader(file)
        }
