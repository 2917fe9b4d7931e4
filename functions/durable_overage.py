"""The orchestrators of work that waits: for an approval, or for the next budget period.

They decide nothing about money: each activity carries one step out, once, and says how the work
stands. When it was reserved, it goes on under its own id as if it had been admitted at once.
"""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from functions import names
from functions.payloads import (
    ApprovalInput,
    BatchInput,
    DeferredInput,
    GenerationInput,
    OverageInput,
)

TRIES_MAX = 60  # of an activity that answers "not now": ten minutes; then the sweep starts it again
TRY_PAUSE = timedelta(seconds=10)
TIMER_MAX = timedelta(days=5)  # the storage provider keeps a timer for six days at most
STARTS = frozenset({"concluded", "admitted"})  # endings after which the work itself begins

bp = df.Blueprint()
Steps = Generator[Any, Any, Any]


@bp.function_name(names.APPROVAL_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def approval_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Wait until somebody decides, escalate, expire; then carry out what was approved."""
    approval = ApprovalInput.read(context.get_input())
    # First a look: it may have been decided before this instance was there to be told.
    standing = yield from _step(context, names.CONCLUDE_APPROVAL_ACTIVITY, approval.operation_id)
    if standing["status"] == "pending":
        yield from _until_decided(context, approval)
        standing = yield from _step(
            context, names.CONCLUDE_APPROVAL_ACTIVITY, approval.operation_id
        )
    yield from _carry_out(context, approval.operation_id, standing)
    return standing["status"]


@bp.function_name(names.DEFERRED_ORCHESTRATOR)
@bp.orchestration_trigger(context_name="context")
def deferred_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    """Wait for the period to start, then reserve and begin."""
    deferred = DeferredInput.read(context.get_input())
    due = datetime.fromisoformat(deferred.due)
    while context.current_utc_datetime < due:
        yield context.create_timer(min(due, context.current_utc_datetime + TIMER_MAX))
    standing = yield from _step(context, names.RELEASE_DEFERRED_ACTIVITY, deferred.operation_id)
    yield from _carry_out(context, deferred.operation_id, standing)
    return standing["status"]


def _until_decided(context: df.DurableOrchestrationContext, approval: ApprovalInput) -> Steps:
    """Return once a decision was announced, or the time to decide is over."""
    decided = context.wait_for_external_event(names.APPROVAL_DECIDED)
    for moment, activity in (
        (approval.escalates_at, names.ESCALATE_APPROVAL_ACTIVITY),
        (approval.expires_at, names.EXPIRE_APPROVAL_ACTIVITY),
    ):
        timer = context.create_timer(datetime.fromisoformat(moment))
        first = yield context.task_any([decided, timer])
        if first is decided:
            if not timer.is_completed:
                timer.cancel()  # an instance does not end while a timer of its own runs
            return
        yield from _step(context, activity, approval.operation_id)


def _carry_out(
    context: df.DurableOrchestrationContext, operation_id: str, standing: dict[str, Any]
) -> Steps:
    """Run the work as its usual orchestration, under the id it would have had anyway."""
    if standing["status"] not in STARTS:
        return
    if standing["kind"] == "batch":
        name = names.BATCH_ORCHESTRATOR
        payload = BatchInput(
            batch_id=operation_id,
            rows=standing["rows"],
            deadline_rows=standing["deadline_rows"],
        ).to_json()
    else:
        name = names.GENERATION_ORCHESTRATOR
        payload = GenerationInput(generation_id=operation_id).to_json()
    yield context.call_sub_orchestrator(name, payload, instance_id=operation_id)


def _step(context: df.DurableOrchestrationContext, activity: str, operation_id: str) -> Steps:
    """Call an activity until it answers ok; fail the orchestration after TRIES_MAX."""
    payload = OverageInput(operation_id=operation_id).to_json()
    for _ in range(TRIES_MAX):
        result = yield context.call_activity(activity, payload)
        if result["ok"]:
            return result
        yield context.create_timer(context.current_utc_datetime + TRY_PAUSE)
    raise TimeoutError(f"{activity} did not succeed in {TRIES_MAX} tries")
