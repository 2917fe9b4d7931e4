"""Approvals over HTTP."""

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = df.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.LIST_APPROVALS)
@bp.route(route=path_of(names.LIST_APPROVALS), methods=["GET"], auth_level=ANONYMOUS)
async def list_approvals(req: func.HttpRequest) -> func.HttpResponse:
    """GET /approvals"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_approvals_models import ApprovalsQuery

        query = call.query(ApprovalsQuery)
        found = await services().approvals.list(
            call.known_caller, mine=query.show == "mine", pending=query.status == "pending"
        )
        return json_response(found)

    return await handle(req, act)


@bp.function_name(names.GET_APPROVAL)
@bp.route(route=path_of(names.GET_APPROVAL), methods=["GET"], auth_level=ANONYMOUS)
async def get_approval(req: func.HttpRequest) -> func.HttpResponse:
    """GET /approvals/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().approvals.get(call.known_caller, call.path("id")))

    return await handle(req, act)


@bp.function_name(names.DECIDE_ON_APPROVAL)
@bp.route(route=path_of(names.DECIDE_ON_APPROVAL), methods=["POST"], auth_level=ANONYMOUS)
@bp.durable_client_input(client_name="client")
async def decide_on_approval(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """POST /approvals/{id}/decisions"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_approvals_models import DecisionRequest

        body = call.body(DecisionRequest)
        view = await services().approvals.decide(
            call.known_caller,
            call.path("id"),
            body.decision,
            body.comment,
            correlation_id=call.correlation_id,
            orchestrations=DurableOrchestrations(client),
        )
        return json_response(view)

    return await handle(req, act, route=names.DECIDE_ON_APPROVAL)
