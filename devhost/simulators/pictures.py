"""Pictures that stand in for generated images: real PNG, JPEG and WEBP bytes.

A picture depends on prompt, seed, size and format only. It is drawn as palette indexes at a quarter
of the size and scaled up, which keeps a 1024x1024 PNG under 10 ms and small.
"""

from __future__ import annotations

import hashlib
import io
import random
import struct
import textwrap
import zlib
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

PNG = "png"
JPEG = "jpeg"
WEBP = "webp"
MEDIA_TYPES = {PNG: "image/png", JPEG: "image/jpeg", WEBP: "image/webp"}

CACHE_PICTURES = 64  # a poll and its download ask for the same few pictures
SCALE = 4  # drawn this much smaller than the picture
SHAPES = 9
GRADIENT_TOP = 200  # palette indexes below this one blend; the rest are fixed colours
BAND_INDEX = 254
TEXT_INDEX = 255
BAND_COLOUR = (18, 18, 28)
TEXT_COLOUR = (250, 250, 250)
TEXT_LINES_MAX = 3
FONT_PER_WIDTH = 36  # font height is the width divided by this
FONT_HEIGHT_MIN = 10
LETTER_ASPECT = 0.52  # mean width of a letter relative to the font height
PNG_COMPRESS_LEVEL = 1  # speed before size
JPEG_QUALITY = 80
WEBP_QUALITY = 70


@dataclass(frozen=True)
class PictureRequest:
    """All that a picture depends on; width and height in pixels."""

    prompt: str
    seed: int
    width: int
    height: int
    format: str = PNG
    transparent: bool = False

    def digest(self) -> bytes:
        text = f"{self.seed}|{self.width}x{self.height}|{self.prompt}"
        return hashlib.sha256(text.encode()).digest()


def render(request: PictureRequest, *, tiny: bool = False) -> bytes:
    """The picture's bytes; `tiny` keeps the dimensions but draws one flat colour."""
    return _render_tiny(request) if tiny else _render_art(request)


def padded(picture: bytes, size_bytes: int) -> bytes:
    """The same picture with zeros after its end, to exceed a receiver's size cap."""
    return picture.ljust(size_bytes, b"\0")


@lru_cache(maxsize=CACHE_PICTURES)
def _render_art(request: PictureRequest) -> bytes:
    rng = random.Random(request.digest())
    art = _draw_shapes(request, rng)
    art = art.resize((request.width, request.height), Image.Resampling.BILINEAR)
    _draw_prompt(art, request.prompt)
    art = _with_palette(art, rng)
    return _encode(art, request)


def _draw_shapes(request: PictureRequest, rng: random.Random) -> Image.Image:
    width, height = max(8, request.width // SCALE), max(8, request.height // SCALE)
    if request.transparent:
        art = Image.new("L", (width, height), 0)
    else:
        corners = bytes(rng.randrange(1, GRADIENT_TOP) for _ in range(9))
        art = Image.frombytes("L", (3, 3), corners)
        art = art.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(art)
    for _ in range(SHAPES):
        x, y = rng.randrange(width), rng.randrange(height)
        radius = rng.randrange(min(width, height) // 16, min(width, height) // 4)
        index = rng.randrange(1, GRADIENT_TOP)
        box = (x - radius, y - radius, x + radius, y + radius)
        kind = rng.randrange(4)
        if kind == 0:
            draw.ellipse(box, fill=index)
        elif kind == 1:
            draw.ellipse(box, outline=index, width=max(1, radius // 6))
        elif kind == 2:
            corners3 = rng.choice([3, 4, 6])
            draw.regular_polygon((x, y, radius), corners3, rng.randrange(90), fill=index)
        else:
            draw.arc(box, rng.randrange(360), rng.randrange(360), fill=index, width=3)
    return art


@lru_cache(maxsize=16)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=height)


def _draw_prompt(art: Image.Image, prompt: str) -> None:
    width, height = art.size
    font_height = max(FONT_HEIGHT_MIN, width // FONT_PER_WIDTH)
    letters = max(8, int(width * 0.94 / (font_height * LETTER_ASPECT)))
    lines = textwrap.wrap(prompt, letters, max_lines=TEXT_LINES_MAX, placeholder=" …") or ["…"]
    line_height = round(font_height * 1.3)
    top = height - line_height * len(lines) - font_height
    draw = ImageDraw.Draw(art)
    draw.fontmode = "1"  # no anti-aliasing: grey levels would be palette indexes of other colours
    draw.rectangle((0, top, width, height), fill=BAND_INDEX)
    for number, line in enumerate(lines):
        y = top + font_height // 2 + number * line_height
        draw.text((width * 0.03, y), line, fill=TEXT_INDEX, font=_font(font_height))


def _with_palette(art: Image.Image, rng: random.Random) -> Image.Image:
    """Gives the indexes colours: a ramp through four colours, then band and text."""
    stops = [
        (rng.randrange(30, 250), rng.randrange(30, 230), rng.randrange(60, 256)) for _ in "1234"
    ]
    ramp = Image.new("RGB", (len(stops), 1))
    ramp.putdata(stops)
    ramp = ramp.resize((256, 1), Image.Resampling.BICUBIC)
    ramp.putpixel((BAND_INDEX, 0), BAND_COLOUR)
    ramp.putpixel((TEXT_INDEX, 0), TEXT_COLOUR)
    art.putpalette(ramp.tobytes())
    return art


def _encode(art: Image.Image, request: PictureRequest) -> bytes:
    out = io.BytesIO()
    if request.format == PNG:
        options = {"transparency": 0} if request.transparent else {}
        art.save(out, "PNG", compress_level=PNG_COMPRESS_LEVEL, **options)
    elif request.format == JPEG:
        art.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    else:
        art.convert("RGB").save(out, "WEBP", quality=WEBP_QUALITY, method=0)
    return out.getvalue()


def _render_tiny(request: PictureRequest) -> bytes:
    digest = request.digest()
    if request.format == PNG:
        return _tiny_png(request.width, request.height, digest)
    blank = _tiny_blank(request.format, request.width, request.height)
    if request.format == JPEG:
        # A comment segment after the start marker makes each picture's bytes its own.
        return blank[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(digest)) + digest + blank[2:]
    return blank


def _tiny_png(width: int, height: int, digest: bytes) -> bytes:
    """A one-bit PNG whose palette comes from the digest, built without an encoder."""
    header = struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", header),
            _png_chunk(b"PLTE", digest[:6]),
            _png_chunk(b"IDAT", _zeros_compressed(width, height)),
            _png_chunk(b"IEND", b""),
        ]
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


@lru_cache(maxsize=16)
def _zeros_compressed(width: int, height: int) -> bytes:
    bytes_per_row = 1 + (width + 7) // 8
    return zlib.compress(bytes(bytes_per_row * height), 9)


@lru_cache(maxsize=16)
def _tiny_blank(image_format: str, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (96, 128, 176)).save(out, image_format.upper(), quality=30)
    return out.getvalue()
