"""Every night: delete the histories of orchestrations that ended long ago."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import HISTORIES_KEPT, DurableOrchestrations
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.orchestration_purge")


@bp.function_name(names.ORCHESTRATION_PURGE)
@bp.timer_trigger(arg_name="timer", schedule=names.ORCHESTRATION_PURGE_SCHEDULE)
@bp.durable_client_input(client_name="client")
async def orchestration_purge(
    timer: func.TimerRequest, client: df.DurableOrchestrationClient
) -> None:
    """Delete what nobody asks for any more; the task hub would grow for ever."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    started_before = services().clock.now() - HISTORIES_KEPT
    purged = await DurableOrchestrations(client).purge_ended(started_before)
    logger.info("ended orchestrations purged", extra={"count": purged})
