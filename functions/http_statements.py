"""Chargeback statements over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import JSON, Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.CLOSE_PERIOD)
@bp.route(route=path_of(names.CLOSE_PERIOD), methods=["POST"], auth_level=ANONYMOUS)
async def close_period(req: func.HttpRequest) -> func.HttpResponse:
    """POST /statements"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import CloseRequest

        wanted = call.body(CloseRequest)
        view = await services().chargeback_statements.close(
            call.known_caller, wanted.department, wanted.period, call.correlation_id
        )
        return json_response(view)

    return await handle(req, act, route=names.CLOSE_PERIOD)


@bp.function_name(names.LIST_STATEMENTS)
@bp.route(route=path_of(names.LIST_STATEMENTS), methods=["GET"], auth_level=ANONYMOUS)
async def list_statements(req: func.HttpRequest) -> func.HttpResponse:
    """GET /statements"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import OneDepartmentQuery

        department = call.query(OneDepartmentQuery).department
        return json_response(
            await services().chargeback_statements.periods(call.known_caller, department)
        )

    return await handle(req, act)


@bp.function_name(names.GET_STATEMENT)
@bp.route(route=path_of(names.GET_STATEMENT), methods=["GET"], auth_level=ANONYMOUS)
async def get_statement(req: func.HttpRequest) -> func.HttpResponse:
    """GET /statements/{department}/{period}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import StatementQuery

        file = call.query(StatementQuery).format
        body = await services().chargeback_statements.file(
            call.known_caller, call.path("department"), call.path("period"), file
        )
        return func.HttpResponse(body, mimetype="text/csv" if file == "csv" else JSON)

    return await handle(req, act)
