"""Reports over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.SPEND_REPORT)
@bp.route(route=path_of(names.SPEND_REPORT), methods=["GET"], auth_level=ANONYMOUS)
async def spend_report(req: func.HttpRequest) -> func.HttpResponse:
    """GET /reports/spend"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import SpendQuery

        q = call.query(SpendQuery)
        wanted = (call.known_caller, q.dimensions, q.since, q.until, q.department)
        if q.format == "csv":
            return func.HttpResponse(
                await services().reports.spend_csv(*wanted), mimetype="text/csv"
            )
        return json_response(await services().reports.spend(*wanted))

    return await handle(req, act)


@bp.function_name(names.BURN_DOWN_REPORT)
@bp.route(route=path_of(names.BURN_DOWN_REPORT), methods=["GET"], auth_level=ANONYMOUS)
async def burn_down_report(req: func.HttpRequest) -> func.HttpResponse:
    """GET /reports/burn-down"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import OneDepartmentQuery

        department = call.query(OneDepartmentQuery).department
        return json_response(await services().reports.burn_down(call.known_caller, department))

    return await handle(req, act)


@bp.function_name(names.ANOMALY_REPORT)
@bp.route(route=path_of(names.ANOMALY_REPORT), methods=["GET"], auth_level=ANONYMOUS)
async def anomaly_report(req: func.HttpRequest) -> func.HttpResponse:
    """GET /reports/anomalies"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import SpanQuery

        q = call.query(SpanQuery)
        return json_response(
            await services().reports.anomalies(call.known_caller, q.since, q.until, q.department)
        )

    return await handle(req, act)


@bp.function_name(names.FINANCE_REPORT)
@bp.route(route=path_of(names.FINANCE_REPORT), methods=["GET"], auth_level=ANONYMOUS)
async def finance_report(req: func.HttpRequest) -> func.HttpResponse:
    """GET /reports/finance"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reports_models import FinanceQuery
        from shared.domain.finance_style import page_policy

        q = call.query(FinanceQuery)
        page = await services().finance_reports.page(call.known_caller, q.department, q.period)
        own_policy = {"Content-Security-Policy": page_policy()}
        return func.HttpResponse(page, mimetype="text/html", headers=own_policy)

    return await handle(req, act)
