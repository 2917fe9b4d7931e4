"""The REST API of Azure Key Vault (version 7.6) as far as the app uses it, over TLS on loopback.

Secrets are read, set and deleted; keys are read, wrap, unwrap and sign. Every first call is
challenged, and errors have the service's shape. `throttle` and `fail` script the next answers;
while `answering` is not set, nobody gets one.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from devhost.key_vault.certificates import write_certificate
from devhost.key_vault.objects import Key, Secret, operate, public_part
from devhost.ports import LOOPBACK

SECRET_CHARS_MAX = 25_000  # of the service
TENANT = "11111111-aaaa-4bbb-8ccc-000000000001"


class KeyVault:
    """One vault; tests change what it holds directly, as its administrator would."""

    def __init__(self) -> None:
        self.secrets: dict[str, Secret] = {}
        self.keys: dict[str, Key] = {}
        self.calls: Counter[str] = Counter()
        self.fail: list[int] = []  # statuses of the next answers
        self.throttle: list[int] = []  # Retry-After of the next answers, in seconds, with 429
        self.answering = asyncio.Event()
        self.answering.set()
        self.origin = ""

    def secret_url(self, name: str) -> str:
        """The address of a secret's newest version."""
        return f"{self.origin}/secrets/{name}"

    def key_url(self, name: str) -> str:
        return f"{self.origin}/keys/{name}"

    def set_secret(self, name: str, value: str) -> str:
        """A newer version of a secret; returns its id."""
        return self.secrets.setdefault(name, Secret()).add(value)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guarded])
        app.router.add_put("/secrets/{name}", self._set_secret)
        app.router.add_delete("/secrets/{name}", self._delete_secret)
        for route in ("/secrets/{name}", "/secrets/{name}/", "/secrets/{name}/{version}"):
            app.router.add_get(route, self._get_secret)
        for route in ("/keys/{name}", "/keys/{name}/", "/keys/{name}/{version}"):
            app.router.add_get(route, self._get_key)
        app.router.add_post("/keys/{name}/{version}/{operation}", self._operate)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls["request"] += 1
        await self.answering.wait()
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            challenge = (
                f'Bearer authorization="{self.origin}/{TENANT}", resource="https://vault.azure.net"'
            )
            refusal = problem(401, "Unauthorized", "AKV10000: Request is missing a Bearer token.")
            refusal.headers["WWW-Authenticate"] = challenge
            return refusal
        if "api-version" not in request.query:
            return problem(400, "BadParameter", "The api-version must be given.")
        if self.throttle:
            refusal = problem(429, "Throttled", "Request was not processed: too many requests.")
            refusal.headers["Retry-After"] = str(self.throttle.pop(0))
            return refusal
        if self.fail:
            return problem(self.fail.pop(0), "InternalServerError", "Scripted failure.")
        response: web.StreamResponse = await handler(request)
        return response

    async def _get_secret(self, request: web.Request) -> web.Response:
        self.calls["get_secret"] += 1
        name = request.match_info["name"]
        secret = self.secrets.get(name)
        if secret is None or secret.deleted:
            return problem(404, "SecretNotFound", "A secret with this name was not found.")
        version = request.match_info.get("version") or list(secret.versions)[-1]
        if version not in secret.versions:
            return problem(404, "SecretNotFound", "This version of the secret was not found.")
        if version in secret.disabled:
            return problem(403, "Forbidden", "Operation get is not allowed on a disabled secret.")
        return web.json_response(self._shown(name, version, secret.versions[version]))

    async def _set_secret(self, request: web.Request) -> web.Response:
        self.calls["set_secret"] += 1
        name, body = request.match_info["name"], await request.json()
        value = body.get("value") if isinstance(body, dict) else None
        if not isinstance(value, str) or len(value) > SECRET_CHARS_MAX:
            return problem(400, "BadParameter", "The value is missing or too long.")
        if name in self.secrets and self.secrets[name].deleted:
            return problem(409, "Conflict", "The secret is deleted but recoverable.")
        return web.json_response(self._shown(name, self.set_secret(name, value), value))

    async def _delete_secret(self, request: web.Request) -> web.Response:
        self.calls["delete_secret"] += 1
        name = request.match_info["name"]
        secret = self.secrets.get(name)
        if secret is None or secret.deleted:
            return problem(404, "SecretNotFound", "A secret with this name was not found.")
        secret.deleted = True  # purge protection: it can be recovered, its name stays taken
        now_s = int(time.time())
        deletion = {
            "recoveryId": f"{self.origin}/deletedsecrets/{name}",
            "deletedDate": now_s,
            "scheduledPurgeDate": now_s + 90 * 86_400,
        }
        return web.json_response({"id": self.secret_url(name), "attributes": {}, **deletion})

    async def _get_key(self, request: web.Request) -> web.Response:
        self.calls["get_key"] += 1
        name = request.match_info["name"]
        key = self.keys.get(name)
        version = request.match_info.get("version") or (list(key.versions)[-1] if key else "")
        if key is None or version not in key.versions:
            return problem(404, "KeyNotFound", "A key with this name and version was not found.")
        if version in key.disabled:
            return problem(403, "Forbidden", "Operation get is not allowed on a disabled key.")
        shown = {"kid": f"{self.key_url(name)}/{version}", **public_part(key.versions[version])}
        return web.json_response({"key": shown, "attributes": {"enabled": True}})

    async def _operate(self, request: web.Request) -> web.Response:
        name, version, operation = (
            request.match_info[part] for part in ("name", "version", "operation")
        )
        self.calls[operation] += 1
        key = self.keys.get(name)
        if key is None or version not in key.versions:
            return problem(404, "KeyNotFound", "A key with this name and version was not found.")
        if version in key.disabled:
            return problem(403, "Forbidden", "Operation is not allowed on a disabled key.")
        body = await request.json()
        value = operate(key.versions[version], operation, body["alg"], body["value"])
        if value is None:
            return problem(400, "BadParameter", "The key does not support this operation.")
        return web.json_response({"kid": f"{self.key_url(name)}/{version}", "value": value})

    def _shown(self, name: str, version: str, value: str) -> dict[str, Any]:
        return {
            "value": value,
            "id": f"{self.secret_url(name)}/{version}",
            "attributes": {"enabled": True, "recoveryLevel": "Recoverable", "recoverableDays": 90},
        }


def problem(status: int, code: str, message: str) -> web.Response:
    """An error in the service's shape."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


@asynccontextmanager
async def running_vault(folder: Path, port: int = 0) -> AsyncIterator[tuple[KeyVault, Path]]:
    """A vault that answers, and the certificate its clients have to trust."""
    vault, certificate = KeyVault(), write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    runner = web.AppRunner(vault.app())
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port, ssl_context=context).start()
    vault.origin = f"https://{LOOPBACK}:{runner.addresses[0][1]}"
    try:
        yield vault, certificate
    finally:
        vault.answering.set()
        await runner.cleanup()
