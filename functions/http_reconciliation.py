"""Reconciliation runs over HTTP."""

from http import HTTPStatus

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.RECONCILE)
@bp.route(route=path_of(names.RECONCILE), methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def reconcile(req: func.HttpRequest) -> func.HttpResponse:
    """POST /reconciliations"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_reconciliation_models import ReconciliationRequest

        wanted = call.body(ReconciliationRequest)
        run = await services().reconciliation.run_now(
            call.known_caller, wanted.provider, wanted.day, call.correlation_id
        )
        return json_response(run, HTTPStatus.CREATED)

    return await handle(req, act)


@bp.function_name(names.LIST_RECONCILIATIONS)
@bp.route(
    route=path_of(names.LIST_RECONCILIATIONS),
    methods=["GET"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def list_reconciliations(req: func.HttpRequest) -> func.HttpResponse:
    """GET /reconciliations"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().reconciliation.runs(call.known_caller))

    return await handle(req, act)
