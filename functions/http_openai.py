"""OpenAI's image API over HTTP, for its official clients: the same pipeline as ours."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from functions.http_openai_errors import JSON, REQUEST_ID, openai_problem
from functions.http_routes import path_of
from functions.http_support import Call, handle
from shared.wiring import services

if TYPE_CHECKING:
    from pydantic import BaseModel

REPEAT_HEADER = "x-stainless-retry-count"  # how often the client has sent this request before
REPEAT_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)
bp = df.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the access token is checked at our own edge


@bp.function_name(names.OPENAI_GENERATE)
@bp.route(route=path_of(names.OPENAI_GENERATE), methods=["POST"], auth_level=ANONYMOUS)
@bp.durable_client_input(client_name="client")
async def openai_generate(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """POST /openai/v1/images/generations"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.openai_images import OpenAIImageRequest, governance_headers
        from shared.services.openai_images import Asked

        body = call.body(OpenAIImageRequest)
        asked = Asked(call.idempotency_key(), _sent_before(call), call.correlation_id)
        endpoint = services().openai_images
        view = await endpoint.generate(
            call.known_caller, body, asked, DurableOrchestrations(client)
        )
        answer = await endpoint.answer(body, view)
        return _answered(call, answer, governance_headers(view))

    return await handle(req, act, route=names.OPENAI_GENERATE, refuse=openai_problem)


def _answered(
    call: Call, answer: "BaseModel", headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """An answer as OpenAI specifies it, where what is not there is left out and never null."""
    return func.HttpResponse(
        answer.model_dump_json(exclude_none=True),
        mimetype=JSON,
        headers={REQUEST_ID: call.correlation_id, **(headers or {})},
    )


def _sent_before(call: Call) -> int | None:
    """How often the client had no usable answer to this request; None: it does not say."""
    times = call.request.headers.get(REPEAT_HEADER, "")
    return int(times) if REPEAT_NUMBER.fullmatch(times) else None


@bp.function_name(names.OPENAI_LIST_MODELS)
@bp.route(route=path_of(names.OPENAI_LIST_MODELS), methods=["GET"], auth_level=ANONYMOUS)
async def openai_list_models(req: func.HttpRequest) -> func.HttpResponse:
    """GET /openai/v1/models"""

    async def act(call: Call) -> func.HttpResponse:
        return _answered(call, await services().openai_images.models(call.known_caller))

    return await handle(req, act, route=names.OPENAI_LIST_MODELS, refuse=openai_problem)


@bp.function_name(names.OPENAI_GET_MODEL)
@bp.route(route=path_of(names.OPENAI_GET_MODEL), methods=["GET"], auth_level=ANONYMOUS)
async def openai_get_model(req: func.HttpRequest) -> func.HttpResponse:
    """GET /openai/v1/models/{id}"""

    async def act(call: Call) -> func.HttpResponse:
        found = await services().openai_images.model(call.known_caller, call.path("id"))
        return _answered(call, found)

    return await handle(req, act, route=names.OPENAI_GET_MODEL, refuse=openai_problem)
