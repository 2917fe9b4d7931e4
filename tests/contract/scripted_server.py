"""A server on loopback that answers from a script, for answers that the simulators never give."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web


@dataclass(frozen=True)
class Answer:
    """One scripted answer; `body` is sent as JSON unless it is bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    ending: Literal["complete", "no_length", "reset", "cut_off", "hang"] = "complete"

    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Seen:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedServer:
    """Plays `script[path]` in order and repeats its last answer; remembers every request."""

    origin: str
    script: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    on_request: Callable[[Seen], None] | None = None

    def answers(self, path: str, *answers: Answer) -> None:
        self.script[path] = list(answers)

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.seen)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            request.method,
            request.path,
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        self.seen.append(seen)
        if self.on_request is not None:
            self.on_request(seen)
        queue = self.script.get(request.path)
        if not queue:
            return web.json_response({"error": {"code": "NotScripted"}}, status=404)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        return await _play(answer, request)


async def _play(answer: Answer, request: web.Request) -> web.StreamResponse:
    transport = request.transport
    assert transport is not None
    if answer.ending == "hang":
        await asyncio.sleep(30)
    if answer.ending == "reset":
        transport.abort()
        return web.Response()
    payload = answer.payload()
    headers = {"content-type": "application/json", **answer.headers}
    if answer.ending == "complete":
        return web.Response(status=answer.status, body=payload, headers=headers)
    response = web.StreamResponse(status=answer.status, headers=headers)
    if answer.ending == "cut_off":
        response.content_length = len(payload) + 1_000
    await response.prepare(request)
    await response.write(payload)
    if answer.ending == "cut_off":
        transport.abort()
    return response


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer("")
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()
