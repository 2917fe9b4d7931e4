"""Reconciliation cases over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.LIST_CASES)
@bp.route(route=path_of(names.LIST_CASES), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_cases(req: func.HttpRequest) -> func.HttpResponse:
    """GET /cases"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reconciliation_models import CaseQuery

        query = call.query(CaseQuery)
        page = await services().cases.pages.page(
            call.known_caller, query.status, query.continuation, query.limit
        )
        return json_response(page)

    return await handle(req, act)


@bp.function_name(names.GET_CASE)
@bp.route(route=path_of(names.GET_CASE), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_case(req: func.HttpRequest) -> func.HttpResponse:
    """GET /cases/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().cases.get(call.known_caller, call.path("id")))

    return await handle(req, act)


@bp.function_name(names.CLOSE_CASE)
@bp.route(route=path_of(names.CLOSE_CASE), methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def close_case(req: func.HttpRequest) -> func.HttpResponse:
    """POST /cases/{id}/close"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reconciliation_models import CaseClosing
        from shared.services.cases import Closing

        body = call.body(CaseClosing)
        closing = Closing(body.decision, body.reason, body.department, body.billed_usd_micros)
        case = await services().cases.close(
            call.known_caller, call.path("id"), closing, call.correlation_id
        )
        return json_response(case)

    return await handle(req, act, route=names.CLOSE_CASE)
