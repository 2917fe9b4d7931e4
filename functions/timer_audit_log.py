"""Every 15 seconds: sequence new audit events into the verifiable log, and witness it.

The witness belongs to somebody else: its function runs in an app of its own, with an identity that
can read the log and write what it has seen. Locally both run side by side, with two keys.
"""

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


@bp.function_name(names.AUDIT_WITNESS)
@bp.timer_trigger(arg_name="timer", schedule=names.AUDIT_WITNESS_SCHEDULE)
async def audit_witness(timer: func.TimerRequest) -> None:
    """Cosign the newest checkpoint, or refuse it."""
    configure_logging()
    correlation_id.set(services().clock.new_id())
    await services().audit_witness.look(services().checkpoints, services().log_files)
