"""Pictures that were handed over with a receipt: their bytes, sizes and types."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .faults import Fault

_CHUNK_BYTES = 1 << 20
_STARTS = {
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/webp": (8, b"WEBP"),
    "image/gif": (0, b"GIF8"),
}


def require_pictures(images: Sequence[dict[str, Any]], paths: Sequence[Path]) -> list[str]:
    """Each file is another one of these images; names the images that no file was given for."""
    missing = dict(enumerate(images, 1))
    for path in paths:
        digest, size, start = _read(path)
        number = next((n for n, each in missing.items() if each["sha256"] == digest), None)
        if number is None:
            known = any(each["sha256"] == digest for each in images)
            what = "it was given before" if known else "no picture of this receipt has these bytes"
            raise Fault(str(path), what)
        image = missing.pop(number)
        if image["size_bytes"] != size:
            raise Fault(str(path), f"it has {size} bytes, the receipt says something else")
        _require_type(str(path), image["content_type"], start)
    return [f"image {number}: no file was given to compare" for number in missing]


def _read(path: Path) -> tuple[str, int, bytes]:
    """Hash, size and beginning of a file."""
    digest, size, start = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            start = start or chunk[:16]
            size += len(chunk)
            digest.update(chunk)
    return digest.hexdigest(), size, start


def _require_type(place: str, content_type: str, start: bytes) -> None:
    at, magic = _STARTS.get(content_type, (0, None))
    if magic is None:
        raise Fault(place, f"this program does not know the type {content_type!r}")
    if start[at : at + len(magic)] != magic:
        raise Fault(place, f"it is no {content_type}")
