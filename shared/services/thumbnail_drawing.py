"""Draws the thumbnails of paid pictures in a thread: after the money, apart from it."""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.domain.legal_holds import picture_of
from shared.errors import Unavailable
from shared.ports.picture_storage import DrawThumbnail, PaidPictures

SPOOL_BYTES_MAX = 8 * 1024 * 1024  # larger pictures wait on disk, not in memory
START_TIME_MAX_S = 60.0  # after it no other picture is begun: the host ends functions at 10 minutes

logger = logging.getLogger("eig.thumbnails")


@dataclass(frozen=True)
class ThumbnailDrawing:
    """Draws what is there to be drawn; what it leaves out is drawn for its first reader."""

    pictures: PaidPictures
    small: DrawThumbnail
    now_s: Callable[[], float] = time.monotonic
    drawing: threading.Lock = field(default_factory=threading.Lock)  # one decoded picture at a time

    def draw(self, image_ids: Sequence[str]) -> int:
        """How many thumbnails were drawn; a fault ends it and is never raised."""
        begun_s, drawn = self.now_s(), 0
        for image_id in image_ids:
            if self.now_s() - begun_s > START_TIME_MAX_S:
                logger.warning("no time for all thumbnails: the rest is left for first readers")
                break
            try:
                drawn += self._draw_one(image_id)
            except Unavailable:
                logger.warning("no store to draw from: the rest is left for first readers")
                break
            except Exception:
                logger.exception("thumbnail left for its first reader")
        return drawn

    def _draw_one(self, image_id: str) -> bool:
        picture = picture_of(image_id)
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX) as file:
            if not self.pictures.read(picture, file):
                return False
            with self.drawing:
                drawn = self.small(file)
        return drawn is not None and self.pictures.put_thumbnail(picture, drawn)
