"""Freeze switches over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.LIST_FREEZES)
@bp.route(route=path_of(names.LIST_FREEZES), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_freezes(req: func.HttpRequest) -> func.HttpResponse:
    """GET /freezes"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().freezes.list(call.known_caller))

    return await handle(req, act)


@bp.function_name(names.SET_FREEZE)
@bp.route(route=path_of(names.SET_FREEZE), methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
async def set_freeze(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /freezes/{target}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_freezes_models import FreezeRequest

        wanted = call.body(FreezeRequest)
        frozen = await services().freezes.set(
            call.known_caller,
            call.path("target"),
            wanted.reason,
            wanted.ends_at,
            call.correlation_id,
        )
        return json_response(frozen)

    return await handle(req, act)


@bp.function_name(names.LIFT_FREEZE)
@bp.route(route=path_of(names.LIFT_FREEZE), methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
async def lift_freeze(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /freezes/{target}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_freezes_models import LiftQuery

        reason = call.query(LiftQuery).reason
        lifted = await services().freezes.lift(
            call.known_caller, call.path("target"), reason, call.correlation_id
        )
        return json_response(lifted)

    return await handle(req, act, route=names.LIFT_FREEZE)
