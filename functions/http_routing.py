"""Routing policies over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.GET_ROUTING_POLICY)
@bp.route(route=path_of(names.GET_ROUTING_POLICY), methods=["GET"], auth_level=ANONYMOUS)
async def get_routing_policy(req: func.HttpRequest) -> func.HttpResponse:
    """GET /routing/policies/{department}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().routing_policies.get(call.known_caller, call.path("department"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act)


@bp.function_name(names.PUT_ROUTING_POLICY)
@bp.route(route=path_of(names.PUT_ROUTING_POLICY), methods=["PUT"], auth_level=ANONYMOUS)
async def put_routing_policy(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /routing/policies/{department}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_routing_models import RoutingPolicyRequest

        owner = call.path("department")
        view = await services().routing_policies.put(
            call.known_caller,
            owner,
            call.body(RoutingPolicyRequest).policy(owner),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_ROUTING_POLICY)
