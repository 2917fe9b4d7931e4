"""The reviewed file that says which rules of models stop whom on which route."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.access_matrix import ROLES

MATRIX: Final = Path(__file__).resolve().parent / "data" / "model_matrix.csv"
MODEL: Final = "gpt-image-2"
RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "unset": {},
    "model allowed": {"models": {MODEL: "allow"}, "otherwise": "deny"},
    "provider allowed": {"providers": {"azure_openai": "allow"}, "otherwise": "deny"},
    "model denied": {"models": {MODEL: "deny"}},
    "model denied, provider allowed": {
        "models": {MODEL: "deny"},
        "providers": {"azure_openai": "allow"},
    },
    "provider denied": {"providers": {"azure_openai": "deny"}},
    "others denied": {"models": {"sdxl": "allow"}, "otherwise": "deny"},
}


def agreed() -> dict[tuple[str, str], list[str]]:
    """A word for each role, by route and rules."""
    with MATRIX.open(encoding="utf-8", newline="") as file:
        return {
            (row["route"], row["rules"]): [row[r] for r in ROLES] for row in csv.DictReader(file)
        }
