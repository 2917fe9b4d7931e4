"""The first request of an organisation over HTTP."""

from typing import Final

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS  # the secret is checked at our own edge
SECRET_HEADER: Final = "X-Bootstrap-Secret"  # noqa: S105  # nosec B105  # a name


@bp.function_name(names.BOOTSTRAP)
@bp.route(route=path_of(names.BOOTSTRAP), methods=["POST"], auth_level=ANONYMOUS)
async def bootstrap(req: func.HttpRequest) -> func.HttpResponse:
    """POST /bootstrap"""

    async def act(call: Call) -> func.HttpResponse:
        from functions.http_bootstrap_models import BootstrapRequest, BootstrapView
        from shared.services.bootstrap import Beginning

        service, secret = services().bootstrap, req.headers.get(SECRET_HEADER) or ""
        service.check_secret(secret)  # before the body is looked at
        body = call.body(BootstrapRequest)
        wanted = Beginning(
            body.super_admin, body.department, body.department_name, body.limit_micros
        )
        first = await service.begin(wanted, call.correlation_id)
        view = BootstrapView(super_admin=body.super_admin, department=body.department, first=first)
        return json_response(view, 201 if first else 200)

    return await handle(req, act, public=True)
