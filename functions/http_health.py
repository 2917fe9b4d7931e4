"""Liveness and readiness over HTTP; public, and silent about everything else."""

import azure.functions as func

from functions import names
from functions.http_routes import path_of
from functions.http_support import Call, handle, json_response
from shared.wiring import services

bp = func.Blueprint()
ANONYMOUS = func.AuthLevel.ANONYMOUS


@bp.function_name(names.HEALTH_LIVE)
@bp.route(route=path_of(names.HEALTH_LIVE), methods=["GET"], auth_level=ANONYMOUS)
async def health_live(req: func.HttpRequest) -> func.HttpResponse:
    """GET /health/live"""

    async def act(call: Call) -> func.HttpResponse:
        from shared.domain.views import HealthView

        return json_response(HealthView(status="ok"))

    return await handle(req, act, public=True)


@bp.function_name(names.HEALTH_READY)
@bp.route(route=path_of(names.HEALTH_READY), methods=["GET"], auth_level=ANONYMOUS)
async def health_ready(req: func.HttpRequest) -> func.HttpResponse:
    """GET /health/ready"""

    async def act(call: Call) -> func.HttpResponse:
        health = await services().health.ready()
        return json_response(health, 200 if health.status == "ok" else 503)

    return await handle(req, act, public=True)
