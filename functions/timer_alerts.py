"""Every 15 seconds: raise alerts nobody noted, announce outages, start what is to be delivered."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.alerts")


@bp.function_name(names.ALERT_SWEEP)
@bp.timer_trigger(arg_name="timer", schedule=names.ALERT_SWEEP_SCHEDULE)
@bp.durable_client_input(client_name="client")
async def alert_sweep(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Look at every open period, and at the notices beside policies and breakers."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    calendars = services().calendars
    announced = await services().provider_notices.announce()
    partitions = [
        *await calendars.open_partitions(),
        *await calendars.policy_partitions(),
        *services().provider_notices.partitions(),
    ]
    report = await services().alerts.sweep(partitions, DurableOrchestrations(client))
    if announced or report.raised or report.started or report.errors:
        logger.info("alerts swept", extra={"report": vars(report) | {"announced": announced}})
