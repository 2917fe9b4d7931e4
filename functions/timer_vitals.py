"""Every minute: measure what operators look at, if anybody does."""

import azure.functions as func

from functions import names
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.VITALS)
@bp.timer_trigger(arg_name="timer", schedule=names.VITALS_SCHEDULE)
async def measure_vitals(timer: func.TimerRequest) -> None:
    """Read every department's figures and publish them."""
    if not services().metrics.is_on:
        return
    configure_logging()
    correlation_id.set(services().clock.new_id())
    open_partitions = await services().calendars.open_partitions()
    relays = await services().relays(thorough=False)
    outboxes = [(relay.records, partitions) for relay, partitions in relays]
    services().metrics.record(await services().vitals.measure(open_partitions, outboxes))
    services().metrics.record(await services().provider_overview.readings())
    services().metrics.record([await services().merge_delay.reading()])
