"""Budgets over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.LIST_BUDGETS)
@bp.route(route=path_of(names.LIST_BUDGETS), methods=["GET"], auth_level=ANONYMOUS)
async def list_budgets(req: func.HttpRequest) -> func.HttpResponse:
    """GET /budgets"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_budgets_models import BudgetsQuery

        query = call.query(BudgetsQuery)
        page = await services().budgets.list(
            call.known_caller, query.period, query.department, query.continuation
        )
        return json_response(page)

    return await handle(req, act)


@bp.function_name(names.GET_BUDGET)
@bp.route(route=path_of(names.GET_BUDGET), methods=["GET"], auth_level=ANONYMOUS)
async def get_budget(req: func.HttpRequest) -> func.HttpResponse:
    """GET /budgets/{scope}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_budgets_models import BudgetQuery

        query = call.query(BudgetQuery)
        view = await services().budgets.get(
            call.known_caller, call.path("scope"), query.period, query.department
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act)


@bp.function_name(names.PUT_BUDGET)
@bp.route(route=path_of(names.PUT_BUDGET), methods=["PUT"], auth_level=ANONYMOUS)
async def put_budget(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /budgets/{scope}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_budgets_models import BudgetRequest, DepartmentQuery

        view = await services().budgets.put(
            call.known_caller,
            call.path("scope"),
            call.body(BudgetRequest).change(),
            expected=expected_revision(call),
            department_id=call.query(DepartmentQuery).department,
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_BUDGET)


@bp.function_name(names.DELETE_BUDGET)
@bp.route(route=path_of(names.DELETE_BUDGET), methods=["DELETE"], auth_level=ANONYMOUS)
async def delete_budget(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /budgets/{scope}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_budgets_models import DepartmentQuery

        await services().budgets.delete(
            call.known_caller,
            call.path("scope"),
            expected=expected_revision(call),
            department_id=call.query(DepartmentQuery).department,
            correlation_id=call.correlation_id,
        )
        return func.HttpResponse(status_code=204)

    return await handle(req, act, route=names.DELETE_BUDGET)
