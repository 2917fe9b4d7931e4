"""Legal holds over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.HOLD_IMAGE)
@bp.route(route=path_of(names.HOLD_IMAGE), methods=["PUT"], auth_level=ANONYMOUS)
async def hold_image(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /images/{id}/hold"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_storage_models import HoldRequest

        reason = call.body(HoldRequest).reason
        view = await services().legal_holds.set(
            call.known_caller, call.path("id"), reason, call.correlation_id
        )
        return json_response(view)

    return await handle(req, act)


@bp.function_name(names.RELEASE_IMAGE)
@bp.route(route=path_of(names.RELEASE_IMAGE), methods=["POST"], auth_level=ANONYMOUS)
async def release_image(req: func.HttpRequest) -> func.HttpResponse:
    """POST /images/{id}/hold/release"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_storage_models import HoldRequest

        reason = call.body(HoldRequest).reason
        view = await services().legal_holds.release(
            call.known_caller, call.path("id"), reason, call.correlation_id
        )
        return json_response(view)

    return await handle(req, act, route=names.RELEASE_IMAGE)
