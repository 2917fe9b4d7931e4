"""Content credentials and notes in pictures: chunks that must survive custody byte for byte.

The manifest is a JUMBF superbox of C2PA's type with a label and some bytes. It is not signed: what
is tested is that nobody touches it, not that it verifies.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

PNG_HEAD_BYTES = 33  # signature and IHDR chunk
PNG_START = b"\x89PNG"
C2PA_TYPE = bytes.fromhex("6332706100110010800000AA00389B71")  # "c2pa" and the JUMBF suffix
MANIFEST_BYTES = 2_048
JPEG_SEGMENT_BYTES_MAX = 0xFFFF - 2


def manifest(picture: bytes) -> bytes:
    """A `c2pa` JUMBF superbox whose content depends on the picture."""
    label = b"c2pa\x00"
    description = _box(b"jumd", C2PA_TYPE + b"\x03" + label)
    digest = hashlib.sha256(picture).digest()
    content = _box(b"bidb", digest * (MANIFEST_BYTES // len(digest)))
    return _box(b"jumb", description + content)


def with_credentials(picture: bytes) -> bytes:
    """The picture with a manifest: a caBX chunk in a PNG, an APP11 segment in a JPEG."""
    box = manifest(picture)
    if picture.startswith(PNG_START):
        return _with_png_chunk(picture, b"caBX", box)
    # APP11: the box's own length and type stand again behind the instance and sequence numbers.
    segment = b"JP" + struct.pack(">HI", 1, 1) + box
    return _with_jpeg_segment(picture, b"\xff\xeb", segment)


def with_note(picture: bytes, note: str) -> bytes:
    """The picture with a comment in plain text: a tEXt chunk, or a COM segment."""
    text = note.encode("ascii")
    if picture.startswith(PNG_START):
        return _with_png_chunk(picture, b"tEXt", b"Comment\x00" + text)
    return _with_jpeg_segment(picture, b"\xff\xfe", text)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _with_png_chunk(picture: bytes, kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    chunk = struct.pack(">I", len(data)) + kind + data + checksum
    return picture[:PNG_HEAD_BYTES] + chunk + picture[PNG_HEAD_BYTES:]


def _with_jpeg_segment(picture: bytes, marker: bytes, data: bytes) -> bytes:
    if len(data) > JPEG_SEGMENT_BYTES_MAX:
        raise ValueError("The segment is too long for a JPEG.")
    return picture[:2] + marker + struct.pack(">H", 2 + len(data)) + data + picture[2:]
