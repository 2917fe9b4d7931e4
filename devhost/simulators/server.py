"""Identity, Azure OpenAI and Replicate on one port of the loopback interface."""

from __future__ import annotations

import json
import socket
import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from devhost.faults import install_faults
from devhost.simulators.adobe_firefly import add_adobe_firefly
from devhost.simulators.azure_content_safety import add_azure_content_safety
from devhost.simulators.azure_foundry import add_azure_foundry
from devhost.simulators.azure_language import add_azure_language
from devhost.simulators.azure_mail import add_azure_mail
from devhost.simulators.azure_ml import add_azure_ml
from devhost.simulators.azure_openai import add_azure_openai
from devhost.simulators.azure_openai_batches import add_azure_openai_batches
from devhost.simulators.clock import SimulatorClock
from devhost.simulators.database import open_database
from devhost.simulators.exports import add_exports
from devhost.simulators.identity import add_identity
from devhost.simulators.invoice import Invoice
from devhost.simulators.replicate import add_replicate
from devhost.simulators.scenarios import ScenarioError, ScenarioRule, Scenarios
from devhost.simulators.state import SimulatorOptions, SimulatorState
from devhost.simulators.webhook_inboxes import add_webhook_inboxes

HOST = "127.0.0.1"
BODY_BYTES_MAX = 64 * 1024 * 1024  # reference pictures are sent inline


@dataclass
class RunningSimulators:
    """A started server."""

    state: SimulatorState
    _runner: web.AppRunner

    @property
    def origin(self) -> str:
        return self.state.options.origin

    async def stop(self) -> None:
        await self._runner.cleanup()
        self.state.database.close()


async def start_simulators(options: SimulatorOptions) -> RunningSimulators:
    """Serve until `stop`; port 0 takes a free one; raises OSError if the port is in use."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, options.port))
        options.data_dir.mkdir(parents=True, exist_ok=True)
        state = _state(replace(options, port=listener.getsockname()[1]))
    except (OSError, sqlite3.Error):
        listener.close()
        raise
    runner = web.AppRunner(_app(state), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return RunningSimulators(state, runner)


def _state(options: SimulatorOptions) -> SimulatorState:
    clock = SimulatorClock()
    database = open_database(options.data_dir / "simulators.sqlite")
    return SimulatorState(options, database, clock, Invoice(database, clock), Scenarios())


def _app(state: SimulatorState) -> web.Application:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    install_faults(app)
    add_adobe_firefly(app, state)
    add_azure_openai(app, state)
    add_azure_openai_batches(app, state)
    add_exports(app, state)  # before Replicate, whose last route takes every path
    add_replicate(app, state)
    add_webhook_inboxes(app)
    add_azure_mail(app)
    add_azure_language(app)
    add_azure_foundry(app, state)
    add_azure_ml(app, state)
    add_azure_content_safety(app, state)
    _add_control(app, state)
    _add_revocations(app, state)
    add_identity(app, state)  # last: its paths begin with a placeholder
    return app


def _add_revocations(app: web.Application, state: SimulatorState) -> None:
    async def revoke(request: web.Request) -> web.Response:
        """From now on a credential is refused, as after its rotation."""
        try:
            state.revoked.add(str(json.loads(await request.read())["credential"]))
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"revoked": len(state.revoked)})

    app.router.add_post("/_control/credentials/revoke", revoke)


def _add_control(app: web.Application, state: SimulatorState) -> None:
    async def invoice(request: web.Request) -> web.Response:
        state.settle()
        return web.json_response(state.invoice.as_json(request.query.get("provider")))

    async def reset(_: web.Request) -> web.Response:
        state.settle()
        state.invoice.reset()
        return web.json_response({"reset": True})

    async def stats(_: web.Request) -> web.Response:
        state.settle()
        return web.json_response(
            {"outcomes": dict(state.outcomes), "submissions": state.invoice.submissions()}
        )

    async def add_scenario(request: web.Request) -> web.Response:
        try:
            state.scenarios.add(ScenarioRule.model_validate_json(await request.read()))
        except (ScenarioError, ValidationError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"scenarios": state.scenarios.as_json()}, status=201)

    async def show_scenarios(_: web.Request) -> web.Response:
        return web.json_response({"scenarios": state.scenarios.as_json()})

    async def clear_scenarios(_: web.Request) -> web.Response:
        return web.json_response({"removed": state.scenarios.clear()})

    async def advance(request: web.Request) -> web.Response:
        try:
            body: dict[str, Any] = json.loads(await request.read())
            state.clock.advance(float(body["seconds"]))
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"now_s": state.clock.now_s()})

    app.router.add_get("/_control/invoice", invoice)
    app.router.add_post("/_control/invoice/reset", reset)
    app.router.add_get("/_control/stats", stats)
    app.router.add_post("/_control/scenarios", add_scenario)
    app.router.add_get("/_control/scenarios", show_scenarios)
    app.router.add_delete("/_control/scenarios", clear_scenarios)
    app.router.add_post("/_control/clock/advance", advance)
