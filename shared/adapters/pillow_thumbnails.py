"""Thumbnails by Pillow, imported when the first one is drawn."""

import io
import logging
from typing import IO

SIDE_MAX = 512  # pixels of the longer side: two columns of a gallery on a dense screen
PIXELS_MAX = 24_000_000  # 96 MB decoded; the largest picture of any provider has 16.8 million
FORMAT = "WEBP"  # a tenth of a PNG's size, and it keeps transparency
QUALITY = 80
# Pillow knows dozens of formats, some by way of other programs: no picture here is any of those.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

logger = logging.getLogger("eig.thumbnails")


def draw_thumbnail(file: IO[bytes]) -> bytes | None:
    """A small copy of a picture; None for what is too large or cannot be read to its end."""
    from PIL import Image

    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                return None
            picture.draft("RGB", (SIDE_MAX, SIDE_MAX))  # a JPEG is decoded small at once
            picture.thumbnail((SIDE_MAX, SIDE_MAX))
            shown = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            drawn = io.BytesIO()
            shown.save(drawn, FORMAT, quality=QUALITY)
            return drawn.getvalue()
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        logger.warning("a picture could not be drawn small")  # decoders raise all of these
        return None
