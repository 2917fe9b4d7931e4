"""Every 15 seconds: sequence new audit events into the verifiable log."""

import logging

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = func.Blueprint()
logger = logging.getLogger("eig.audit_log")


@bp.function_name(names.AUDIT_SEQUENCER)
@bp.timer_trigger(arg_name="timer", schedule=names.AUDIT_SEQUENCER_SCHEDULE)
async def audit_sequencer(timer: func.TimerRequest) -> None:
    """Take new events into the log and publish a checkpoint."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    sequenced = await services().audit_sequencer.run()
    if sequenced:
        logger.info("audit events sequenced", extra={"copied": sequenced})
