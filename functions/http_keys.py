"""The public keys that receipts are checked with; public, so that anybody may check one."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.LIST_KEYS)
@bp.route(route=path_of(names.LIST_KEYS), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_keys(req: func.HttpRequest) -> func.HttpResponse:
    """GET /keys"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(services().batch_results.keys())

    return await handle(req, act, public=True)
