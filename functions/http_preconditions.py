"""Conditional requests (RFC 9110, 13.1): a change says which revision it is meant for."""

import re

from functions.http_support import Call
from shared.errors import FieldFault, Invalid, PreconditionRequired

_ETAG = re.compile(r'"([1-9][0-9]{0,9})"')


def etag_of(revision: int) -> dict[str, str]:
    """The header that tells a reader which revision this is; none where nothing is stored yet."""
    return {"ETag": f'"{revision}"'} if revision else {}


def expected_revision(call: Call) -> int | None:
    """The revision to be changed: 0 for none yet (`If-None-Match: *`), None for `If-Match: *`."""
    match = call.request.headers.get("If-Match")
    none_match = call.request.headers.get("If-None-Match")
    if match is None and none_match is None:
        raise PreconditionRequired(
            "Send If-Match with the ETag you have read, or If-None-Match: * to create."
        )
    if none_match is not None:
        if none_match.strip() != "*" or match is not None:
            raise _unreadable("If-None-Match", "send * and no If-Match")
        return 0
    wanted = (match or "").strip()
    if wanted == "*":
        return None
    found = _ETAG.fullmatch(wanted)
    if found is None:
        raise _unreadable("If-Match", "send one ETag as it was read, with its quotes")
    return int(found[1])


def stated_revision(call: Call) -> int | None:
    """The same where a change may also be asked for without reading first: None, then, too."""
    headers = call.request.headers
    stated = headers.get("If-Match") is not None or headers.get("If-None-Match") is not None
    return expected_revision(call) if stated else None


def _unreadable(header: str, how: str) -> Invalid:
    return Invalid(f"{header} is not usable.", faults=[FieldFault(f"/headers/{header}", how)])
