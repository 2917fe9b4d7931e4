"""The part of Azure Key Vault's REST API that wraps keys, over TLS on loopback."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
KEY_NAME = "prompts"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class AnyCredential:
    """Gives a token to whoever asks."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)

    async def close(self) -> None:
        """Nothing is open."""


class KeyVault:
    """One RSA key with versions; `fail` makes the next calls answer with a status."""

    def __init__(self) -> None:
        self.versions: dict[str, rsa.RSAPrivateKey] = {}
        self.disabled: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.fail: list[int] = []
        self.origin = ""
        self.add()

    @property
    def key_url(self) -> str:
        return f"{self.origin}/keys/{KEY_NAME}"

    def add(self) -> str:
        """A newer version of the key."""
        version = secrets.token_hex(16)
        self.versions[version] = rsa.generate_private_key(65_537, 2_048)
        return version

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._checked])
        app.router.add_get("/keys/{name}/", self._get)
        app.router.add_get("/keys/{name}/{version}", self._get)
        app.router.add_post("/keys/{name}/{version}/{operation}", self._operate)
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            challenge = f'Bearer authorization="{self.origin}/tenant", resource="{self.origin}"'
            return web.json_response({}, status=401, headers={"WWW-Authenticate": challenge})
        if self.fail:
            return web.json_response({"error": {"code": "x"}}, status=self.fail.pop(0))
        if request.match_info.get("version") in self.disabled:
            return web.json_response({"error": {"code": "Forbidden"}}, status=403)
        response: web.StreamResponse = await handler(request)
        return response

    async def _get(self, request: web.Request) -> web.Response:
        self.calls["get"] += 1
        version = request.match_info.get("version") or list(self.versions)[-1]
        numbers = self.versions[version].public_key().public_numbers()
        key = {
            "kid": f"{self.key_url}/{version}",
            "kty": "RSA",
            "key_ops": ["wrapKey", "unwrapKey"],
            "n": _encoded(numbers.n.to_bytes(256, "big")),
            "e": _encoded(numbers.e.to_bytes(3, "big")),
        }
        return web.json_response({"key": key, "attributes": {"enabled": True}})

    async def _operate(self, request: web.Request) -> web.Response:
        version, operation = request.match_info["version"], request.match_info["operation"]
        self.calls[operation] += 1
        body = await request.json()
        assert body["alg"] == "RSA-OAEP-256"
        value = base64.urlsafe_b64decode(body["value"] + "==")
        key = self.versions[version]
        if operation == "wrapkey":
            value = key.public_key().encrypt(value, OAEP)
        else:
            value = key.decrypt(value, OAEP)
        return web.json_response({"kid": f"{self.key_url}/{version}", "value": _encoded(value)})


@asynccontextmanager
async def running_vault(folder: Path) -> AsyncIterator[tuple[KeyVault, dict[str, Any]]]:
    """A vault, and the options by which the SDK's clients trust it."""
    vault = KeyVault()
    certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    runner = web.AppRunner(vault.app())
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=context)
    await site.start()
    vault.origin = f"https://{LOOPBACK}:{runner.addresses[0][1]}"
    options = {
        "credential": AnyCredential(),
        "connection_verify": str(certificate),
        "verify_challenge_resource": False,  # it would insist on *.vault.azure.net
        "retry_backoff_factor": 0,
    }
    try:
        yield vault, options
    finally:
        await runner.cleanup()


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _certificate(folder: Path) -> Path:
    """A certificate of its own with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "vault.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path
