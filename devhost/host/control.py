"""`/_control`: faults of activities, the death of the process, and counters; loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import psutil
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from devhost.host.activity_faults import ActivityFaults, CrashPlan, crash

CRASH_DELAY_S = 0.05  # lets the 202 leave before the process dies

Stats = Callable[[], dict[str, Any]]


class RedeliverSpec(BaseModel):
    """Body of POST /_control/redeliver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    activity: str
    probability: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0


class CrashSpec(BaseModel):
    """Body of POST /_control/crash; empty means at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after_activities: int | None = Field(default=None, ge=1)
    on: Literal["before_activity", "after_activity"] | None = None
    name: str | None = None
    nth: int = Field(default=1, ge=1)


class Control:
    """The control routes of one host."""

    def __init__(self, faults: ActivityFaults, stats: Stats) -> None:
        self._faults = faults
        self._stats = stats

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/_control/redeliver", self._redeliver)
        app.router.add_post("/_control/crash", self._crash)
        app.router.add_get("/_control/stats", self._show_stats)

    async def _redeliver(self, request: web.Request) -> web.Response:
        try:
            spec = RedeliverSpec.model_validate_json(await request.read())
        except ValidationError as error:
            return _refused(error)
        self._faults.redeliver(spec.activity, spec.probability, spec.seed)
        return web.json_response(spec.model_dump())

    async def _crash(self, request: web.Request) -> web.Response:
        try:
            spec = CrashSpec.model_validate_json(await request.read() or b"{}")
        except ValidationError as error:
            return _refused(error)
        if spec.on is not None:
            self._faults.crash_at(CrashPlan(spec.on, spec.name, spec.nth))
        elif spec.after_activities is not None:
            self._faults.crash_after_commits(spec.after_activities)
        else:
            asyncio.get_running_loop().call_later(CRASH_DELAY_S, crash)
        return web.json_response(spec.model_dump(), status=202)

    async def _show_stats(self, _: web.Request) -> web.Response:
        rss_bytes = psutil.Process().memory_info().rss
        return web.json_response({**self._stats(), "rss_bytes": rss_bytes})


def _refused(error: ValidationError) -> web.Response:
    return web.json_response({"error": str(error)}, status=400)
