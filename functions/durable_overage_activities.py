"""The activities of waiting work: each carries one step out, once, and says how the work stands."""

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import azure.durable_functions as df

from functions import names
from functions.payloads import OverageInput, OverageResult
from shared.telemetry import correlation_id
from shared.wiring import services

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.services.approvals import Ending

bp = df.Blueprint()
logger = logging.getLogger("eig.activities")


@bp.function_name(names.CONCLUDE_APPROVAL_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def conclude_approval_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Reserve what was approved; otherwise only say how the approval stands."""
    return await _carried_out(payload, services().approvals.conclude)


@bp.function_name(names.ESCALATE_APPROVAL_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def escalate_approval_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Hand an approval that nobody decided on to the Org Admins."""
    return await _carried_out(payload, services().approvals.escalate)


@bp.function_name(names.EXPIRE_APPROVAL_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def expire_approval_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """End an approval whose time is over."""
    return await _carried_out(payload, services().approvals.expire)


@bp.function_name(names.RELEASE_DEFERRED_ACTIVITY)
@bp.activity_trigger(input_name="payload")
async def release_deferred_activity(payload: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Reserve for work whose period has started."""
    return await _carried_out(payload, services().deferrals.release)


async def _carried_out(
    payload: dict[str, Any], step: "Callable[[str], Awaitable[Ending]]"
) -> dict[str, Any]:
    task = OverageInput.read(payload)
    correlation_id.set(task.operation_id)
    try:
        ending = await step(task.operation_id)
    except Exception:
        logger.exception("a step of waiting work failed")
        return OverageResult(ok=False).to_json()
    return OverageResult(
        ok=True,
        status=ending.status,
        kind=ending.kind,
        rows=ending.rows,
        deadline_rows=ending.deadline_rows,
    ).to_json()
