"""Keeps schemathesis to addresses that reach the app, and away from the people of other tests.

Servers in front of it refuse overlong addresses and control characters by themselves, with answers
of their own that no document of ours describes. And it remembers the ids of a listing: with the
rights of a Super Admin it deletes everybody else.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote, urlencode

import schemathesis

from devhost.stack import REPOSITORY

ADDRESS_CHARS_MAX = 4_000  # half of what common servers read
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SEED: dict[str, Any] = json.loads((REPOSITORY / "examples" / "organisation.json").read_text())
PEOPLE = tuple(each["object_id"] for each in _SEED["users"])
DEPARTMENTS = tuple(each["department_id"] for each in _SEED["departments"])
_OF_TESTS = re.compile(
    r"d\d{7}-0000-4000-8000-\d{12}"
)  # people of other modules: cloud.organisation
_ORGANISATION = re.compile(r"/(users|departments)(/|$)", re.IGNORECASE)
_EVERYBODYS = "/organisation/model-rules"


def changes_who_is_seeded(case: Any) -> bool:
    """Whether a request would change a person or a department that other tests need."""
    if case.method.upper() == "GET":
        return False
    if case.path.endswith(_EVERYBODYS):
        return "deny" in str(case.body)
    if not _ORGANISATION.search(case.path):
        return False
    named = {unquote(str(value)) for value in (case.path_parameters or {}).values()}
    if not named.isdisjoint({*PEOPLE, *DEPARTMENTS}) or any(map(_OF_TESTS.fullmatch, named)):
        return True
    told = str(case.body)
    return any(person in told for person in PEOPLE) or bool(_OF_TESTS.search(told))


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Whether a generated request is sent."""
    values = [unquote(str(value)) for value in (case.path_parameters or {}).values()]
    address = urlencode({"path": "".join(values), **(case.query or {})}, doseq=True)
    if changes_who_is_seeded(case):
        return False
    return len(address) <= ADDRESS_CHARS_MAX and not any(map(_CONTROL.search, values))
