"""Thumbnails: small copies of pictures, which stay where they can be read at once."""

import asyncio
import tempfile
from dataclasses import dataclass, field

from shared.domain.identity import Caller
from shared.domain.legal_holds import picture_of
from shared.errors import NotFound
from shared.ports.picture_storage import DrawThumbnail, PictureStorage
from shared.services.images import Images

SPOOL_BYTES_MAX = 8 * 1024 * 1024  # larger pictures wait on disk, not in memory


@dataclass(frozen=True)
class Thumbnails:
    """Small copies, which stay where they can be read at once."""

    images: Images
    storage: PictureStorage
    draw: DrawThumbnail
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)  # one decoded picture at a time

    async def get(self, caller: Caller, image_id: str) -> bytes:
        """The thumbnail, drawn now if there is none; ImageArchived if it is too late for that."""
        await self.images.get(caller, image_id)
        picture = picture_of(image_id)
        found = await self.storage.thumbnail(picture)
        if found is not None:
            return found
        content = await self.images.content(caller, image_id)
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX) as file:
            async for chunk in content.chunks:
                file.write(chunk)
            async with self.drawing:
                drawn = await asyncio.to_thread(self.draw, file)
        if drawn is None:
            raise NotFound("No thumbnail can be drawn of this picture.")
        await self.storage.put_thumbnail(picture, drawn)
        return drawn
