"""The activity that draws thumbnails: a plain function, which the host runs in its thread pool."""

import logging
from typing import Any

import azure.durable_functions as df

from functions import names
from functions.payloads import ThumbnailsInput, ThumbnailsResult
from shared.telemetry import correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.activities")


@bp.function_name(names.DRAW_THUMBNAILS_ACTIVITY)
@bp.activity_trigger(input_name="payload")
def draw_thumbnails_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Draw the thumbnails of paid pictures; what is left out is drawn for its first reader."""
    task = ThumbnailsInput.read(payload)
    correlation_id.set(task.operation_id)
    try:
        drawn = services().thumbnail_drawing.draw(task.image_ids)
    except Exception:
        logger.exception("thumbnails could not be drawn")
        return ThumbnailsResult(ok=False).to_json()
    return ThumbnailsResult(ok=True, drawn=drawn).to_json()
