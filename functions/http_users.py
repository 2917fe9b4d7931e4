"""People and pipelines over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision, stated_revision
from functions.http_routes import location_of, path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # credentials are checked at our own edge


@bp.function_name(names.LIST_USERS)
@bp.route(route=path_of(names.LIST_USERS), methods=["GET"], auth_level=ANONYMOUS)
async def list_users(req: func.HttpRequest) -> func.HttpResponse:
    """GET /users"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import UsersQuery

        query = call.query(UsersQuery)
        page = await services().users.list(
            call.known_caller, query.wanted(), query.search, query.continuation, query.limit
        )
        return json_response(page)

    return await handle(req, act, route=names.LIST_USERS)


@bp.function_name(names.CREATE_USER)
@bp.route(route=path_of(names.CREATE_USER), methods=["POST"], auth_level=ANONYMOUS)
async def create_user(req: func.HttpRequest) -> func.HttpResponse:
    """POST /users"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import UserRequest

        body = call.body(UserRequest)
        view = await services().users.create(
            call.known_caller, body.id, body.order(), call.correlation_id
        )
        location = {"Location": location_of(names.GET_USER, view.id)}
        return json_response(view, 201, location | etag_of(view.revision))

    return await handle(req, act, route=names.CREATE_USER)


@bp.function_name(names.IMPORT_USERS)
@bp.route(route=path_of(names.IMPORT_USERS), methods=["POST"], auth_level=ANONYMOUS)
async def import_users(req: func.HttpRequest) -> func.HttpResponse:
    """POST /users/imports"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import ImportQuery
        from shared.errors import UnsupportedMediaType
        from shared.services.user_imports import CSV_BYTES_MAX

        if call.media_type() != "text/csv":
            raise UnsupportedMediaType("Send the people as text/csv.")
        view = await services().user_imports.run(
            call.known_caller,
            call.raw_body(CSV_BYTES_MAX),
            call.correlation_id,
            dry_run=call.query(ImportQuery).dry_run,
        )
        return json_response(view)

    return await handle(req, act, route=names.IMPORT_USERS)


@bp.function_name(names.GET_USER)
@bp.route(route=path_of(names.GET_USER), methods=["GET"], auth_level=ANONYMOUS)
async def get_user(req: func.HttpRequest) -> func.HttpResponse:
    """GET /users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().users.get(call.known_caller, call.path("id"))
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.GET_USER)


@bp.function_name(names.PUT_USER)
@bp.route(route=path_of(names.PUT_USER), methods=["PUT"], auth_level=ANONYMOUS)
async def put_user(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import UserChange

        view = await services().users.replace(
            call.known_caller,
            call.path("id"),
            call.body(UserChange).order(),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_USER)


@bp.function_name(names.PUT_USER_STATUS)
@bp.route(route=path_of(names.PUT_USER_STATUS), methods=["PUT"], auth_level=ANONYMOUS)
async def put_user_status(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /users/{id}/status"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import StatusRequest

        body = call.body(StatusRequest)
        view = await services().users.set_status(
            call.known_caller,
            call.path("id"),
            body.status,
            body.reason,
            call.correlation_id,
            expected=stated_revision(call),
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_USER_STATUS)


@bp.function_name(names.DELETE_USER)
@bp.route(route=path_of(names.DELETE_USER), methods=["DELETE"], auth_level=ANONYMOUS)
async def delete_user(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /users/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        await services().users.set_status(
            call.known_caller,
            call.path("id"),
            "deleted",
            None,
            call.correlation_id,
            expected=stated_revision(call),
        )
        return func.HttpResponse(status_code=204)

    return await handle(req, act, route=names.DELETE_USER)


@bp.function_name(names.GET_USER_HISTORY)
@bp.route(route=path_of(names.GET_USER_HISTORY), methods=["GET"], auth_level=ANONYMOUS)
async def get_user_history(req: func.HttpRequest) -> func.HttpResponse:
    """GET /users/{id}/history"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_users_models import ChangesQuery

        page = await services().users.history(
            call.known_caller, call.path("id"), call.query(ChangesQuery).continuation
        )
        return json_response(page)

    return await handle(req, act, route=names.GET_USER_HISTORY)
