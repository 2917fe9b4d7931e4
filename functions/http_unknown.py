"""Whatever the route table does not have, below our three roots: what is there, and what is not.

The host asks these last, because a `{*rest}` is its least specific template.
"""

import azure.functions as func

from functions import names
from functions.http_addresses import routes_at
from functions.http_cors import preflight_headers
from functions.http_openai_errors import openai_problem
from functions.http_routes import API, OPENAI, SCIM
from functions.http_scim_errors import scim_problem
from functions.http_support import Call, handle
from shared.answer_headers import answer_headers
from shared.errors import MethodNotAllowed, NotFound

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # there is nothing to see
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
REST = "{*rest}"


async def _answer(call: Call) -> func.HttpResponse:
    """404 for an unknown address, 405 for another method of a known one, or what OPTIONS asks."""
    methods = sorted(routes_at(call.request.url or ""))
    if not methods:
        raise NotFound("There is no such address.")
    answer_headers.set({"Allow": ", ".join(methods)})
    if call.request.method == "OPTIONS":
        return func.HttpResponse(status_code=204, headers=preflight_headers(call.request, methods))
    raise MethodNotAllowed("This address does not take that method.")


@bp.function_name(names.UNKNOWN_API_ROUTE)
@bp.route(route=API + REST, methods=METHODS, auth_level=ANONYMOUS)
async def unknown_api_route(req: func.HttpRequest) -> func.HttpResponse:
    """Everything else below api/v1"""
    return await handle(req, _answer, public=True)


@bp.function_name(names.UNKNOWN_SCIM_ROUTE)
@bp.route(route=SCIM + REST, methods=METHODS, auth_level=ANONYMOUS)
async def unknown_scim_route(req: func.HttpRequest) -> func.HttpResponse:
    """Everything else below scim/v2, in the form of its errors"""
    return await handle(req, _answer, public=True, refuse=scim_problem)


@bp.function_name(names.UNKNOWN_OPENAI_ROUTE)
@bp.route(route=OPENAI + REST, methods=METHODS, auth_level=ANONYMOUS)
async def unknown_openai_route(req: func.HttpRequest) -> func.HttpResponse:
    """Everything else below openai/v1, in the words of its clients"""
    return await handle(req, _answer, public=True, refuse=openai_problem)
