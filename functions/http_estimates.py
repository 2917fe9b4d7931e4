"""Which models there are, and what a request would cost."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.LIST_MODELS)
@bp.route(route=path_of(names.LIST_MODELS), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_models(req: func.HttpRequest) -> func.HttpResponse:
    """GET /models"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(services().estimates.models())

    return await handle(req, act)


@bp.function_name(names.ESTIMATE)
@bp.route(route=path_of(names.ESTIMATE), methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def estimate(req: func.HttpRequest) -> func.HttpResponse:
    """POST /estimates"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.generations import GenerationRequest

        request = call.body(GenerationRequest)
        return json_response(await services().estimates.estimate(call.known_caller, request))

    return await handle(req, act)
