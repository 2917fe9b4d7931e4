"""What a picture is, read from its bytes: its kind, its media type, its width and height.

Colour profiles and content credentials (signed manifests, some with thumbnails of their own) may
take megabytes and stand before the picture or its size, so they are stepped over, not read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SNIFFED_BYTES: Final = 12  # the first bytes that tell the kind
SEGMENTS_MAX: Final = 4_096  # that are stepped over; 50 MB are 800 of a JPEG's largest
DIMENSION_MAX: Final = 65_535  # what JPEG can express; more is damage or a decompression bomb
_JPEG_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_JPEG_END, _JPEG_SCAN, _JPEG_FILL = 0xD9, 0xDA, 0xFF
_WEBP_FRAMES: Final = frozenset({b"VP8 ", b"VP8L", b"ANMF"})

# So many bytes of a picture from an offset on; fewer where it ends.
ReadAt = Callable[[int, int], bytes]


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
_PNG_HEADER_BYTES: Final = 33  # the signature and the whole IHDR chunk
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


def image_dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture in memory."""
    return dimensions_of(lambda at, size: data[at : at + size])


def dimensions_of(read: ReadAt) -> tuple[int, int] | None:
    """Width and height in pixels, or None if they cannot be read or no picture follows them."""
    kind = sniff_image(read(0, SNIFFED_BYTES))
    if kind is None:
        return None
    readers = {PNG: _png_size, JPEG: _jpeg_size, WEBP: _webp_size, GIF: _gif_size}
    size = readers[kind](read)
    if size is None or not all(1 <= side <= DIMENSION_MAX for side in size):
        return None
    return size


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _png_size(read: ReadAt) -> tuple[int, int] | None:
    """The sides that the header names, if any picture data follows it."""
    head = read(0, _PNG_HEADER_BYTES)
    if len(head) < _PNG_HEADER_BYTES or head[12:16] != b"IHDR":
        return None
    at = _PNG_HEADER_BYTES
    for _ in range(SEGMENTS_MAX):
        chunk = read(at, 8)
        if chunk[4:] == b"IDAT":
            return _big(head[16:20]), _big(head[20:24])
        if len(chunk) < 8 or chunk[4:] == b"IEND":
            return None
        at += 12 + _big(chunk[:4])  # its length, its kind and its checksum
    return None


def _gif_size(read: ReadAt) -> tuple[int, int] | None:
    head = read(0, 10)
    if len(head) < 10:
        return None
    return _little(head[6:8]), _little(head[8:10])


def _webp_size(read: ReadAt) -> tuple[int, int] | None:
    head = read(0, 30)
    chunk = head[12:16]
    if len(head) < 30:
        return None
    if chunk == b"VP8X":  # extended: 24-bit sides, stored minus one; the picture follows later
        size = 1 + _little(head[24:27]), 1 + _little(head[27:30])
        return size if _has_webp_frame(read) else None
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":  # lossy: 14-bit sides
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    if chunk == b"VP8L" and head[20] == 0x2F:  # lossless: two packed 14-bit sides minus one
        bits = _little(head[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _has_webp_frame(read: ReadAt) -> bool:
    at = SNIFFED_BYTES
    for _ in range(SEGMENTS_MAX):
        chunk = read(at, 8)
        if len(chunk) < 8:
            return False
        if chunk[:4] in _WEBP_FRAMES:
            return True
        length = _little(chunk[4:])
        at += 8 + length + length % 2  # padded to an even length
    return False


def _jpeg_size(read: ReadAt) -> tuple[int, int] | None:
    """Walk the segments past the frame header, which names the sides, to the first scan."""
    size = None
    at = 2
    for _ in range(SEGMENTS_MAX):
        segment = read(at, 9)
        if len(segment) < 4 or segment[0] != 0xFF or segment[1] == _JPEG_END:
            return None
        marker = segment[1]
        if marker == _JPEG_SCAN:
            return size
        if marker in _JPEG_FRAME_MARKERS and size is None:
            size = _big(segment[7:9]), _big(segment[5:7])
        at += _jpeg_step(marker, segment)
    return None


def _jpeg_step(marker: int, segment: bytes) -> int:
    """How far it is to the next marker; at least one byte."""
    if marker == _JPEG_FILL:
        return 1
    if marker in _JPEG_BARE_MARKERS:
        return 2
    return 2 + max(2, _big(segment[2:4]))
