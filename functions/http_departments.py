"""Departments over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import location_of, path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # credentials are checked at our own edge


@bp.function_name(names.LIST_DEPARTMENTS)
@bp.route(route=path_of(names.LIST_DEPARTMENTS), methods=["GET"], auth_level=ANONYMOUS)
async def list_departments(req: func.HttpRequest) -> func.HttpResponse:
    """GET /departments"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_departments_models import DepartmentsQuery

        query = call.query(DepartmentsQuery)
        view = await services().departments.list(
            call.known_caller, query.search, query.continuation, query.limit
        )
        return json_response(view)

    return await handle(req, act, route=names.LIST_DEPARTMENTS)


@bp.function_name(names.CREATE_DEPARTMENT)
@bp.route(route=path_of(names.CREATE_DEPARTMENT), methods=["POST"], auth_level=ANONYMOUS)
async def create_department(req: func.HttpRequest) -> func.HttpResponse:
    """POST /departments"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_departments_models import DepartmentRequest

        body = call.body(DepartmentRequest)
        view = await services().departments.create(
            call.known_caller, body.id, body.name, body.parent, call.correlation_id
        )
        location = {"Location": location_of(names.GET_DEPARTMENT, view.id)}
        return json_response(view, 201, location | etag_of(view.revision))

    return await handle(req, act, route=names.CREATE_DEPARTMENT)


@bp.function_name(names.GET_DEPARTMENT)
@bp.route(route=path_of(names.GET_DEPARTMENT), methods=["GET"], auth_level=ANONYMOUS)
async def get_department(req: func.HttpRequest) -> func.HttpResponse:
    """GET /departments/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().departments.get(call.known_caller, call.path("id"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.GET_DEPARTMENT)


@bp.function_name(names.PUT_DEPARTMENT)
@bp.route(route=path_of(names.PUT_DEPARTMENT), methods=["PUT"], auth_level=ANONYMOUS)
async def put_department(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /departments/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_departments_models import DepartmentChange

        body = call.body(DepartmentChange)
        view = await services().departments.replace(
            call.known_caller,
            call.path("id"),
            body.name,
            body.parent,
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_DEPARTMENT)


@bp.function_name(names.CLOSE_DEPARTMENT)
@bp.route(route=path_of(names.CLOSE_DEPARTMENT), methods=["DELETE"], auth_level=ANONYMOUS)
async def close_department(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /departments/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        await services().departments.close(
            call.known_caller,
            call.path("id"),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return func.HttpResponse(status_code=204)

    return await handle(req, act, route=names.CLOSE_DEPARTMENT)


@bp.function_name(names.GET_DEPARTMENT_HISTORY)
@bp.route(route=path_of(names.GET_DEPARTMENT_HISTORY), methods=["GET"], auth_level=ANONYMOUS)
async def get_department_history(req: func.HttpRequest) -> func.HttpResponse:
    """GET /departments/{id}/history"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import ChangesQuery

        page = await services().departments.history(
            call.known_caller, call.path("id"), call.query(ChangesQuery).continuation
        )
        return json_response(page)

    return await handle(req, act, route=names.GET_DEPARTMENT_HISTORY)
