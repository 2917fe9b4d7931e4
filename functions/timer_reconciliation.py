"""Every morning: compare what was billed with what was booked, finish what was decided."""

import logging

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = func.Blueprint()
logger = logging.getLogger("eig.reconciliation")


@bp.function_name(names.RECONCILIATION)
@bp.timer_trigger(arg_name="timer", schedule=names.RECONCILIATION_SCHEDULE)
async def reconciliation(timer: func.TimerRequest) -> None:
    """Reconcile each day that is old enough and was not done yet."""
    configure_logging()
    run_id = services().clock.new_id()
    correlation_id.set(run_id)
    finished = await services().cases.finish(run_id)
    days = await services().reconciliation.run_due(run_id)
    logger.info("days reconciled", extra={"report": {"days": days, "cases_finished": finished}})
