"""Batches over HTTP."""

from typing import TYPE_CHECKING, Final

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from functions.http_batch_bodies import rows_of
from functions.http_routes import location_of, path_of
from functions.http_support import JSON, Call, handle, json_response
from shared.wiring import services

if TYPE_CHECKING:
    from shared.services.batch_admission import BatchOrder

bp = df.Blueprint()
RECEIPT_TYPES: Final = {"json": JSON, "csv": "text/csv", "jws": "application/jose"}
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.SUBMIT_BATCH)
@bp.route(route=path_of(names.SUBMIT_BATCH), methods=["POST"], auth_level=ANONYMOUS)
@bp.durable_client_input(client_name="client")
async def submit_batch(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """POST /batches"""

    async def act(call: Call) -> func.HttpResponse:
        order = await _order_of(call)
        view = await services().batches.submit(order, DurableOrchestrations(client))
        location = location_of(names.GET_BATCH, view.id)
        return json_response(view, 202, {"Operation-Location": location})

    return await handle(req, act, route=names.SUBMIT_BATCH)


async def _order_of(call: Call) -> "BatchOrder":
    from functions.http_models import BatchQuery

    body, query = rows_of(call), call.query(BatchQuery)
    return await services().batch_bodies.order(
        call.known_caller,
        body.content,
        body.file_format,
        charge=call.known_caller.charge(query.project, query.cost_centre),
        acceptance=body.acceptance or query.acceptance,
        key=call.idempotency_key(),
        correlation_id=call.correlation_id,
    )


@bp.function_name(names.CREATE_UPLOAD_SLOT)
@bp.route(route=path_of(names.CREATE_UPLOAD_SLOT), methods=["POST"], auth_level=ANONYMOUS)
async def create_upload_slot(req: func.HttpRequest) -> func.HttpResponse:
    """POST /batches/uploads"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import UploadSlotRequest

        wanted = call.body(UploadSlotRequest)
        charge = call.known_caller.charge(wanted.project, wanted.cost_centre)
        slot = await services().upload_slots.create(
            call.known_caller, wanted.file_name, charge, wanted.acceptance, call.correlation_id
        )
        location = location_of(names.GET_UPLOAD_SLOT, slot.id)
        return json_response(slot, 201, {"Location": location})

    return await handle(req, act, route=names.CREATE_UPLOAD_SLOT)


@bp.function_name(names.GET_UPLOAD_SLOT)
@bp.route(route=path_of(names.GET_UPLOAD_SLOT), methods=["GET"], auth_level=ANONYMOUS)
async def get_upload_slot(req: func.HttpRequest) -> func.HttpResponse:
    """GET /batches/uploads/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().upload_slots.get(call.known_caller, call.path("id")))

    return await handle(req, act, route=names.GET_UPLOAD_SLOT)


@bp.function_name(names.GET_BATCH)
@bp.route(route=path_of(names.GET_BATCH), methods=["GET"], auth_level=ANONYMOUS)
async def get_batch(req: func.HttpRequest) -> func.HttpResponse:
    """GET /batches/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        return json_response(await services().batches.get(call.known_caller, call.path("id")))

    return await handle(req, act, route=names.GET_BATCH)


@bp.function_name(names.CANCEL_BATCH)
@bp.route(route=path_of(names.CANCEL_BATCH), methods=["DELETE"], auth_level=ANONYMOUS)
async def cancel_batch(req: func.HttpRequest) -> func.HttpResponse:
    """DELETE /batches/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        view = await services().batches.cancel(
            call.known_caller, call.path("id"), call.correlation_id
        )
        return json_response(view, 202)

    return await handle(req, act, route=names.CANCEL_BATCH)


@bp.function_name(names.LIST_BATCH_ITEMS)
@bp.route(route=path_of(names.LIST_BATCH_ITEMS), methods=["GET"], auth_level=ANONYMOUS)
async def list_batch_items(req: func.HttpRequest) -> func.HttpResponse:
    """GET /batches/{id}/items"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import PageQuery

        query = call.query(PageQuery)
        page = await services().batches.items(
            call.known_caller,
            call.path("id"),
            continuation=query.continuation,
            limit=query.limit,
        )
        return json_response(page)

    return await handle(req, act, route=names.LIST_BATCH_ITEMS)


@bp.function_name(names.GET_BATCH_RECEIPT)
@bp.route(route=path_of(names.GET_BATCH_RECEIPT), methods=["GET"], auth_level=ANONYMOUS)
async def get_batch_receipt(req: func.HttpRequest) -> func.HttpResponse:
    """GET /batches/{id}/receipt"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_models import ReceiptQuery

        form = call.query(ReceiptQuery).format
        body = await services().batch_results.receipt(call.known_caller, call.path("id"), form)
        return func.HttpResponse(body, mimetype=RECEIPT_TYPES[form])

    return await handle(req, act, route=names.GET_BATCH_RECEIPT)
