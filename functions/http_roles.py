"""Roles, and the organisation's rules of models, over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # credentials are checked at our own edge


@bp.function_name(names.LIST_ROLES)
@bp.route(route=path_of(names.LIST_ROLES), methods=["GET"], auth_level=ANONYMOUS)
async def list_roles(req: func.HttpRequest) -> func.HttpResponse:
    """GET /roles"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().roles.list(call.known_caller))

    return await handle(req, act, route=names.LIST_ROLES)


@bp.function_name(names.GET_ROLE)
@bp.route(route=path_of(names.GET_ROLE), methods=["GET"], auth_level=ANONYMOUS)
async def get_role(req: func.HttpRequest) -> func.HttpResponse:
    """GET /roles/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().roles.get(call.known_caller, call.path("id"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.GET_ROLE)


@bp.function_name(names.PUT_ROLE)
@bp.route(route=path_of(names.PUT_ROLE), methods=["PUT"], auth_level=ANONYMOUS)
async def put_role(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /roles/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_roles_models import RoleRequest

        view = await services().roles.put(
            call.known_caller,
            call.path("id"),
            call.body(RoleRequest).order(),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_ROLE)


@bp.function_name(names.DELETE_ROLE)
@bp.route(route=path_of(names.DELETE_ROLE), methods=["DELETE"], auth_level=ANONYMOUS)
async def delete_role(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /roles/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        await services().roles.delete(
            call.known_caller,
            call.path("id"),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return func.HttpResponse(status_code=204)

    return await handle(req, act, route=names.DELETE_ROLE)


@bp.function_name(names.GET_MODEL_RULES)
@bp.route(route=path_of(names.GET_MODEL_RULES), methods=["GET"], auth_level=ANONYMOUS)
async def get_model_rules(req: func.HttpRequest) -> func.HttpResponse:
    """GET /organisation/model-rules"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().organisation_rules.get(call.known_caller)
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.GET_MODEL_RULES)


@bp.function_name(names.PUT_MODEL_RULES)
@bp.route(route=path_of(names.PUT_MODEL_RULES), methods=["PUT"], auth_level=ANONYMOUS)
async def put_model_rules(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /organisation/model-rules"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import ModelRulesRequest

        view = await services().organisation_rules.put(
            call.known_caller,
            call.body(ModelRulesRequest).rules(),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_MODEL_RULES)
