"""Every minute: end grants whose time has come, revive approvals and deferred work."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.overage_sweep")


@bp.function_name(names.OVERAGE_SWEEP)
@bp.timer_trigger(arg_name="timer", schedule=names.OVERAGE_SWEEP_SCHEDULE)
@bp.durable_client_input(client_name="client")
async def overage_sweep(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Look once at all that waits."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    report = await services().overage_sweep.run(DurableOrchestrations(client))
    logger.info("overage swept", extra={"report": vars(report)})
