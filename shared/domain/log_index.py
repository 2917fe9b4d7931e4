"""Where the log's events are found: buckets of fixed records, derived from the entries alone.

A record is the entry's key (16 bytes), its index (8 bytes) and the first half of its leaf hash. The
index proves nothing; whoever uses it reads the entry that it points to. What is not a whole record
is dropped, and a place that is written again replaces the one that stood.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from shared.domain.audit_entries import KEY_BYTES

INDEX_BYTES: Final = 8
MARK_BYTES: Final = 16
RECORD_BYTES: Final = KEY_BYTES + INDEX_BYTES + MARK_BYTES


@dataclass(frozen=True)
class Place:
    """Where an event stands in the log, and how its leaf hash begins."""

    index: int
    mark: bytes


def bucket_name(partition_key: str, key: bytes) -> str:
    """One of 16 buckets of a partition: 50,000 events are 3,125 records (125 KB) each.

    A run reads and writes the buckets of its events: few, or few calls for many events.
    """
    partition = hashlib.sha256(partition_key.encode()).hexdigest()[:32]
    return f"index/{partition}/{key[0] >> 4:x}"


def read_bucket(content: bytes) -> dict[bytes, Place]:
    """The places in a bucket by key; a record that was cut off is left out."""
    places = {}
    for at in range(0, len(content) - RECORD_BYTES + 1, RECORD_BYTES):
        key, rest = content[at : at + KEY_BYTES], content[at + KEY_BYTES : at + RECORD_BYTES]
        places[key] = Place(int.from_bytes(rest[:INDEX_BYTES], "big"), rest[INDEX_BYTES:])
    return places


def with_places(content: bytes, places: dict[bytes, Place]) -> bytes:
    """A bucket with these places in it."""
    return b"".join(
        key + place.index.to_bytes(INDEX_BYTES, "big") + place.mark
        for key, place in (read_bucket(content) | places).items()
    )
