"""The activities of a provider batch: each makes one service call and answers with a result."""

import logging
from typing import Any

import azure.durable_functions as df

from functions import names
from functions.payloads import ChunkInput, CollectResult, ProviderBatchLook, ProviderBatchResult
from shared.telemetry import correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.provider_batches")


@bp.function_name(names.SUBMIT_PROVIDER_BATCH_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def submit_provider_batch_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Send the rows of a chunk that may wait, once."""
    task = ChunkInput.read(payload)
    correlation_id.set(task.batch_id)
    try:
        look = await services().provider_batches.submit(task.batch_id, task.number)
    except Exception:
        logger.exception("provider batch could not be submitted")
        return ProviderBatchResult(ok=False).to_json()
    return ProviderBatchResult(ok=True, **vars(look)).to_json()


@bp.function_name(names.LOOK_AT_PROVIDER_BATCH_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def look_at_provider_batch_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Ask how a provider batch stands, and perhaps to stop."""
    task = ProviderBatchLook.read(payload)
    correlation_id.set(task.batch_id)
    try:
        batches = services().provider_batches
        look = await batches.look(task.batch_id, task.number, stop=task.stop)
    except Exception:
        logger.exception("provider batch could not be looked at")
        return ProviderBatchResult(ok=False).to_json()
    return ProviderBatchResult(ok=True, **vars(look)).to_json()


@bp.function_name(names.COLLECT_PROVIDER_BATCH_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def collect_provider_batch_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Book what a provider batch brought; name the rows that go on."""
    task = ChunkInput.read(payload)
    correlation_id.set(task.batch_id)
    try:
        found = await services().provider_batches.collect(task.batch_id, task.number)
        cancel = await services().batches.is_cancel_requested(task.batch_id)
    except Exception:
        logger.exception("provider batch could not be collected")
        return CollectResult(ok=False).to_json()
    rows = tuple(list(each) for each in found.left)
    return CollectResult(
        ok=True, rows=rows, cancel_requested=cancel, image_ids=found.image_ids
    ).to_json()
