"""The activities: each finds its work by id, makes one service call and answers with a report."""

import logging
from typing import TYPE_CHECKING, Any

import azure.durable_functions as df

from functions import names
from functions.payloads import (
    AttemptInput,
    ChunkInput,
    FinishInput,
    FinishResult,
    OpenChunkResult,
    SettleInput,
    SettleResult,
)
from shared.domain.ids import row_of
from shared.domain.vitals import PROVIDER_ATTEMPTS
from shared.telemetry import correlation_id
from shared.wiring import services

if TYPE_CHECKING:
    from shared.domain.attempts import AttemptReport
    from shared.domain.work import WorkItem

bp = df.Blueprint()
logger = logging.getLogger("eig.activities")


@bp.function_name(names.ATTEMPT_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def attempt_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Carry out, or stop, one attempt at one generation."""
    task = AttemptInput.read(payload)
    correlation_id.set(task.generation_id)
    from shared.domain.attempt_reports import postponed
    from shared.domain.attempts import Course

    course = Course.model_validate(task.course or {})
    try:
        item = await services().work.find(task.generation_id)
        attempts = services().attempts
        if task.stop:
            report = await attempts.stop(item, "canceller")
        else:
            report = await attempts.run(item, task.attempt, course)
            _count(item, report, task.attempt)
    except Exception:
        logger.exception("attempt failed", extra={"attempt": task.attempt})
        from shared.services.attempts import STORE_RETRY_S

        generation_id, attempt = task.generation_id, task.attempt
        report = postponed(generation_id, attempt, STORE_RETRY_S, "internal", course)
    return report.model_dump(mode="json")


def _count(item: "WorkItem", report: "AttemptReport", attempt: int) -> None:
    """Tell the metrics how an attempt ended, if it asked a provider."""
    from shared.domain.attempt_reports import counted_ending

    ending = counted_ending(report, attempt)
    if ending is not None:
        asked = item.candidate(report.candidate).provider
        services().metrics.count(PROVIDER_ATTEMPTS, provider=asked, ending=ending)


@bp.function_name(names.SETTLE_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def settle_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Book how generations of one hold ended; says whether a cancel was asked for meanwhile."""
    task = SettleInput.read(payload)
    correlation_id.set(task.operation_id)
    try:
        from shared.domain.attempt_reports import image_ids_of
        from shared.domain.attempts import AttemptReport

        reports = [AttemptReport.model_validate(report) for report in task.reports]
        await services().settlements.settle(task.operation_id, reports)
        in_batch = row_of(task.reports[0]["generation_id"]) is not None
        cancel = in_batch and await services().batches.is_cancel_requested(task.operation_id)
    except Exception:
        logger.exception("settlement failed")
        return SettleResult(ok=False).to_json()
    image_ids = image_ids_of(reports)
    return SettleResult(ok=True, cancel_requested=cancel, image_ids=image_ids).to_json()


@bp.function_name(names.OPEN_CHUNK_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def open_chunk_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Name the rows of a chunk that are to be carried out."""
    task = ChunkInput.read(payload)
    correlation_id.set(task.batch_id)
    try:
        rows = await services().work.valid_rows(task.batch_id, task.number)
        cancel = await services().batches.is_cancel_requested(task.batch_id)
    except Exception:
        logger.exception("chunk could not be opened")
        return OpenChunkResult(ok=False).to_json()
    return OpenChunkResult(ok=True, rows=tuple(rows), cancel_requested=cancel).to_json()


@bp.function_name(names.FINISH_BATCH_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def finish_batch_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Write results and receipt of a batch and mark it as ended."""
    task = FinishInput.read(payload)
    correlation_id.set(task.batch_id)
    try:
        status = await services().batch_results.finish(task.batch_id)
    except Exception:
        logger.exception("batch could not be finished")
        return FinishResult(ok=False).to_json()
    return FinishResult(ok=True, status=status).to_json()
