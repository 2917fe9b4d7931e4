"""Budgets over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.GET_BUDGET)
@bp.route(route=path_of(names.GET_BUDGET), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_budget(req: func.HttpRequest) -> func.HttpResponse:
    """GET /budgets/{scope}"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import BudgetQuery

        period = call.query(BudgetQuery).period
        return json_response(
            await services().budgets.get(call.known_caller, call.path("scope"), period)
        )

    return await handle(req, act)
