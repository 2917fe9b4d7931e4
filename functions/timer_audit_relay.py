"""Every 15 seconds: copy audit events from the outboxes to the append-only log."""

import logging

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

THOROUGH_MINUTE = 7  # of each hour: also look into periods that were closed long ago
bp = func.Blueprint()
logger = logging.getLogger("eig.audit_relay")


@bp.function_name(names.AUDIT_RELAY)
@bp.timer_trigger(arg_name="timer", schedule=names.AUDIT_RELAY_SCHEDULE)
async def audit_relay(timer: func.TimerRequest) -> None:
    """Copy what is waiting in every open partition."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    thorough = services().clock.now().minute == THOROUGH_MINUTE
    relays = await services().relays(thorough=thorough)
    copied = sum([await relay.run(partitions) for relay, partitions in relays])
    if copied:
        logger.info("audit events copied", extra={"copied": copied})
