"""Every five minutes: follow rehydrations, and tag what was decided and not tagged."""

import logging

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = func.Blueprint()
logger = logging.getLogger("eig.storage_sweep")


@bp.function_name(names.STORAGE_SWEEP)
@bp.timer_trigger(arg_name="timer", schedule=names.STORAGE_SWEEP_SCHEDULE)
async def storage_sweep(timer: func.TimerRequest) -> None:
    """Look once at all that waits for storage."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    report = {
        "holds": await services().legal_holds.sweep(),
        "retention": await services().retention.sweep(),
        "rehydrations": await services().rehydrations.sweep(),
    }
    logger.info("storage swept", extra={"report": report})
