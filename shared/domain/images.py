"""What a picture is, read from its first bytes: its kind, its media type, its width and height."""

from dataclasses import dataclass
from typing import Final

# A JPEG's size stands behind its colour profile and its content credentials (a signed manifest,
# often with a thumbnail of its own), which may take several hundred kilobytes.
HEAD_BYTES: Final = 1024 * 1024
DIMENSION_MAX: Final = 65_535  # what JPEG can express; more is damage or a decompression bomb
_JPEG_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_JPEG_SCAN_OR_END: Final = frozenset({0xD9, 0xDA})


@dataclass(frozen=True)
class ImageKind:
    """A picture format: its name as models spell it, media type and file extension."""

    name: str
    media_type: str
    extension: str


PNG: Final = ImageKind("png", "image/png", "png")
JPEG: Final = ImageKind("jpeg", "image/jpeg", "jpg")
WEBP: Final = ImageKind("webp", "image/webp", "webp")
GIF: Final = ImageKind("gif", "image/gif", "gif")
KINDS: Final = {kind.media_type: kind for kind in (PNG, JPEG, WEBP, GIF)}

_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_START: Final = b"\xff\xd8\xff"
_GIF_STARTS: Final = (b"GIF87a", b"GIF89a")


def sniff_image(head: bytes) -> ImageKind | None:
    """The kind that the first 12 bytes prove, or None; names and declared types prove nothing."""
    if head.startswith(_PNG_START):
        return PNG
    if head.startswith(_JPEG_START):
        return JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith(_GIF_STARTS):
        return GIF
    return None


def image_dimensions(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels from the first HEAD_BYTES, or None if they cannot be read."""
    kind = sniff_image(head)
    if kind is None:
        return None
    readers = {PNG: _png_size, JPEG: _jpeg_size, WEBP: _webp_size, GIF: _gif_size}
    size = readers[kind](head)
    if size is None or not all(1 <= side <= DIMENSION_MAX for side in size):
        return None
    return size


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _png_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return _big(head[16:20]), _big(head[20:24])


def _gif_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 10:
        return None
    return _little(head[6:8]), _little(head[8:10])


def _webp_size(head: bytes) -> tuple[int, int] | None:
    chunk = head[12:16]
    if len(head) < 30:
        return None
    if chunk == b"VP8X":  # extended: 24-bit sides, stored minus one
        return 1 + _little(head[24:27]), 1 + _little(head[27:30])
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":  # lossy: 14-bit sides
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    if chunk == b"VP8L" and head[20] == 0x2F:  # lossless: two packed 14-bit sides minus one
        bits = _little(head[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header; each step moves on, so the walk ends."""
    at = 2
    while at + 4 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_BARE_MARKERS:
            at += 2
        elif marker in _JPEG_SCAN_OR_END:
            return None
        elif marker in _JPEG_FRAME_MARKERS:
            if at + 9 > len(head):
                return None
            return _big(head[at + 7 : at + 9]), _big(head[at + 5 : at + 7])
        else:
            at += 2 + max(2, _big(head[at + 2 : at + 4]))
    return None
