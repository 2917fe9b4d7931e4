"""Every 15 seconds: witness the audit log.

The witness belongs to somebody else. It runs here, with an identity of its own, until it gets an
app of its own (witness_app.py); then it is switched off here.
"""

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id, new_correlation_id
from shared.wiring import witnessing

bp = func.Blueprint()


@bp.function_name(names.AUDIT_WITNESS)
@bp.timer_trigger(arg_name="timer", schedule=names.AUDIT_WITNESS_SCHEDULE)
async def audit_witness(timer: func.TimerRequest) -> None:
    """Cosign the newest checkpoint, or refuse it."""
    configure_logging()
    correlation_id.set(new_correlation_id())
    await witnessing().audit_witness.look(witnessing().checkpoints, witnessing().log_files)
