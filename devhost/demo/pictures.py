"""Downloads pictures, proves that they are the ones recorded, and makes thumbnails."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from devhost.demo.api import Api

API_PATH = "/api/v1"
THUMBNAIL_PX = 640  # the longer side: sharp on a high-resolution screen at 320 px
THUMBNAIL_QUALITY = 80
DOWNLOADS_AT_ONCE = 4  # two cores, and the app is on the same ones
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True)
class Picture:
    """A saved picture; `thumbnail` is a data URI, `file` is relative to the output folder."""

    file: str
    width: int
    height: int
    thumbnail: str
    is_genuine: bool


class Downloads:
    """Fetches the pictures of generations into `folder/images`."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._slots = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    async def of(self, generation: Mapping[str, Any], name: str) -> tuple[Picture, ...]:
        """All pictures of one generation, saved under names that start with `name`."""
        pictures = [
            self._one(image, f"{name}-{number}")
            for number, image in enumerate(generation["images"], start=1)
        ]
        return tuple(await asyncio.gather(*pictures))

    async def _one(self, image: Mapping[str, Any], name: str) -> Picture:
        async with self._slots:
            content = await self._api.download(image["content_url"].removeprefix(API_PATH))
            file = f"images/{name}.{EXTENSIONS[image['content_type']]}"
            (self._folder / file).write_bytes(content)
            return Picture(
                file=file,
                width=image["width"],
                height=image["height"],
                thumbnail=await asyncio.to_thread(thumbnail, content),
                is_genuine=hashlib.sha256(content).hexdigest() == image["sha256"],
            )


def thumbnail(content: bytes) -> str:
    """A small WEBP of a picture, as a data URI."""
    with Image.open(io.BytesIO(content)) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=THUMBNAIL_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
