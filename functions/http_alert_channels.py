"""Alert channels over HTTP: where budget alerts go."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.LIST_ALERT_CHANNELS)
@bp.route(route=path_of(names.LIST_ALERT_CHANNELS), methods=["GET"], auth_level=ANONYMOUS)
async def list_alert_channels(req: func.HttpRequest) -> func.HttpResponse:
    """GET /alert-channels"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_alert_channels_models import ChannelsQuery

        owner = call.query(ChannelsQuery).owner
        return json_response(await services().alert_channels.list(call.known_caller, owner))

    return await handle(req, act)


@bp.function_name(names.GET_ALERT_CHANNEL)
@bp.route(route=path_of(names.GET_ALERT_CHANNEL), methods=["GET"], auth_level=ANONYMOUS)
async def get_alert_channel(req: func.HttpRequest) -> func.HttpResponse:
    """GET /alert-channels/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().alert_channels.get(call.known_caller, call.path("id"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act)


@bp.function_name(names.PUT_ALERT_CHANNEL)
@bp.route(route=path_of(names.PUT_ALERT_CHANNEL), methods=["PUT"], auth_level=ANONYMOUS)
async def put_alert_channel(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /alert-channels/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_alert_channels_models import AlertChannelRequest

        view = await services().alert_channels.put(
            call.known_caller,
            call.path("id"),
            call.body(AlertChannelRequest).change(),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_ALERT_CHANNEL)


@bp.function_name(names.DELETE_ALERT_CHANNEL)
@bp.route(route=path_of(names.DELETE_ALERT_CHANNEL), methods=["DELETE"], auth_level=ANONYMOUS)
async def delete_alert_channel(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /alert-channels/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        await services().alert_channels.delete(
            call.known_caller,
            call.path("id"),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return func.HttpResponse(status_code=204)

    return await handle(req, act, route=names.DELETE_ALERT_CHANNEL)


@bp.function_name(names.TEST_ALERT_CHANNEL)
@bp.route(route=path_of(names.TEST_ALERT_CHANNEL), methods=["POST"], auth_level=ANONYMOUS)
async def test_alert_channel(req: func.HttpRequest) -> func.HttpResponse:
    """POST /alert-channels/{id}/test"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().alert_channels.test(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return json_response(view)

    return await handle(req, act)


@bp.function_name(names.GET_ALERT)
@bp.route(route=path_of(names.GET_ALERT), methods=["GET"], auth_level=ANONYMOUS)
async def get_alert(req: func.HttpRequest) -> func.HttpResponse:
    """GET /alerts/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().alerts.get(call.known_caller, call.path("id")))

    return await handle(req, act)
