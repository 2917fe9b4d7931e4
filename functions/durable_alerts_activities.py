"""The activity of alerts: one try to bring one alert to one channel."""

import logging
from typing import Any

import azure.durable_functions as df

from functions import names
from functions.payloads import DeliverInput, DeliverResult
from shared.telemetry import correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.activities")


@bp.function_name(names.DELIVER_ALERT_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def deliver_alert_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Try once; never raises, so that the channels of an alert can be awaited together."""
    task = DeliverInput.read(payload)
    correlation_id.set(task.alert_id)
    try:
        step = await services().alert_deliveries.attempt(task.alert_id, task.channel, task.attempt)
    except Exception:
        logger.exception("alert delivery failed", extra={"attempt": task.attempt})
        return DeliverResult(ok=False).to_json()
    return DeliverResult(
        ok=True, status=step.status, retry_after_s=step.retry_after_s or 0
    ).to_json()
