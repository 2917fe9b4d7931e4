"""Webhooks of Replicate: public, because their signature says who sent them."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle
from shared.wiring import services

bp = func.Blueprint()


@bp.function_name(names.RECEIVE_REPLICATE_WEBHOOK)
@bp.route(
    route=path_of(names.RECEIVE_REPLICATE_WEBHOOK),
    methods=["POST"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def receive_replicate_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """POST /webhooks/replicate"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.provider_webhooks import BODY_BYTES_MAX

        headers = {name.lower(): value for name, value in req.headers.items()}
        await services().provider_webhooks.receive(headers, call.raw_body(BODY_BYTES_MAX))
        return func.HttpResponse(status_code=204)

    return await handle(req, act, public=True)
