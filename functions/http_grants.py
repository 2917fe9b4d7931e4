"""Temporary increases and emergency overrides over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import location_of, path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.CREATE_GRANT)
@bp.route(route=path_of(names.CREATE_GRANT), methods=["POST"], auth_level=ANONYMOUS)
async def create_grant(req: func.HttpRequest) -> func.HttpResponse:
    """POST /grants"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_grants_models import GrantRequest

        view = await services().grants.create(
            call.known_caller,
            call.body(GrantRequest).order(),
            key=call.idempotency_key(),
            correlation_id=call.correlation_id,
        )
        return json_response(view, 201, {"Location": location_of(names.GET_GRANT, view.id)})

    return await handle(req, act, route=names.CREATE_GRANT)


@bp.function_name(names.CREATE_OVERRIDE)
@bp.route(route=path_of(names.CREATE_OVERRIDE), methods=["POST"], auth_level=ANONYMOUS)
async def create_override(req: func.HttpRequest) -> func.HttpResponse:
    """POST /overrides"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_grants_models import OverrideRequest

        view = await services().grants.create(
            call.known_caller,
            call.body(OverrideRequest).order(),
            key=call.idempotency_key(),
            correlation_id=call.correlation_id,
        )
        return json_response(view, 201, {"Location": location_of(names.GET_GRANT, view.id)})

    return await handle(req, act, route=names.CREATE_OVERRIDE)


@bp.function_name(names.LIST_GRANTS)
@bp.route(route=path_of(names.LIST_GRANTS), methods=["GET"], auth_level=ANONYMOUS)
async def list_grants(req: func.HttpRequest) -> func.HttpResponse:
    """GET /grants"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_grants_models import GrantsQuery

        query = call.query(GrantsQuery)
        return json_response(
            await services().grants.list(call.known_caller, query.department, active=query.active)
        )

    return await handle(req, act)


@bp.function_name(names.GET_GRANT)
@bp.route(route=path_of(names.GET_GRANT), methods=["GET"], auth_level=ANONYMOUS)
async def get_grant(req: func.HttpRequest) -> func.HttpResponse:
    """GET /grants/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().grants.get(call.known_caller, call.path("id")))

    return await handle(req, act)


@bp.function_name(names.END_GRANT)
@bp.route(route=path_of(names.END_GRANT), methods=["DELETE"], auth_level=ANONYMOUS)
async def end_grant(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /grants/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().grants.end(call.known_caller, call.path("id"), call.correlation_id)
        return json_response(view)

    return await handle(req, act, route=names.END_GRANT)
