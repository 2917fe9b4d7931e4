"""The organisation's budget over HTTP."""

import azure.functions as func

from functions import names
from functions.http_preconditions import etag_of, expected_revision
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.GET_ORGANISATION_BUDGET)
@bp.route(route=path_of(names.GET_ORGANISATION_BUDGET), methods=["GET"], auth_level=ANONYMOUS)
async def get_organisation_budget(req: func.HttpRequest) -> func.HttpResponse:
    """GET /organisation/budget"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_organisation_models import OrganisationBudgetQuery

        query = call.query(OrganisationBudgetQuery)
        view = await services().organisation_budgets.get(call.known_caller, query.period)
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act)


@bp.function_name(names.PUT_ORGANISATION_BUDGET)
@bp.route(route=path_of(names.PUT_ORGANISATION_BUDGET), methods=["PUT"], auth_level=ANONYMOUS)
async def put_organisation_budget(req: func.HttpRequest) -> func.HttpResponse:
    """PUT /organisation/budget"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_organisation_models import OrganisationBudgetRequest

        view = await services().organisation_budgets.put(
            call.known_caller,
            call.body(OrganisationBudgetRequest).change(),
            expected=expected_revision(call),
            correlation_id=call.correlation_id,
        )
        return json_response(view, headers=etag_of(view.revision))

    return await handle(req, act, route=names.PUT_ORGANISATION_BUDGET)


@bp.function_name(names.MOVE_ALLOCATION)
@bp.route(route=path_of(names.MOVE_ALLOCATION), methods=["POST"], auth_level=ANONYMOUS)
async def move_allocation(req: func.HttpRequest) -> func.HttpResponse:
    """POST /organisation/allocations"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_organisation_models import AllocationRequest

        view = await services().organisation_budgets.allocate(
            call.known_caller,
            call.body(AllocationRequest).order(),
            key=call.idempotency_key(),
            correlation_id=call.correlation_id,
        )
        return json_response(view, 201)

    return await handle(req, act, route=names.MOVE_ALLOCATION)


@bp.function_name(names.LIST_ALLOCATIONS)
@bp.route(route=path_of(names.LIST_ALLOCATIONS), methods=["GET"], auth_level=ANONYMOUS)
async def list_allocations(req: func.HttpRequest) -> func.HttpResponse:
    """GET /organisation/allocations"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_organisation_models import AllocationsQuery

        query = call.query(AllocationsQuery)
        page = await services().organisation_budgets.movements(
            call.known_caller, query.period, query.continuation, query.limit
        )
        return json_response(page)

    return await handle(req, act)
