"""Every night: look whether Cosmos DB still has the events that the log has."""

import logging
from dataclasses import asdict

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = func.Blueprint()
logger = logging.getLogger("eig.audit_deletions")


@bp.function_name(names.AUDIT_DELETIONS)
@bp.timer_trigger(arg_name="timer", schedule=names.AUDIT_DELETIONS_SCHEDULE)
async def audit_deletions(timer: func.TimerRequest) -> None:
    """Compare the next part of the log."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    report = await services().audit_deletions.run()
    logger.info("audit log compared with Cosmos DB", extra={"report": asdict(report)})
