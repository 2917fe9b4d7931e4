"""The HTTP trigger: one aiohttp request in, one function call, one response out."""

from __future__ import annotations

import logging
import time
from http.cookies import SimpleCookie
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

from devhost.host.converters import decode, encode
from devhost.host.invocation import FunctionRunner
from devhost.host.loading import LoadedFunction
from devhost.host.routing import RouteTable

_log = logging.getLogger(__name__)

# The server sets these itself; a second copy would break the framing.
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


class HttpTriggers:
    """Answers every request that is not the host's own with a function of the app."""

    def __init__(self, routes: RouteTable, runner: FunctionRunner) -> None:
        self._routes = routes
        self._runner = runner

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """404 for an unknown route or verb, 500 with an empty body when the function fails."""
        found = self._routes.find(request.method, request.rel_url.raw_path)
        if found is None:
            return web.Response(status=404)
        function, parameters = found
        started_s = time.perf_counter()
        value = decode("httpTrigger", await _request_datum(request, parameters))
        try:
            result = await self._runner.run(function, {_parameter_name(function): value})
            response = _response(encode("http", result))
        except Exception:  # the boundary to user code: anything becomes a 500
            _log.exception("function %s failed %s %s", function.name, request.method, request.path)
            return web.Response(status=500)
        _log.info(
            "function=%s method=%s path=%s status=%s duration_ms=%.0f",
            function.name,
            request.method,
            request.path,
            response.status,
            (time.perf_counter() - started_s) * 1000,
        )
        return response


def _parameter_name(function: LoadedFunction) -> str:
    return str(function.trigger["name"])


async def _request_datum(request: web.Request, parameters: dict[str, str]) -> Datum:
    return Datum(
        type="http",
        value={
            "method": _text(request.method),
            "url": _text(str(request.url)),
            "body": Datum(type="bytes", value=await request.read()),
            "headers": _joined(request.headers),
            "query": _joined(request.query),
            "params": {name: _text(value) for name, value in parameters.items()},
        },
    )


def _text(value: str) -> Datum:
    return Datum(type="string", value=value)


def _joined(pairs: Any) -> dict[str, Datum]:
    """Repeated names become one comma-separated value, as the Functions host hands them over."""
    joined: dict[str, str] = {}
    for name, value in pairs.items():
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return {name: _text(value) for name, value in joined.items()}


def _response(datum: Datum) -> web.Response:
    if datum.type == "string":
        return web.Response(text=datum.value)
    value = datum.value
    headers = CIMultiDict(
        (name, header.value)
        for name, header in value["headers"].items()
        if name.lower() not in _FRAMING_HEADERS
    )
    for cookie in value["cookies"] or []:
        _add_cookies(headers, cookie)
    return web.Response(
        status=int(value["status_code"].value), headers=headers, body=value["body"].value
    )


def _add_cookies(headers: CIMultiDict[str], cookies: SimpleCookie) -> None:
    for morsel in cookies.values():
        headers.add("Set-Cookie", morsel.OutputString())
