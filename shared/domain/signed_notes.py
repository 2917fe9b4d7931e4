"""Signed notes and checkpoints as C2SP defines them, with ECDSA P-256 keys (signature type 0x02).

    eig.example/audit-log            origin
    1042                             tree size
    tq7...=                          root hash

    — eig.example/audit-log 3lK...=  key name, then key id and signature

The key id is the first four bytes of SHA-256 over the public key (SPKI, DER). A key is written down
as `name+id in hex+base64(0x02 || SPKI)`.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.domain.merkle import HASH_BYTES

ECDSA: Final = b"\x02"
KEY_ID_BYTES: Final = 4
NOTE_BYTES_MAX: Final = 64 * 1024  # a checkpoint has 3 lines; the rest is signatures
SIGNATURES_MAX: Final = 16  # what the format asks every reader to accept
_DASH: Final = "\u2014 "
_NAME: Final = re.compile(r"[^\s+]{1,255}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NotANote(ValueError):
    """A text is no signed note, no checkpoint or no key; the message says what is odd."""


@dataclass(frozen=True)
class Verifier:
    """A public key with its name: what somebody must know beforehand to trust a note."""

    name: str
    public_key: bytes  # SubjectPublicKeyInfo, DER

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise NotANote("a key name has neither spaces nor plus signs")

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.public_key).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The key on one line."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ECDSA + self.public_key).decode()}"

    def accepts(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature (DER) is this key's under the message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        key = load_der_public_key(self.public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise NotANote("a key is not on the curve P-256")
        try:
            key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def line(self, signature: bytes) -> str:
        """The signature line of a note."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + signature).decode()}\n"


def read_verifier(text: str) -> Verifier:
    """A key from its one line; NotANote if the parts do not fit each other."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    content = _base64(encoded)
    if content[:1] != ECDSA:
        raise NotANote("a key is not of the type ECDSA")
    verifier = Verifier(name, content[1:])
    if verifier.key_id.hex() != key_id:
        raise NotANote("a key does not fit its id")
    return verifier


@dataclass(frozen=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True)
class Note:
    """A text and the signatures under it; the text ends with a line break."""

    text: str
    signatures: tuple[Signature, ...]

    def is_signed_by(self, verifier: Verifier) -> bool:
        """Whether the key signed it; a wrong signature in the key's name spoils the note."""
        own = [s for s in self.signatures if (s.name, s.key_id) == (verifier.name, verifier.key_id)]
        return bool(own) and all(verifier.accepts(self.text.encode(), s.value) for s in own)


def read_note(content: str) -> Note:
    """A note from its text; NotANote if it is none."""
    if len(content.encode()) > NOTE_BYTES_MAX or _CONTROL.search(content):
        raise NotANote("a note is too long or has control characters")
    text, separator, block = content.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise NotANote("a note ends with a blank line and signature lines")
    lines = block[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NotANote("a note has too many signatures")
    return Note(text + "\n", tuple(_read_signature(line) for line in lines))


def _read_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    content = _base64(encoded)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or len(content) <= KEY_ID_BYTES:
        raise NotANote("a signature line is malformed")
    return Signature(name, content[:KEY_ID_BYTES], content[KEY_ID_BYTES:])


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log that a key vouches for."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text, without signatures."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def read_checkpoint(note: Note) -> Checkpoint:
    """The checkpoint in a note; extension lines are refused, because nobody can audit them."""
    lines = note.text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NotANote("a checkpoint has three lines")
    origin, size, root = lines[:3]
    if not origin or _SIZE.fullmatch(size) is None:
        raise NotANote("a checkpoint names its origin and its size")
    content = _base64(root)
    if len(content) != HASH_BYTES:
        raise NotANote("a root hash has 32 bytes")
    return Checkpoint(origin, int(size), content)


def signed_checkpoint(content: str, key: Verifier) -> Checkpoint | None:
    """The checkpoint of the log with this key; None for anything that it has not signed."""
    try:
        note = read_note(content)
        checkpoint = read_checkpoint(note)
    except (NotANote, UnicodeEncodeError):
        return None
    return checkpoint if checkpoint.origin == key.name and note.is_signed_by(key) else None


def proof_text(index: int, proof: Iterable[bytes], checkpoint_note: str) -> str:
    """An inclusion proof with its checkpoint: c2sp.org/tlog-proof@v1."""
    hashes = "".join(f"{b64encode(each).decode()}\n" for each in proof)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{checkpoint_note}"


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise NotANote("something is not base64") from None
