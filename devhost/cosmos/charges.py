"""What a request costs in request units (RU).

The service does not publish its formula; this one is fixed, so that tests can rely on it, and is
near the documented points: a read of 1 KB is 1 RU, of 100 KB about 10; an insert of 1 KB with a
few indexed properties is 5-7 RU, of 100 KB about 55; a replace is nearly twice an insert.

| operation | RU |
|---|---|
| point read | 1 + 0.09 per KB above the first |
| create | 5 + 0.5 per KB + 0.1 per indexed term |
| replace, upsert of an existing item, patch | 1.7 x create of the new content |
| delete | create of the content that is removed |
| batch | the sum of its operations |
| query | 2.3 + 0.01 per KB scanned + 0.1 per KB returned |
| change feed, read feed | 1 + 0.1 per KB returned |
| refused (404, 409, 412 and other 4xx) | 1.24 (1 for 404) |
| metadata (account, databases, containers, ranges, plans) | 1 |
"""

from __future__ import annotations

BYTES_PER_KB = 1024
METADATA = 1.0
NOT_FOUND = 1.0
REFUSED = 1.24
OVERWRITE_FACTOR = 1.7  # the old index terms are removed and the new ones are added


def _kb(size_bytes: int) -> float:
    return size_bytes / BYTES_PER_KB


def _rounded(charge: float) -> float:
    return round(charge, 2)


def read(size_bytes: int) -> float:
    return _rounded(1.0 + 0.09 * max(0.0, _kb(size_bytes) - 1.0))


def create(text: str) -> float:
    """`text` is the stored JSON; its commas stand for the number of indexed terms."""
    return _rounded(5.0 + 0.5 * _kb(len(text)) + 0.1 * (text.count(",") + 1))


def overwrite(text: str) -> float:
    return _rounded(OVERWRITE_FACTOR * create(text))


def query(scanned_bytes: int, returned_bytes: int) -> float:
    return _rounded(2.3 + 0.01 * _kb(scanned_bytes) + 0.1 * _kb(returned_bytes))


def feed(returned_bytes: int) -> float:
    return _rounded(1.0 + 0.1 * _kb(returned_bytes))


def refused(status: int) -> float:
    return NOT_FOUND if status == 404 else REFUSED
