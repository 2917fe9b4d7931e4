"""Pictures are recognised by their bytes, and measured without decoding them."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.domain.images import (
    DIMENSION_MAX,
    GIF,
    JPEG,
    PNG,
    WEBP,
    ImageKind,
    dimensions_of,
    image_dimensions,
    sniff_image,
)


def picture(pil_format: str, width: int = 37, height: int = 21, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 20)).save(out, pil_format, **options)
    return out.getvalue()


PICTURES = [
    (picture("PNG"), PNG),
    (picture("JPEG"), JPEG),
    (picture("JPEG", progressive=True), JPEG),
    (picture("JPEG", exif=b"Exif\x00\x00" + b"x" * 40_000), JPEG),
    (picture("WEBP"), WEBP),
    (picture("WEBP", lossless=True), WEBP),
    (picture("WEBP", exif=b"Exif\x00\x00II*\x00"), WEBP),
    (picture("WEBP", icc_profile=b"p" * 70_001), WEBP),
    (picture("GIF"), GIF),
]


@pytest.mark.parametrize(("data", "kind"), PICTURES)
def test_sniff_image_names_the_kind(data: bytes, kind: ImageKind) -> None:
    assert sniff_image(data[:12]) is kind


@pytest.mark.parametrize(("data", "kind"), PICTURES)
def test_image_dimensions_reads_width_and_height(data: bytes, kind: ImageKind) -> None:
    assert image_dimensions(data) == (37, 21)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PN",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><img>",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"GIF88a" + b"\x00" * 20,
        b"BM" + b"\x00" * 40,
        b"{}",
        b" " + picture("PNG"),
    ],
)
def test_sniff_image_gives_none_for_anything_else(data: bytes) -> None:
    assert sniff_image(data) is None
    assert image_dimensions(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 0, 5),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", DIMENSION_MAX + 1, 5),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IDAT", 5, 5),
        b"GIF89a\x00\x00\x05\x00",
        b"\xff\xd8\xff\xd9" + b"\x00" * 20,
        b"\xff\xd8\xff\xda" + b"\x00" * 20,
        b"\xff\xd8\xff\xe0\x00\x04\x00\x00\x12\x34\x56\x78",
        b"\xff\xd8\xff\xe0\x00\x00" + b"\xff" * 50,
        b"RIFF\x00\x00\x00\x00WEBPVP9 " + b"\x00" * 30,
        picture("PNG")[:29],  # the signature and IHDR without its checksum
        picture("PNG")[:33],
        picture("PNG")[:33] + picture("PNG")[-12:],  # IEND at once
        picture("JPEG").partition(b"\xff\xda")[0],
        picture("WEBP", icc_profile=b"p" * 700)[:30],
        b"\xff\xd8" + b"\xff" * 100_000,
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 100_000 + picture("JPEG")[2:],
    ],
)
def test_image_dimensions_gives_none_for_a_damaged_header(data: bytes) -> None:
    assert sniff_image(data) is not None
    assert image_dimensions(data) is None


@pytest.mark.parametrize(("data", "kind"), PICTURES)
def test_image_dimensions_survives_every_truncation(data: bytes, kind: ImageKind) -> None:
    for length in range(min(len(data), 700)):
        assert image_dimensions(data[:length]) in (None, (37, 21))


def test_dimensions_are_read_without_what_stands_before_the_picture() -> None:
    data = picture("JPEG")
    data = data[:2] + (b"\xff\xeb\xff\xff" + b"\x5a" * 0xFFFD) * 700 + data[2:]
    seen: list[int] = []

    def read(at: int, size: int) -> bytes:
        found = data[at : at + size]
        seen.append(len(found))
        return found

    assert dimensions_of(read) == (37, 21)
    assert sum(seen) < 10_000


@given(st.sampled_from([b"\xff\xd8\xff", b"RIFF1234WEBP", b"\x89PNG\r\n\x1a\n"]), st.binary())
def test_image_dimensions_never_raises_on_noise(start: bytes, noise: bytes) -> None:
    size = image_dimensions(start + noise)
    assert size is None or all(1 <= side <= DIMENSION_MAX for side in size)
