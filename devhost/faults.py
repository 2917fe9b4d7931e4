"""Fault injector for aiohttp servers: a middleware, and `/_control/faults` to steer it.

A rule names the requests it applies to by a regular expression, searched in `"METHOD /path"`, and
one kind of fault. Rules are tried in the order in which they were added: each `delay` that fires
sleeps and the search goes on; the first other rule that fires decides. `/_control/*` is never
faulted, so that a broken server can still be steered.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

CONTROL_PREFIX = "/_control/"
FAULTS_PATH = "/_control/faults"
CRASH_EXIT_CODE = 137  # what a shell reports for a process that was killed by SIGKILL
RULES_MAX = 200  # far above any test; stops a loop that forgets to clear
DELAY_S_MAX = 600.0  # longer than any client timeout in use


class FaultSpec(BaseModel):
    """One fault as it is posted to `/_control/faults`; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: str
    kind: Literal["error", "answer_lost", "delay", "throttle", "crash"]
    status: int = Field(default=503, ge=400, le=599)
    seconds: float = Field(default=0.5, ge=0, le=DELAY_S_MAX)
    retry_after_s: float = Field(default=1.0, ge=0, le=DELAY_S_MAX)
    when: Literal["before", "after"] = "before"
    probability: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0
    times: int | None = Field(default=None, ge=1)
    after: int = Field(default=0, ge=0)

    @field_validator("match")
    @classmethod
    def _is_regular_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return value


@dataclass
class FaultRule:
    """An active fault: `matched` counts requests it looked at, `fired` those it hit."""

    id: int
    spec: FaultSpec
    matched: int = 0
    fired: int = 0
    _pattern: re.Pattern[str] = field(init=False, repr=False)
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pattern = re.compile(self.spec.match)
        self._random = random.Random(self.spec.seed)

    def fires(self, request_line: str) -> bool:
        """Counts the request and says whether this rule hits it."""
        if self._pattern.search(request_line) is None:
            return False
        self.matched += 1
        if self.matched <= self.spec.after:
            return False
        if self.spec.times is not None and self.fired >= self.spec.times:
            return False
        if self._random.random() >= self.spec.probability:
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            **self.spec.model_dump(),
            "matched": self.matched,
            "fired": self.fired,
        }


@dataclass
class FaultRegistry:
    """The active faults of one application, oldest first."""

    rules: list[FaultRule] = field(default_factory=list)
    _last_id: int = 0

    def add(self, spec: FaultSpec) -> FaultRule:
        """Activates a fault; raises ValueError when there are RULES_MAX already."""
        if len(self.rules) >= RULES_MAX:
            raise ValueError(f"There are {RULES_MAX} faults already; DELETE {FAULTS_PATH} first.")
        self._last_id += 1
        rule = FaultRule(self._last_id, spec)
        self.rules.append(rule)
        return rule

    def clear(self) -> int:
        """Removes every fault and returns how many there were."""
        removed = len(self.rules)
        self.rules.clear()
        return removed

    async def decide(self, request_line: str) -> FaultSpec | None:
        """Sleeps for each delay that fires, then returns the first other fault that fires."""
        for rule in list(self.rules):
            if not rule.fires(request_line):
                continue
            if rule.spec.kind != "delay":
                return rule.spec
            await asyncio.sleep(rule.spec.seconds)
        return None


def install_faults(app: web.Application) -> FaultRegistry:
    """Adds the middleware (outermost) and the control routes to `app`, before it starts."""
    registry = FaultRegistry()

    @web.middleware
    async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PREFIX):
            return await handler(request)
        fault = await registry.decide(f"{request.method} {request.path}")
        return await handler(request) if fault is None else await _apply(fault, request, handler)

    async def add(request: web.Request) -> web.Response:
        try:
            rule = registry.add(_parse_spec(await request.read()))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(rule.as_json(), status=201)

    async def show(_: web.Request) -> web.Response:
        return web.json_response({"faults": [rule.as_json() for rule in registry.rules]})

    async def clear(_: web.Request) -> web.Response:
        return web.json_response({"removed": registry.clear()})

    app.middlewares.insert(0, inject)
    app.router.add_post(FAULTS_PATH, add)
    app.router.add_get(FAULTS_PATH, show)
    app.router.add_delete(FAULTS_PATH, clear)
    return registry


async def _apply(fault: FaultSpec, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault.kind == "error":
        return _fault_response(fault.status, "InjectedFault", "Injected before the handler ran.")
    if fault.kind == "throttle":
        return _throttled(fault.retry_after_s)
    if fault.kind == "crash" and fault.when == "before":
        os._exit(CRASH_EXIT_CODE)
    response = await _answer_of(request, handler)
    if fault.kind == "crash":
        os._exit(CRASH_EXIT_CODE)
    abort_connection(request)
    return response


async def _answer_of(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, where an HTTP error that it raises is an answer too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.Response(status=error.status)


def abort_connection(request: web.Request) -> None:
    """Resets the client's connection; aiohttp then drops whatever is answered."""
    if request.transport is not None:
        request.transport.abort()


def _throttled(retry_after_s: float) -> web.Response:
    response = _fault_response(429, "TooManyRequests", "Injected throttle.")
    # Retry-After carries whole seconds (RFC 9110): round up, the -ms header is exact.
    response.headers["retry-after"] = str(math.ceil(retry_after_s))
    response.headers["retry-after-ms"] = str(round(retry_after_s * 1000))
    return response


def _fault_response(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


def _parse_spec(body: bytes) -> FaultSpec:
    """Reads a posted fault; raises ValueError with a sentence for a person."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ValueError(f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ValueError("The body must be a JSON object that describes one fault.")
    try:
        return FaultSpec.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
        raise ValueError(f"The fault is not valid: {problems}.") from error
