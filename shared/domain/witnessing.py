"""What a witness accepts: one line of checkpoints of one log, each growing out of the last.

The rules are those of C2SP tlog-witness. An empty log proves nothing, so whatever follows it is
accepted with an empty proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.domain.merkle import EMPTY_ROOT, verify_consistency
from shared.domain.signed_notes import Checkpoint

Refusal = Literal[
    "malformed", "unknown_log", "bad_signature", "stale", "rollback", "fork", "bad_proof"
]


@dataclass(frozen=True)
class Cosigned:
    """The witness saw this checkpoint and its signature line says so."""

    note: str
    line: str


@dataclass(frozen=True)
class Refused:
    """The witness does not cosign; `size` is the one it has seen last."""

    why: Refusal
    size: int


def objection(
    last: Checkpoint | None, old_size: int, proof: Sequence[bytes], new: Checkpoint
) -> Refusal | None:
    """What speaks against the new checkpoint, after its signature was found to be right."""
    seen = last.size if last else 0
    if new.size < seen:
        return "rollback"
    if last is not None and new.size == seen and new.root != last.root:
        return "fork"
    if old_size != seen:
        return "stale"
    if last is None or seen == 0:
        return "bad_proof" if proof or (new.size == 0 and new.root != EMPTY_ROOT) else None
    if not verify_consistency(seen, new.size, last.root, new.root, proof):
        return "fork"
    return None
