"""A token issuer on loopback whose documents and keys a test can change at will."""

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TENANT_ID = "11111111-aaaa-4bbb-8ccc-000000000001"
AUDIENCE = "7d0a2f4e-5b1c-4c39-9e57-0c6f1a2b3d40"
CLIENT_ID = "3c9e1b7a-8f42-4d05-a6c1-52e0d7b9f811"
OBJECT_ID = "a0000000-0000-4000-8000-000000000001"
SCOPE = "Images.Generate"


@dataclass
class SetClock:
    """A clock that stands still until a test moves it."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def new_id(self) -> str:
        return "0" * 32

    def advance(self, span: timedelta) -> None:
        self.moment += span


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_jwk(key: rsa.RSAPrivateKey, kid: str, **extra: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    e = numbers.e.to_bytes(3, "big")
    return {"kty": "RSA", "use": "sig", "kid": kid, "n": b64url(n), "e": b64url(e), **extra}


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def rs256(key: rsa.RSAPrivateKey, signed: bytes) -> bytes:
    return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def signed_token(key: rsa.RSAPrivateKey, header: str | dict[str, Any], payload: object) -> str:
    """An RS256 token over any header and payload; strings are used as they are."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, payload)]
    signed = ".".join(b64url(part.encode()) for part in parts)
    return f"{signed}.{b64url(rs256(key, signed.encode()))}"


@dataclass
class LocalIssuer:
    """Serves discovery and keys; counts what was asked."""

    clock: SetClock
    key: rsa.RSAPrivateKey
    kid: str = "key-1"
    tenant_id: str = TENANT_ID
    url: str = ""
    jwks: Any = None
    discovery: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    redirect_to: str | None = None
    discovery_hits: int = 0
    jwks_hits: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(
            f"/{self.tenant_id}/v2.0/.well-known/openid-configuration", self._discovery
        )
        app.router.add_get("/keys", self._keys)
        return app

    def started_at(self, port: int) -> None:
        origin = f"http://127.0.0.1:{port}"
        self.url = f"{origin}/{self.tenant_id}/v2.0"
        self.discovery = {"issuer": self.url, "jwks_uri": f"{origin}/keys"}
        self.jwks = {"keys": [public_jwk(self.key, self.kid)]}

    async def _discovery(self, _: web.Request) -> web.Response:
        self.discovery_hits += 1
        if self.redirect_to is not None:
            raise web.HTTPFound(self.redirect_to)
        return web.json_response(self.discovery, status=self.status)

    async def _keys(self, _: web.Request) -> web.Response:
        self.jwks_hits += 1
        return web.json_response(self.jwks, status=self.status)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a good token; a change to None removes the claim."""
        now_s = int(self.clock.now().timestamp())
        claims: dict[str, Any] = {
            "ver": "2.0",
            "iss": self.url,
            "tid": self.tenant_id,
            "aud": AUDIENCE,
            "oid": OBJECT_ID,
            "sub": "pairwise-subject",
            "azp": CLIENT_ID,
            "scp": f"openid {SCOPE}",
            "roles": ["StandardUser"],
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + 3600,
        }
        merged = {**claims, **changes}
        return {name: value for name, value in merged.items() if value is not None}

    def header(self, **changes: Any) -> dict[str, Any]:
        merged = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **changes}
        return {name: value for name, value in merged.items() if value is not None}

    def token(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        return signed_token(self.key, self.header(**(header or {})), self.claims(**changes))
