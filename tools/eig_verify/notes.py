"""Signed notes, checkpoints and inclusion proofs in the forms of C2SP."""

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass

from . import ecdsa
from .faults import Fault

ECDSA_TYPE = b"\x02"
HASH_BYTES = 32
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
PROOF_HASHES_MAX = 63  # the height of the largest tree whose size is written down
_DASH = "\u2014 "
_NAME = re.compile(r"[^\s+]{1,255}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class Key:
    """A public key that the person who checks trusts beforehand."""

    name: str
    key_id: bytes
    point: ecdsa.Point


def read_key(text: str) -> Key:
    """A key as `name+id+base64`; Fault if its parts do not fit each other."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    content = decoded(encoded, f"key {name}")
    point = ecdsa.read_public_key(content[1:])
    if content[:1] != ECDSA_TYPE or point is None:
        raise Fault(f"key {name}", "it is no ECDSA key on the curve P-256")
    if _NAME.fullmatch(name) is None:
        raise Fault("a key", "it has no name")
    if hashlib.sha256(content[1:]).hexdigest()[:8] != key_id:
        raise Fault(f"key {name}", "it does not fit its id")
    return Key(name, bytes.fromhex(key_id), point)


def require_two(log: Key, witness: Key | None) -> None:
    """Fault if one hand could have written both signatures."""
    if witness is not None and (witness.point == log.point or witness.name == log.name):
        raise Fault(f"key {witness.name}", "the witness's key is the log's own")


@dataclass(frozen=True)
class Checkpoint:
    """What a signed checkpoint says."""

    origin: str
    size: int
    root: bytes


def read_checkpoint(note: str, place: str, log: Key, witness: Key | None) -> Checkpoint:
    """A checkpoint whose signatures hold; Fault otherwise."""
    text, separator, block = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) != 3 or not block.endswith("\n"):
        raise Fault(place, "it is no checkpoint")
    origin, size, root = lines
    content = decoded(root, place)
    if not _SIZE.fullmatch(size) or len(content) != HASH_BYTES:
        raise Fault(place, "its size or its root hash is malformed")
    if origin != log.name:
        raise Fault(place, f"it is of the log {origin!r}, not of {log.name!r}")
    message = f"{text}\n".encode()
    signatures = block[:-1].split("\n")
    _require_signature(message, signatures, log, place, "the log")
    if witness is not None:
        _require_signature(message, signatures, witness, place, "the witness")
    return Checkpoint(origin, int(size), content)


def _require_signature(message: bytes, lines: list[str], key: Key, place: str, whose: str) -> None:
    found = False
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        content = decoded(encoded, place)
        if not line.startswith(_DASH) or len(content) <= len(key.key_id):
            raise Fault(place, "a signature line is malformed")
        if (name, content[: len(key.key_id)]) != (key.name, key.key_id):
            continue
        if not ecdsa.is_valid(key.point, message, content[len(key.key_id) :]):
            raise Fault(place, f"the signature of {whose} is wrong")
        found = True
    if not found:
        raise Fault(place, f"{whose} ({key.name}) has not signed it")


@dataclass(frozen=True)
class Proof:
    """An inclusion proof and the checkpoint that it leads to."""

    index: int
    hashes: list[bytes]
    checkpoint_note: str


def read_proof(text: str, place: str) -> Proof:
    """A tlog-proof; Fault if it is none."""
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != PROOF_HEADER:
        raise Fault(place, "it is no tlog-proof@v1")
    # The format's optional line of extra data is refused: nothing would prove it.
    index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if index is None:
        raise Fault(place, "the proof has no index")
    hashes = [decoded(line, place) for line in lines[2:]]
    if len(hashes) > PROOF_HASHES_MAX or any(len(each) != HASH_BYTES for each in hashes):
        raise Fault(place, "the proof's hashes are malformed")
    return Proof(int(index[1]), hashes, note)


def decoded(text: str, place: str) -> bytes:
    """The bytes of base64; Fault if it is none, or not the one way to write these bytes."""
    try:
        content = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise Fault(place, "something in it is not base64") from None
    if b64encode(content).decode() != text:
        raise Fault(place, "something in it is base64 of a second form")
    return content
