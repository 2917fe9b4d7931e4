"""The HTTP side: authentication, dispatch, throttling, headers and statistics."""

from __future__ import annotations

import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler

from devhost.cosmos import charges, document_routes, resource_routes
from devhost.cosmos.auth import EMULATOR_KEY, check_signature, decode_key
from devhost.cosmos.catalog import Container
from devhost.cosmos.errors import (
    COLLECTION_RID_MISMATCH,
    READ_SESSION_NOT_AVAILABLE,
    ServiceError,
    bad_request,
    not_emulated,
)
from devhost.cosmos.exchange import Call, Reply, check_headers
from devhost.cosmos.roles import Role, authorize, role_key
from devhost.cosmos.store import Store
from devhost.cosmos.throttle import Throttle
from devhost.faults import CONTROL_PREFIX, install_faults

HOST = "127.0.0.1"  # never reachable from outside this machine
REQUEST_BYTES_MAX = 16 * 1024 * 1024  # above every service limit, which are checked with 413
SHUTDOWN_S = 1.0  # how long a stop waits for requests that an injected fault delays
Route = Callable[[Call], Reply]

# (names of the path's resource kinds, method) -> route
_ROUTES: dict[tuple[str, str], Route] = {
    ("", "GET"): resource_routes.account,
    ("dbs", "GET"): resource_routes.databases,
    ("dbs", "POST"): resource_routes.databases,
    ("dbs/*", "GET"): resource_routes.database,
    ("dbs/*", "DELETE"): resource_routes.database,
    ("dbs/*/colls", "GET"): resource_routes.containers,
    ("dbs/*/colls", "POST"): resource_routes.containers,
    ("dbs/*/colls/*", "GET"): resource_routes.container,
    ("dbs/*/colls/*", "PUT"): resource_routes.container,
    ("dbs/*/colls/*", "DELETE"): resource_routes.container,
    ("dbs/*/colls/*/pkranges", "GET"): resource_routes.partition_key_ranges,
    ("dbs/*/colls/*/docs", "GET"): document_routes.documents,
    ("dbs/*/colls/*/docs", "POST"): document_routes.documents,
    ("dbs/*/colls/*/docs/*", "GET"): document_routes.document,
    ("dbs/*/colls/*/docs/*", "PUT"): document_routes.document,
    ("dbs/*/colls/*/docs/*", "PATCH"): document_routes.document,
    ("dbs/*/colls/*/docs/*", "DELETE"): document_routes.document,
}
_DOCUMENTS_OF = re.compile(r"/?dbs/[^/]+/colls/([^/]+)/docs\b")
_SESSION_LSN = re.compile(r"0:-1#(\d+)")
_UNTHROTTLED = ("read_account", "read_ranges", "query_plan")  # metadata has its own budget


class Emulator:
    """One emulated account: its data, its keys and its statistics."""

    def __init__(
        self,
        store: Store,
        key: bytes,
        provisioned_ru: float | None,
        clock: Callable[[], float],
        roles: Sequence[Role] = (),
    ) -> None:
        self.store = store
        self._keys: dict[bytes, Role | None] = {key: None}  # the master key has no role: all
        self._keys |= {decode_key(role_key(role.name)): role for role in roles}
        self._clock = clock
        self._throttle = Throttle(provisioned_ru, time.monotonic)
        self.reset()

    def reset(self) -> None:
        """Forgets the statistics, not the data."""
        self.requests: Counter[str] = Counter()
        self.containers: defaultdict[str, Counter[str]] = defaultdict(Counter)  # name -> requests
        self.statuses: Counter[str] = Counter()
        self.request_charge = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        # From here on nothing is awaited: each request sees and changes the data alone.
        try:
            reply = self._answer(request, body)
        except ServiceError as error:
            reply = _refusal(error)
        if reply.operation not in _UNTHROTTLED:
            self._throttle.charge(reply.charge)
        self.requests[reply.operation] += 1
        if (named := _DOCUMENTS_OF.match(request.path)) is not None:
            self.containers[named[1]][reply.operation] += 1
        self.statuses[str(reply.status)] += 1
        self.request_charge += reply.charge
        return _response(request, reply)

    def _answer(self, request: web.Request, body: bytes) -> Reply:
        segments = [unquote(part) for part in request.raw_path.partition("?")[0].split("/") if part]
        method = request.method
        route = _route(segments, method)  # first: what is signed depends on the kind of resource
        key = check_signature(self._keys, method, segments, request.headers, self._clock())
        role = self._keys[key]
        if role is not None:
            authorize(role, method, segments, request.headers, body)
        check_headers(request.headers)
        call = Call(method, segments, request.headers, body, self.store)
        if segments[4:5] == ["docs"]:
            self._throttle.admit()
            _check_container(call)
        return route(call)


def _route(segments: list[str], method: str) -> Route:
    shape = "/".join("*" if at % 2 else part for at, part in enumerate(segments))
    route = _ROUTES.get((shape, method))
    if route is None:
        raise not_emulated(f"{method} on the path shape /{shape}")
    return route


def _check_container(call: Call) -> None:
    """Refuses a client that remembers another container, or a later state of this one."""
    container = call.container()
    intended = call.headers.get("x-ms-cosmos-intended-collection-rid")
    if intended not in (None, container.rid):
        raise bad_request(
            "Collection RID does not match: the container was deleted and created again.",
            substatus=COLLECTION_RID_MISMATCH,
        )
    seen = _SESSION_LSN.search(call.headers.get("x-ms-session-token", ""))
    if seen is not None and int(seen.group(1)) > container.lsn:
        raise ServiceError(
            404,
            "The read session is not available for the input session token.",
            substatus=READ_SESSION_NOT_AVAILABLE,
        )


def _refusal(error: ServiceError) -> Reply:
    reply = Reply.json(
        f"refused_{error.status}", {"code": error.code, "message": error.message}, error.status
    )
    reply.charge = charges.refused(error.status) if error.status != 429 else 0.0
    reply.headers = {"x-ms-substatus": str(error.substatus), **error.headers}
    return reply


def _response(request: web.Request, reply: Reply) -> web.Response:
    headers = {
        "x-ms-activity-id": request.headers.get("x-ms-activity-id") or str(uuid.uuid4()),
        "x-ms-request-charge": str(reply.charge),
        "x-ms-gatewayversion": "version=2.0.0",
        "x-ms-serviceversion": "version=emulator",
        **reply.headers,
    }
    if reply.container is not None:
        headers |= _container_headers(reply.container)
    if not reply.body:
        return web.Response(status=reply.status, headers=headers)
    return web.Response(
        status=reply.status,
        headers=headers,
        body=reply.body.encode("ascii"),
        content_type="application/json",
    )


def _container_headers(container: Container) -> dict[str, str]:
    return {
        "x-ms-session-token": f"0:-1#{container.lsn}",
        "x-ms-alt-content-path": container.path,
        "x-ms-content-path": container.rid,
        "x-ms-documentdb-partitionkeyrangeid": "0",
        "lsn": str(container.lsn),
    }


@web.middleware
async def _explain_injected_throttle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives an injected 429 the headers by which the service says when to come back."""
    response = await handler(request)
    wait_ms = response.headers.get("retry-after-ms")
    if response.status == 429 and wait_ms is not None:
        response.headers["x-ms-retry-after-ms"] = wait_ms
        response.headers["x-ms-substatus"] = "3200"
    return response


def create_app(emulator: Emulator) -> web.Application:
    """The application: /_control/* needs no signature, everything else does."""
    app = web.Application(client_max_size=REQUEST_BYTES_MAX)
    install_faults(app)
    app.middlewares.insert(0, _explain_injected_throttle)

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "requests": dict(emulator.requests),
                "containers": emulator.containers,
                "statuses": dict(emulator.statuses),
                "request_charge": round(emulator.request_charge, 2),
            }
        )

    async def reset(_: web.Request) -> web.Response:
        emulator.reset()
        return web.Response(status=204)

    app.router.add_get(f"{CONTROL_PREFIX}stats", stats)
    app.router.add_post(f"{CONTROL_PREFIX}stats/reset", reset)
    app.router.add_route("*", "/{path:.*}", emulator.handle)
    return app


class RunningCosmos:
    """A started emulator; `endpoint` is what clients connect to."""

    def __init__(self, runner: web.AppRunner, emulator: Emulator, endpoint: str, key: str) -> None:
        self._runner = runner
        self.emulator = emulator
        self.endpoint = endpoint
        self.key = key

    async def stop(self) -> None:
        await self._runner.cleanup()
        self.emulator.store.close()


async def start_cosmos(
    data_dir: Path | None,
    port: int = 0,
    key: str = EMULATOR_KEY,
    *,
    provisioned_ru: float | None = None,
    clock: Callable[[], float] = time.time,
    roles: Sequence[Role] = (),
) -> RunningCosmos:
    """Starts an emulator on loopback; port 0 takes a free one, data_dir None keeps all in memory.

    Raises OSError when the port or the data directory is taken, ValueError for a malformed key.
    """
    key_bytes = decode_key(key)
    store = Store(data_dir, clock)
    emulator = Emulator(store, key_bytes, provisioned_ru, clock, roles)
    runner = web.AppRunner(create_app(emulator), access_log=None, shutdown_timeout=SHUTDOWN_S)
    try:
        await runner.setup()
        site = web.TCPSite(runner, HOST, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        store.close()
        raise
    bound: int = runner.addresses[0][1]
    return RunningCosmos(runner, emulator, f"http://{HOST}:{bound}", key)
