"""Single generations over HTTP."""

from typing import TYPE_CHECKING

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from functions.http_routes import location_of, path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

if TYPE_CHECKING:
    from shared.domain.views import GenerationView

WAIT_S_MAX = 100  # the platform ends an HTTP answer at 230 s; clients expect less
POLL_AFTER_S = "1"  # most pictures take 2 to 30 s
bp = df.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.SUBMIT_GENERATION)
@bp.route(route=path_of(names.SUBMIT_GENERATION), methods=["POST"], auth_level=ANONYMOUS)
@bp.durable_client_input(client_name="client")
async def submit_generation(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """POST /generations"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import GenerationBody

        body = call.body(GenerationBody)
        view = await services().generations.submit(
            call.known_caller,
            body.request(),
            call.known_caller.charge(body.project, body.cost_centre),
            key=call.idempotency_key(),
            correlation_id=call.correlation_id,
            orchestrations=DurableOrchestrations(client),
        )
        return await _answer(call, view)

    return await handle(req, act, route=names.SUBMIT_GENERATION)


async def _answer(call: Call, view: "GenerationView") -> func.HttpResponse:
    """The result if the caller waits for it and it comes in time, or where to look for it."""
    from shared.domain.views import TERMINAL

    if wait_s := call.wait_s(WAIT_S_MAX):
        view = await services().generations.wait(call.known_caller, view.id, wait_s)
    if wait_s and view.status in TERMINAL:
        return json_response(view, 200, {"Preference-Applied": "wait"})
    headers = {"Operation-Location": location_of(names.GET_GENERATION, view.id)}
    return json_response(view, 202, headers | {"Retry-After": POLL_AFTER_S})


@bp.function_name(names.LIST_GENERATIONS)
@bp.route(route=path_of(names.LIST_GENERATIONS), methods=["GET"], auth_level=ANONYMOUS)
async def list_generations(req: func.HttpRequest) -> func.HttpResponse:
    """GET /generations"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import HistoryQuery

        query = call.query(HistoryQuery)
        page = await services().generations.history(
            call.known_caller,
            query.wanted(call.known_caller),
            since=query.since,
            until=query.until,
            continuation=query.continuation,
            limit=query.limit,
        )
        return json_response(page)

    return await handle(req, act, route=names.LIST_GENERATIONS)


@bp.function_name(names.GET_GENERATION)
@bp.route(route=path_of(names.GET_GENERATION), methods=["GET"], auth_level=ANONYMOUS)
async def get_generation(req: func.HttpRequest) -> func.HttpResponse:
    """GET /generations/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().generations.get(call.known_caller, call.path("id")))

    return await handle(req, act, route=names.GET_GENERATION)


@bp.function_name(names.CANCEL_GENERATION)
@bp.route(route=path_of(names.CANCEL_GENERATION), methods=["DELETE"], auth_level=ANONYMOUS)
async def cancel_generation(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /generations/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().generations.cancel(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return json_response(view)

    return await handle(req, act, route=names.CANCEL_GENERATION)
