"""Keeps schemathesis to addresses that reach the app.

Servers in front of it refuse overlong addresses and control characters by themselves, with answers
of their own that no document of ours describes.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlencode

import schemathesis

ADDRESS_CHARS_MAX = 4_000  # half of what common servers read
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Whether a generated request is sent."""
    values = [unquote(str(value)) for value in (case.path_parameters or {}).values()]
    address = urlencode({"path": "".join(values), **(case.query or {})}, doseq=True)
    return len(address) <= ADDRESS_CHARS_MAX and not any(map(_CONTROL.search, values))
