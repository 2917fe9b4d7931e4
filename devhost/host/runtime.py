"""Puts one host together: state, app, triggers, HTTP server; starts and stops it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.durable_functions.models.utils import http_utils

from devhost.faults import install_faults
from devhost.host.activity_faults import ActivityFaults
from devhost.host.admin import Admin
from devhost.host.blobs import BlobTriggers
from devhost.host.control import Control
from devhost.host.durable_activities import ActivityWorker
from devhost.host.durable_api import DurableApi
from devhost.host.durable_client_payload import client_binding_text
from devhost.host.durable_engine import DurableEngine
from devhost.host.durable_entities import EntityWorker
from devhost.host.durable_management import InstanceManagement
from devhost.host.durable_store import DurableStore
from devhost.host.durable_turn import TurnRunner
from devhost.host.errors import HostStartError
from devhost.host.http_server import HttpTriggers
from devhost.host.invocation import DurableClientText, FunctionRunner
from devhost.host.loading import AppFunctions, load_app
from devhost.host.logs import configure_logging
from devhost.host.options import (
    HTTP_BODY_BYTES_MAX,
    HTTP_LINE_BYTES_MAX,
    HostJson,
    HostOptions,
    read_host_json,
)
from devhost.host.routing import RouteTable
from devhost.host.state_file import StateFile
from devhost.host.timers import Timers

LOOPBACK = "127.0.0.1"
SHUTDOWN_S = 2.0  # how long open HTTP requests may take to end when the host stops


class PortInUseError(HostStartError):
    """Another process listens on the port."""


@dataclass
class HostHandle:
    """A running host."""

    port: int
    functions: AppFunctions
    _host: _Host

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def stats(self) -> dict[str, Any]:
        return self._host.stats()

    async def stop(self) -> None:
        """Stops; unfinished durable work stays in the state file for the next start."""
        await self._host.stop()


async def start_host(
    app_root: Path | str,
    port: int,
    state_dir: Path | str,
    *,
    verify_replay: bool = False,
    blobs: bool = True,
    timers: bool = True,
) -> HostHandle:
    """Starts a host in this event loop; port 0 takes a free one. Raises HostStartError."""
    options = HostOptions(
        Path(app_root),
        port,
        Path(state_dir),
        verify_replay=verify_replay,
        blobs=blobs,
        timers=timers,
    )
    configure_logging()
    functions = load_app(options.app_root)
    state = StateFile(options.state_dir)
    try:
        host = _Host(options, read_host_json(options.app_root), functions, state)
    except BaseException:
        state.close()
        raise
    try:
        bound_port = await host.start()
    except BaseException:
        await host.stop()
        raise
    return HostHandle(bound_port, functions, host)


class _Host:
    """The parts of a running host, wired by hand."""

    def __init__(
        self,
        options: HostOptions,
        settings: HostJson,
        functions: AppFunctions,
        state: StateFile,
    ) -> None:
        self._options = options
        self._settings = settings
        self._client_text = DurableClientText()
        routes = RouteTable(functions.with_trigger("httpTrigger"), settings.route_prefix)
        self._runner = FunctionRunner(settings.function_timeout_s, self._client_text)
        self._faults = ActivityFaults()
        self._state = state
        store = DurableStore(self._state)
        self._activities = ActivityWorker(
            store, functions, self._runner, settings.activities_max, self._faults
        )
        self._entities = EntityWorker(self._state, functions, self._runner)
        self._engine = DurableEngine(
            store,
            TurnRunner(functions, options.verify_replay),
            self._activities,
            self._entities,
            settings.orchestrators_max,
        )
        self._timers = Timers(functions.with_trigger("timerTrigger"), self._state, self._runner)
        self._blobs = BlobTriggers(functions.with_trigger("blobTrigger"), self._state, self._runner)
        management = InstanceManagement(self._engine, functions, settings.default_version)
        self._app = web.Application(client_max_size=HTTP_BODY_BYTES_MAX)
        install_faults(self._app)
        Admin(functions, self._timers).add_routes(self._app)
        Control(self._faults, self.stats).add_routes(self._app)
        DurableApi(self._engine, management, self._entities, settings.hub_name).add_routes(
            self._app
        )
        self._blobs.add_routes(self._app)
        # Any character: a path may carry an encoded line break.
        self._app.router.add_route(
            "*", r"/{path:[\s\S]*}", HttpTriggers(routes, self._runner).handle
        )
        self._server = web.AppRunner(
            self._app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_S,
            handle_signals=False,
            max_line_size=HTTP_LINE_BYTES_MAX,
            max_field_size=HTTP_LINE_BYTES_MAX,
            auto_decompress=False,  # as in Azure, bodies reach the app as they were sent
        )
        self._engine_started = False

    async def start(self) -> int:
        await self._server.setup()
        site = web.TCPSite(self._server, LOOPBACK, self._options.port)
        try:
            await site.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUseError(
                f"Port {self._options.port} is in use; stop the other process or pass --port."
            ) from error
        port = int(self._server.addresses[0][1])
        origin = f"http://{LOOPBACK}:{port}"
        self._client_text.text = client_binding_text(origin, self._settings.hub_name)
        self._engine_started = True
        self._engine.start()
        if self._options.timers:
            self._timers.start()
        self._blobs.start(polls=self._options.blobs)
        return port

    async def stop(self) -> None:
        """Stops taking work, abandons what runs, closes the state file last."""
        await self._timers.stop()
        await self._blobs.stop()
        # The SDK's client session has no shutdown hook in the worker. Here it would leak, and its
        # idle connections lead to this very server, which would wait for them.
        await http_utils._close_session()
        await self._server.cleanup()
        if self._engine_started:
            await self._engine.stop()
        self._runner.close()
        self._state.close()

    def stats(self) -> dict[str, Any]:
        """Counters of this run, and how much work waits."""
        return {
            "invocations": dict(self._runner.invocations),
            "failures": dict(self._runner.failures),
            "instances": self._engine.store.count_by_status(),
            "queues": self._engine.store.depths(),
            "activities_running": self._activities.running_count,
            "activities_queued": self._activities.queued_count,
            "activities_redelivered": self._activities.redelivered,
            "activity_results_ignored": self._activities.ignored_results,
            "engine": self._engine.stats(),
            "blobs": self._blobs.stats(),
        }
