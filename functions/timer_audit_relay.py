"""Every 15 seconds: copy audit events from the ledger's outbox to the append-only log."""

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
    departments = await services().calendars.outbox_partitions(thorough=thorough)
    organisations = await services().allocations.outbox_partitions(thorough=thorough)
    switches = services().reconciliation.outbox_partitions()
    providers = services().provider_health.outbox_partitions()
    deletions = services().deletion_partitions()
    waiting = [*departments, *organisations, *switches, *providers, *deletions]
    copied = await services().audit_relay.run(waiting)
    keys = services().key_rotation.outbox_partitions()
    copied += await services().data_key_relay.run(keys)
    copied += await services().session_relay.run(services().session_partitions())
    people = services().directory_relay(services().audit_relay)
    copied += await people.run(services().directory_partitions())
    if copied:
        logger.info("audit events copied", extra={"copied": copied})
