"""Small copies that are drawn for their first readers."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import IO, Any

from shared.domain.blob_paths import PictureName
from shared.services.thumbnails import Thumbnails
from tests import builders


async def _content(*_: object) -> Any:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"picture"

    return SimpleNamespace(chunks=chunks())


async def _nothing(*_: object) -> None:
    """There is none yet; what is put is put."""


async def test_many_first_readers_hold_one_decoded_picture_in_memory() -> None:
    drawing, most = threading.Semaphore(1), []

    def draw(file: IO[bytes]) -> bytes:
        most.append(drawing.acquire(blocking=False))
        time.sleep(0.01)  # others would come in meanwhile
        drawing.release()
        return file.read()

    thumbnails = Thumbnails(
        SimpleNamespace(get=_nothing, content=_content),  # type: ignore[arg-type]
        SimpleNamespace(thumbnail=_nothing, put_thumbnail=_nothing),
        draw,
    )
    image_id = PictureName(builders.single_id(), 0).image_id
    await asyncio.gather(*(thumbnails.get(builders.caller(), image_id) for _ in range(5)))
    assert most == [True] * 5
