"""Which models there are, and what a request or a file would cost."""

import azure.functions as func

from functions import names
from functions.http_batch_bodies import BATCH_BODY_BYTES_MAX, charge_of, rows_of
from functions.http_routes import path_of
from functions.http_support import JSON, Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.LIST_MODELS)
@bp.route(route=path_of(names.LIST_MODELS), methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_models(req: func.HttpRequest) -> func.HttpResponse:
    """GET /models"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(services().estimates.models())

    return await handle(req, act, route=names.LIST_MODELS)


@bp.function_name(names.ESTIMATE)
@bp.route(route=path_of(names.ESTIMATE), methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def estimate(req: func.HttpRequest) -> func.HttpResponse:
    """POST /estimates"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_estimates_models import is_batch

        if call.media_type() != JSON or is_batch(call.raw_body(BATCH_BODY_BYTES_MAX)):
            return await _dry_run(call)
        return await _estimate(call)

    return await handle(req, act, route=names.ESTIMATE)


async def _estimate(call: Call) -> func.HttpResponse:
    from functions.http_estimates_models import EstimateRequest

    wish = call.body(EstimateRequest, BATCH_BODY_BYTES_MAX)
    charge = charge_of(call, wish.project, wish.cost_centre)
    who, estimates, pictures = call.known_caller, services().estimates, wish.reference_images
    requests = wish.requests()
    if wish.model is None:
        return json_response(await estimates.compare(who, charge, requests, pictures))
    return json_response(await estimates.estimate(who, charge, requests[0], pictures))


async def _dry_run(call: Call) -> func.HttpResponse:
    import io

    from shared.domain.batch_files import parse_batch_file

    body = rows_of(call)
    rows = parse_batch_file(io.BytesIO(body.content), body.file_format)
    estimates = services().estimates
    return json_response(await estimates.dry_run(call.known_caller, charge_of(call), rows))
