"""Retention policies over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.GET_RETENTION)
@bp.route(route=path_of(names.GET_RETENTION), methods=["GET"], auth_level=ANONYMOUS)
async def get_retention(req: func.HttpRequest) -> func.HttpResponse:
    """GET /retention/{department}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().retention.get(call.known_caller, call.path("department"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act)


@bp.function_name(names.PUT_RETENTION)
@bp.route(route=path_of(names.PUT_RETENTION), methods=["PUT"], auth_level=ANONYMOUS)
async def put_retention(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /retention/{department}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_storage_models import RetentionRequest

        body = call.body(RetentionRequest)
        view = await services().retention.put(
            call.known_caller,
            call.path("department"),
            body.retention,
            body.reason,
            expected_revision(call),
            call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_RETENTION)
