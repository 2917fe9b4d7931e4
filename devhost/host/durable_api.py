"""The durable HTTP API under `/runtime/webhooks/durabletask`, for the SDK and for people."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from devhost.host.durable_client_payload import WEBHOOK_PATH, management_urls
from devhost.host.durable_engine import DurableEngine
from devhost.host.durable_entities import EntityWorker
from devhost.host.durable_history import parse_events, parse_timestamp, timestamp_text
from devhost.host.durable_management import (
    AlreadyRunningError,
    BadRequestError,
    GoneError,
    InstanceManagement,
    NotFoundError,
    input_text,
)
from devhost.host.durable_status import history_json, status_json
from devhost.host.durable_store import InstanceQuery, Status

PAGE_DEFAULT = 100  # the durable extension's page size
PAGE_MAX = 1_000
WAIT_S_DEFAULT = 10.0
WAIT_S_MAX = 240.0
POLL_S = 5  # Retry-After of a running instance
CONTINUATION_HEADER = "x-ms-continuation-token"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DurableApi:
    """Routes of the task hub; errors are JSON with the durable extension's four keys."""

    def __init__(
        self,
        engine: DurableEngine,
        management: InstanceManagement,
        entities: EntityWorker,
        hub_name: str,
    ) -> None:
        self._engine = engine
        self._management = management
        self._entities = entities
        self._hub_name = hub_name

    def add_routes(self, app: web.Application) -> None:
        routes: list[tuple[str, str, Handler]] = [
            ("POST", "/orchestrators/{name}", self._start),
            ("POST", "/orchestrators/{name}/{id}", self._start),
            ("GET", "/instances", self._list),
            ("GET", "/instances/", self._list),
            ("DELETE", "/instances", self._purge_where),
            ("DELETE", "/instances/", self._purge_where),
            ("GET", "/instances/{id}", self._status),
            ("DELETE", "/instances/{id}", self._purge),
            ("POST", "/instances/{id}/raiseEvent/{event}", self._raise_event),
            ("POST", "/instances/{id}/{verb:terminate|suspend|resume}", self._change),
            ("POST", "/instances/{id}/restart", self._restart),
            ("POST", "/instances/{id}/rewind", self._rewind),
            ("GET", "/entities", self._list_entities),
            ("GET", "/entities/", self._list_entities),
            ("GET", "/entities/{name}", self._list_entities),
            ("GET", "/entities/{name}/{key}", self._entity_state),
            ("POST", "/entities/{name}/{key}", self._signal_entity),
        ]
        for method, path, handler in routes:
            app.router.add_route(method, WEBHOOK_PATH + path, _guarded(handler))
        app.router.add_route("*", WEBHOOK_PATH + "/{rest:.*}", _unknown)

    async def _start(self, request: web.Request) -> web.StreamResponse:
        instance_id = self._management.start(
            request.match_info["name"],
            request.match_info.get("id"),
            input_text(await request.read()),
            request.query.get("version"),
        )
        if "timeout" in request.query:
            timeout_s = _number(request, "timeout", WAIT_S_DEFAULT)
            await self._engine.wait_finished(instance_id, min(timeout_s, WAIT_S_MAX))
            finished = self._finished_answer(instance_id)
            if finished is not None:
                return finished
        return self._accepted(request, instance_id)

    def _finished_answer(self, instance_id: str) -> web.Response | None:
        row = self._engine.instance(instance_id)
        if row is None or not row.status.is_finished:
            return None
        if row.status is Status.COMPLETED:
            return _json(json.loads(row.output or "null"))
        status = 500 if row.status is Status.FAILED else 200
        return _json(status_json(row, show_input=True), status)

    def _accepted(self, request: web.Request, instance_id: str) -> web.Response:
        urls = management_urls(_origin(request), self._hub_name, instance_id)
        headers = {"Location": urls["statusQueryGetUri"], "Retry-After": "10"}
        return _json(urls, 202, headers)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        instance_id = request.match_info["id"]
        row = self._engine.instance(instance_id)
        if row is None:
            return web.Response(status=404)
        answer = status_json(row, show_input=_flag(request, "showInput", True))
        if _flag(request, "showHistory", False):
            texts = self._engine.store.episodes(instance_id)
            events = [item for text in texts for item in parse_events(text)]
            show_output = _flag(request, "showHistoryOutput", False)
            answer["historyEvents"] = history_json(events, show_output)
        if not row.status.is_finished:
            location = management_urls(_origin(request), self._hub_name, instance_id)
            headers = {
                "Location": location["statusQueryGetUri"],
                "Retry-After": str(POLL_S),
            }
            return _json(answer, 202, headers)
        fails = _flag(request, "returnInternalServerErrorOnFailure", False)
        return _json(answer, 500 if fails and row.status is Status.FAILED else 200)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        top = min(max(int(_number(request, "top", PAGE_DEFAULT)), 1), PAGE_MAX)
        rows = self._engine.store.instances(_query(request), top)
        show_input = _flag(request, "showInput", True)
        headers = {}
        if len(rows) == top:
            mark = json.dumps([rows[-1].created_at, rows[-1].instance_id])
            headers[CONTINUATION_HEADER] = base64.b64encode(mark.encode()).decode()
        return _json([status_json(row, show_input) for row in rows], headers=headers)

    async def _purge(self, request: web.Request) -> web.StreamResponse:
        return _json({"instancesDeleted": self._management.purge(request.match_info["id"])})

    async def _purge_where(self, request: web.Request) -> web.StreamResponse:
        query = _query(request)
        if query.created_from is None:
            raise BadRequestError("Please provide value for 'createdTimeFrom' parameter.")
        deleted = self._management.purge_where(query)
        return _json({"instancesDeleted": deleted}) if deleted else web.Response(status=404)

    async def _raise_event(self, request: web.Request) -> web.StreamResponse:
        self._management.raise_event(
            request.match_info["id"],
            request.match_info["event"],
            input_text(await request.read()),
        )
        return web.Response(status=202)

    async def _change(self, request: web.Request) -> web.StreamResponse:
        change = {
            "terminate": self._management.terminate,
            "suspend": self._management.suspend,
            "resume": self._management.resume,
        }[request.match_info["verb"]]
        change(request.match_info["id"], request.query.get("reason", ""))
        return web.Response(status=202)

    async def _restart(self, request: web.Request) -> web.StreamResponse:
        instance_id = self._management.restart(
            request.match_info["id"], _flag(request, "restartWithNewInstanceId", True)
        )
        return self._accepted(request, instance_id)

    async def _rewind(self, _: web.Request) -> web.StreamResponse:
        return _error(501, "Rewind is not emulated by the local host; restart the instance.")

    async def _list_entities(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info.get("name", "").lower()
        entries = []
        for entity_id, updated_at in self._entities.entities(PAGE_MAX):
            _, name, key = entity_id.split("@", 2)
            if wanted in ("", name):
                last = timestamp_text(updated_at)
                entries.append({"entityId": {"name": name, "key": key}, "lastOperationTime": last})
        return _json(entries)

    async def _entity_state(self, request: web.Request) -> web.StreamResponse:
        state = self._entities.state(_entity_id(request))
        if state is None:
            return web.Response(status=404)
        return web.Response(text=state, content_type="application/json")

    async def _signal_entity(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        text = input_text(body) if body else None
        self._entities.signal(_entity_id(request), request.query.get("op", ""), text)
        return web.Response(status=202)


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFoundError:
            return web.Response(status=404)
        except GoneError:
            return web.Response(status=410)
        except BadRequestError as error:
            return _error(400, str(error), type(error).__name__)
        except AlreadyRunningError as error:
            return _error(500, str(error), "InvalidOperationException")

    return guarded


async def _unknown(request: web.Request) -> web.Response:
    return _error(501, f"{request.method} {request.path} is not emulated by the local host.")


def _error(status: int, message: str, kind: str = "NotImplementedException") -> web.Response:
    body = {
        "Message": "Something went wrong while processing your request",
        "ExceptionMessage": message,
        "ExceptionType": kind,
        "StackTrace": "",
    }
    return _json(body, status)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _flag(request: web.Request, name: str, default: bool) -> bool:
    text = request.query.get(name)
    return default if text is None else text.lower() == "true"


def _number(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name)
    try:
        return default if not text else float(text)
    except ValueError as error:
        raise BadRequestError(f"'{name}' must be a number, not '{text}'.") from error


def _query(request: web.Request) -> InstanceQuery:
    statuses = [text for text in request.query.get("runtimeStatus", "").split(",") if text]
    known = {status.value.lower(): status.value for status in Status}
    known |= {"continuedasnew": "ContinuedAsNew", "canceled": "Canceled"}
    unknown = [text for text in statuses if text.strip().lower() not in known]
    if unknown:
        raise BadRequestError(f"'{unknown[0]}' is not a runtime status.")
    try:
        token = request.headers.get(CONTINUATION_HEADER)
        after = json.loads(base64.b64decode(token, validate=True)) if token else None
        times = {
            name: parse_timestamp(request.query[name]) if request.query.get(name) else None
            for name in ("createdTimeFrom", "createdTimeTo")
        }
    except ValueError as error:
        raise BadRequestError(f"A time or continuation token is not valid: {error}") from error
    return InstanceQuery(
        created_from=times["createdTimeFrom"],
        created_to=times["createdTimeTo"],
        statuses=tuple(known[text.strip().lower()] for text in statuses),
        id_prefix=request.query.get("instanceIdPrefix"),
        after=(float(after[0]), str(after[1])) if after else None,
    )


def _entity_id(request: web.Request) -> str:
    return f"@{request.match_info['name'].lower()}@{request.match_info['key']}"
