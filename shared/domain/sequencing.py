"""The sequencer's state: how far the log is, and the batch that is being written.

It is stored with a signature of the log's key, because whatever is pending will be in the log.

Choosing a batch and writing it are two steps. `pending` fixes which entries come next and in which
order before any file is written, so that whoever goes on after a crash writes the same bytes.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.domain.audit_entries import LogEntry, as_logged
from shared.domain.log_index import MARK_BYTES, Place, bucket_name
from shared.domain.log_tiles import (
    TILE_WIDTH,
    Edge,
    bundle_name,
    encode_bundle,
    grow,
)
from shared.domain.merkle import leaf_hash
from shared.errors import InvariantBroken

STATE_VERSION: Final = 1
STATE_CONTEXT: Final = b"state of the sequencer\n"  # no checkpoint begins like that


@dataclass(frozen=True)
class Pending:
    """The batch that comes next, and the feed's position behind it."""

    entries: tuple[LogEntry, ...]
    position: str | None


@dataclass(frozen=True)
class LogState:
    """The log's edge, the feed's position that it stands for, and what is being written."""

    edge: Edge = field(default_factory=Edge)
    position: str | None = None
    pending: Pending | None = None


@dataclass(frozen=True)
class Written:
    """What a pending batch amounts to: files, places in the index, the state afterwards."""

    files: dict[str, bytes]
    places: dict[str, dict[bytes, Place]]  # by bucket
    state: LogState


def partial_bundle(edge: Edge) -> str | None:
    """The file that holds the entries behind the last full bundle; None if there are none."""
    width = edge.size % TILE_WIDTH
    return bundle_name(edge.size // TILE_WIDTH, width) if width else None


def write_pending(state: LogState, last_entries: Sequence[bytes]) -> Written:
    """Carry out a pending batch; `last_entries` are those of the partial bundle."""
    pending, edge = state.pending, state.edge
    if pending is None:
        raise InvariantBroken("Nothing is pending.")
    standing = edge.levels[0] if edge.levels else ()
    if tuple(leaf_hash(entry) for entry in last_entries) != standing:
        raise InvariantBroken("The last entries of the audit log are not those of its tree.")
    leaves = [as_logged(entry) for entry in pending.entries]
    growth = grow(edge, leaves)
    entries = [*last_entries, *(entry.content for entry in pending.entries)]
    first = edge.size // TILE_WIDTH
    files = {}
    for number in range(-(-len(entries) // TILE_WIDTH)):
        part = entries[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
        files[bundle_name(first + number, len(part))] = encode_bundle(part)
    places: dict[str, dict[bytes, Place]] = {}
    for index, (entry, leaf) in enumerate(zip(pending.entries, leaves, strict=True), edge.size):
        bucket = places.setdefault(bucket_name(entry.partition_key, entry.key), {})
        bucket[entry.key] = Place(index, leaf[:MARK_BYTES])
    after = replace(state, edge=growth.edge, position=pending.position, pending=None)
    return Written({**files, **growth.tiles}, places, after)


def state_json(state: LogState) -> bytes:
    """The state as it is stored."""
    pending = None
    if state.pending is not None:
        pending = {
            "position": state.pending.position,
            "entries": [
                [entry.partition_key, entry.event_id, entry.content.decode()]
                for entry in state.pending.entries
            ],
        }
    document = {
        "version": STATE_VERSION,
        "size": state.edge.size,
        "edge": [b64encode(b"".join(hashes)).decode() for hashes in state.edge.levels],
        "position": state.position,
        "pending": pending,
    }
    return json.dumps(document).encode()


def signed_state(content: bytes, signature: bytes) -> bytes:
    """A stored state with the signature over it."""
    document = {"state": content.decode(), "signature": b64encode(signature).decode()}
    return json.dumps(document).encode()


def read_signed_state(content: bytes) -> tuple[bytes, bytes]:
    """State and signature; InvariantBroken for anything else."""
    try:
        document = json.loads(content)
        return document["state"].encode(), b64decode(document["signature"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InvariantBroken("The sequencer's state is none.") from None


def read_state(content: bytes) -> LogState:
    """The state from its stored form; InvariantBroken if it is of another version."""
    document: dict[str, Any] = json.loads(content)
    if document["version"] != STATE_VERSION:
        raise InvariantBroken("The sequencer's state is of another version.")
    levels = tuple(
        tuple(joined[at : at + 32] for at in range(0, len(joined), 32))
        for joined in map(b64decode, document["edge"])
    )
    pending = None
    if document["pending"] is not None:
        entries = (LogEntry(p, i, c.encode()) for p, i, c in document["pending"]["entries"])
        pending = Pending(tuple(entries), document["pending"]["position"])
    return LogState(Edge(document["size"], levels), document["position"], pending)
