"""The change feed in latest-version mode: items in the order of their last change, no deletes.

The etag of a page is the number of the last transaction in it. A transaction is never divided
between pages, so a page may exceed the item count that was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from devhost.cosmos.catalog import Container
from devhost.cosmos.errors import bad_request
from devhost.cosmos.store import Scope, Store

FROM_NOW = "*"
PAGE_BYTES_MAX = 4 * 1024 * 1024  # service limit for one answer
_ETAG = re.compile(r'"(\d{1,18})"')


@dataclass
class ChangePage:
    """Changed items as JSON texts, and the etag to continue from."""

    items: list[str]
    etag: str
    size_bytes: int


def read_changes(
    store: Store,
    container: Container,
    scope: Scope,
    *,
    etag: str | None,
    since_ts: int,
    max_items: int,
) -> ChangePage:
    """The next changes after `etag` (None: from the beginning, "*": from now)."""
    last = _position(etag, container)
    items: list[str] = []
    size_bytes = 0
    complete = True
    for lsn, body in store.changes(container, scope, last, since_ts):
        if lsn != last and (len(items) >= max_items or size_bytes >= PAGE_BYTES_MAX):
            complete = False
            break
        items.append(f'{body[:-1]},"_lsn":{lsn}}}')
        size_bytes += len(body)
        last = lsn
    # Skipping to the end of the log spares the next call changes that are out of scope.
    return ChangePage(items, f'"{container.lsn if complete else last}"', size_bytes)


def _position(etag: str | None, container: Container) -> int:
    if etag is None:
        return 0
    if etag == FROM_NOW:
        return container.lsn
    match = _ETAG.fullmatch(etag)
    if match is None:
        raise bad_request("The If-None-Match header is no continuation of this change feed.")
    return int(match.group(1))
