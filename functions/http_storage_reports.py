"""Storage reports over HTTP."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.STORAGE_REPORT)
@bp.route(route=path_of(names.STORAGE_REPORT), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def storage_report(req: func.HttpRequest) -> func.HttpResponse:
    """GET /reports/storage"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_storage_models import StorageReportQuery
        from shared.domain.storage_views import storage_csv

        q = call.query(StorageReportQuery)
        report = await services().storage_reports.report(call.known_caller, q.department)
        if q.format == "csv":
            return func.HttpResponse(storage_csv(report), mimetype="text/csv")
        return json_response(report)

    return await handle(req, act)
