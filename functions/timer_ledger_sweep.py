"""Every minute: bring open holds and unknown outcomes to their end."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = df.Blueprint()
logger = logging.getLogger("eig.ledger_sweep")


@bp.function_name(names.LEDGER_SWEEP)
@bp.timer_trigger(arg_name="timer", schedule=names.LEDGER_SWEEP_SCHEDULE)
@bp.durable_client_input(client_name="client")
async def ledger_sweep(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Restart lost work, resolve what is unknown."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    report = await services().ledger_sweep.run(DurableOrchestrations(client))
    logger.info("ledger swept", extra={"report": vars(report)})
