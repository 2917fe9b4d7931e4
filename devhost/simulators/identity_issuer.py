"""The demo issuer itself: its people, its keys, and the claims and tokens it makes of them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from devhost.simulators.state import SimulatorState

USERS_PATH = Path(__file__).with_name("users.json")
KEY_FILE = "issuer-key.pem"
KEY_BITS = 2048
TOKEN_LIFETIME_S = 3_600
DEMO_CONTEXT = "c1"  # the command line has always shown enough proof for sensitive routes


def _json_segment(value: Any) -> bytes:
    return _segment(json.dumps(value, separators=(",", ":")).encode())


def _segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass
class SigningKey:
    """An RSA key and the id it is published under."""

    private: RSAPrivateKey

    @property
    def kid(self) -> str:
        return hashlib.sha256(self.public_pem()).hexdigest()[:32]

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def private_pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def _new_key() -> SigningKey:
    return SigningKey(generate_private_key(public_exponent=65_537, key_size=KEY_BITS))


@dataclass
class Issuer:
    """The issuer of all demo tenants; its current key is kept on disk."""

    state: SimulatorState
    people: dict[str, Any] = field(
        default_factory=lambda: json.loads(USERS_PATH.read_text(encoding="utf-8"))
    )
    published: list[SigningKey] = field(default_factory=list)
    foreign: SigningKey = field(default_factory=_new_key)

    def __post_init__(self) -> None:
        path = self.state.options.data_dir / KEY_FILE
        if path.exists():
            loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(loaded, RSAPrivateKey):
                raise ValueError(f"{path} holds no RSA key; delete it")
            self.published = [SigningKey(loaded)]
        else:
            self.rotate()

    @property
    def current(self) -> SigningKey:
        return self.published[-1]

    def rotate(self) -> SigningKey:
        """Sign with a new key; the one before stays published."""
        key = _new_key()
        path = self.state.options.data_dir / KEY_FILE
        path.touch(mode=0o600)
        path.write_bytes(key.private_pem())
        self.published = [*self.published[-1:], key]
        return key

    def issuer_url(self, tenant: str) -> str:
        return f"{self.state.options.origin}/{tenant}/v2.0"

    def knows_tenant(self, tenant: str) -> bool:
        return any(each["id"] == tenant for each in self.people["tenants"])

    def user(self, username: str, tenant: str) -> dict[str, Any] | None:
        wanted = username.lower()
        for user in self.people["users"]:
            names = (user["username"], user["preferred_username"])
            if user["tenant"] == tenant and wanted in names:
                return dict(user)
        return None

    def claims(self, tenant: str) -> dict[str, Any]:
        """The claims that every v2 access token has."""
        now = int(time.time())
        return {
            "ver": "2.0",
            "iss": self.issuer_url(tenant),
            "aud": self.people["api"]["client_id"],
            "tid": tenant,
            "azp": self.people["clients"][0]["client_id"],
            "uti": uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_LIFETIME_S,
        }

    def user_claims(self, user: dict[str, Any]) -> dict[str, Any]:
        """An access token's claims for a person; no department, which is the app's own record."""
        return self.claims(user["tenant"]) | {
            "idtyp": "user",
            "oid": user["oid"],
            "sub": hashlib.sha256(user["oid"].encode()).hexdigest()[:43],
            "name": user["name"],
            "preferred_username": user["preferred_username"],
            "scp": self.people["api"]["scope"],
            "roles": [user["role"]],
            "acrs": [DEMO_CONTEXT],
            "auth_time": int(time.time()),
            "xms_cc": ["cp1"],
        }

    def pipeline_claims(self, pipeline: dict[str, Any]) -> dict[str, Any]:
        """An app-only token's claims: roles instead of a scope."""
        return self.claims(pipeline["tenant"]) | {
            "idtyp": "app",
            "oid": pipeline["oid"],
            "sub": pipeline["oid"],
            "azp": pipeline["client_id"],
            "roles": pipeline["roles"],
        }

    def id_claims(self, user: dict[str, Any], client_id: str) -> dict[str, Any]:
        """An ID token's claims: meant for the client, never for the API."""
        access = self.user_claims(user)
        for name in ("scp", "azp", "idtyp", "roles", "acrs", "xms_cc"):
            del access[name]
        return access | {"aud": client_id}

    def sign(self, claims: dict[str, Any]) -> str:
        headers = {"kid": self.current.kid, "typ": "JWT"}
        return jwt.encode(claims, self.current.private, algorithm="RS256", headers=headers)

    def mint(self, claims: dict[str, Any], header: dict[str, Any], key: str, alg: str) -> str:
        """A token of any shape; raises ValueError for a key that does not exist."""
        full = {"alg": alg, "typ": "JWT", "kid": self.current.kid} | header
        full = {name: value for name, value in full.items() if value is not None}
        signed = _json_segment(full) + b"." + _json_segment(claims)
        return (signed + b"." + _segment(self._signature(signed, key, alg))).decode()

    def _signature(self, signed: bytes, key: str, alg: str) -> bytes:
        if key == "hs256-public":
            mac = hmac.HMAC(self.current.public_pem(), hashes.SHA256())
            mac.update(signed)
            return mac.finalize()
        if key == "none":
            return b""
        keys = {"current": self.current, "other": self.foreign, "previous": self.published[0]}
        if key not in keys:
            raise ValueError("key must be current, previous, other, hs256-public or none")
        algorithm = jwt.get_algorithm_by_name(alg if alg.startswith(("RS", "PS")) else "RS256")
        return bytes(algorithm.sign(signed, keys[key].private))


def refused(error: str, description: str, status: int = 400) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=status)


def tenant_of(issuer: Issuer, request: web.Request) -> str:
    tenant = request.match_info["tenant"]
    if not issuer.knows_tenant(tenant):
        raise web.HTTPBadRequest(
            text=json.dumps({"error": "invalid_tenant", "error_description": "No such tenant"}),
            content_type="application/json",
        )
    return tenant


def jwk(issuer: Issuer, key: SigningKey, tenant: str) -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.private.public_key(), as_dict=True)
    public.pop("key_ops", None)
    return {**public, "use": "sig", "kid": key.kid, "issuer": issuer.issuer_url(tenant)}
