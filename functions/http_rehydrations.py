"""Rehydration of pictures over HTTP."""

from http import HTTPStatus

import azure.functions as func

from functions import names
from functions.http_routes import location_of, path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.REHYDRATE_IMAGE)
@bp.route(route=path_of(names.REHYDRATE_IMAGE), methods=["POST"], auth_level=ANONYMOUS)
async def rehydrate_image(req: func.HttpRequest) -> func.HttpResponse:
    """POST /images/{id}/rehydrate"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_storage_models import RehydrationRequest

        image_id = call.path("id")
        view = await services().rehydrations.ask(
            call.known_caller,
            image_id,
            call.body(RehydrationRequest).priority,
            call.correlation_id,
        )
        headers = {"Location": location_of(names.GET_IMAGE, image_id)}
        return json_response(view, HTTPStatus.ACCEPTED, headers)

    return await handle(req, act)
