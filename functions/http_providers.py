"""Providers over HTTP: how they are, what they may be asked for, who waits."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.LIST_PROVIDERS)
@bp.route(route=path_of(names.LIST_PROVIDERS), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_providers(req: func.HttpRequest) -> func.HttpResponse:
    """GET /providers"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().provider_overview.list(call.known_caller))

    return await handle(req, act)
