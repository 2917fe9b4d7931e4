"""Every minute: finish movements of allocation that stopped half way."""

import logging

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = func.Blueprint()
logger = logging.getLogger("eig.allocations")


@bp.function_name(names.ALLOCATION_SWEEP)
@bp.timer_trigger(arg_name="timer", schedule=names.ALLOCATION_SWEEP_SCHEDULE)
async def allocation_sweep(timer: func.TimerRequest) -> None:
    """Finish what stopped, bring caps and open budgets under their policy."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    report = await services().allocations.sweep()
    logger.info("allocations swept", extra={"report": vars(report)})
