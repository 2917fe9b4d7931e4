"""The part of the Functions admin API that tools use: list, status, run a timer now."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from devhost.host.loading import AppFunctions, LoadedFunction
from devhost.host.timers import Timers

HOST_ID = "local"
HOST_VERSION = "4.0.0-local"


class Admin:
    """`/admin/*`; keys are not checked, as with `func start`."""

    def __init__(self, functions: AppFunctions, timers: Timers) -> None:
        self._functions = functions
        self._timers = timers
        self._started_s = time.time()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/admin/functions", self._list)
        app.router.add_get("/admin/functions/{name}", self._show)
        app.router.add_post("/admin/functions/{name}", self._run)
        app.router.add_get("/admin/host/status", self._status)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response([_describe(function) for function in self._functions.all])

    async def _show(self, request: web.Request) -> web.Response:
        function = self._functions.named(request.match_info["name"])
        if function is None:
            return web.Response(status=404)
        return web.json_response(_describe(function))

    async def _run(self, request: web.Request) -> web.Response:
        function = self._functions.named(request.match_info["name"])
        if function is None:
            return web.Response(status=404)
        if function.trigger_type != "timerTrigger":
            message = (
                f"{function.name} has a {function.trigger_type}; "
                "the local host runs only timer functions this way."
            )
            return web.json_response({"error": message}, status=501)
        self._timers.fire_now(function.name)
        return web.Response(status=202)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": HOST_ID,
                "state": "Running",
                "version": HOST_VERSION,
                "processUptime": int((time.time() - self._started_s) * 1000),
            }
        )


def _describe(function: LoadedFunction) -> dict[str, Any]:
    return {
        "name": function.name,
        "language": "python",
        "isDisabled": False,
        "config": {"bindings": list(function.bindings)},
    }
