"""The issuer's sign-in for browsers: authorization code with PKCE, refresh, sign-out.

There are no passwords: the page lists the demo people, and whoever picks one is that person.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from devhost.simulators.identity_issuer import TOKEN_LIFETIME_S, Issuer, refused, tenant_of

CODE_LIFETIME_S = 60
CALLBACK_PATH = "/api/v1/auth/callback"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost")
CONTEXTS = frozenset(f"c{number}" for number in range(1, 100))
PASSED_ON = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "claims",
)


@dataclass(frozen=True)
class Grant:
    """Who signed in, at which moment, with which proof, for which request."""

    user: dict[str, Any]
    asked: dict[str, str]
    signed_in_s: int
    expires_s: float


@dataclass
class SignIns:
    """Codes and refresh tokens that were given out, and accounts that may not sign in."""

    issuer: Issuer
    codes: dict[str, Grant] = field(default_factory=dict)
    refresh_tokens: dict[str, Grant] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)  # object ids

    def fault_of(self, asked: dict[str, str]) -> str | None:
        """Why a request is refused without going back to the client; None if it is right."""
        if asked.get("client_id") != self.issuer.people["web"]["client_id"]:
            return "unauthorized_client"
        if not _is_our_callback(asked.get("redirect_uri", "")):
            return "invalid_redirect_uri"
        is_code = asked.get("response_type") == "code" and "openid" in asked.get("scope", "")
        is_proven = asked.get("code_challenge_method") == "S256" and asked.get("code_challenge")
        return None if is_code and is_proven else "invalid_request"

    def code_for(self, user: dict[str, Any], asked: dict[str, str]) -> str:
        code = secrets.token_urlsafe(32)
        now = time.time()
        self.codes[code] = Grant(user, asked, int(now), now + CODE_LIFETIME_S)
        return code

    def redeem(self, form: dict[str, str]) -> web.Response:
        """Tokens for a code, once, to the client it was made for, with the PKCE verifier."""
        grant = self.codes.pop(form.get("code", ""), None)
        if grant is None or grant.expires_s < time.time():
            return refused("invalid_grant", "The code is unknown, used or too old.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(challenge, grant.asked["code_challenge"]):
            return refused("invalid_grant", "The code verifier does not fit.")
        if form.get("redirect_uri") != grant.asked["redirect_uri"]:
            return refused("invalid_grant", "The redirect URI is another one.")
        return self._tokens(grant)

    def renew(self, form: dict[str, str]) -> web.Response:
        """New tokens; like Entra, it leaves the old refresh token valid."""
        grant = self.refresh_tokens.get(form.get("refresh_token", ""))
        if grant is None or grant.user["oid"] in self.disabled:
            return refused("invalid_grant", "The refresh token is not good.")
        return self._tokens(grant)

    def _tokens(self, grant: Grant) -> web.Response:
        issuer, asked = self.issuer, grant.asked
        claims = issuer.id_claims(grant.user, asked["client_id"])
        claims |= {"nonce": asked.get("nonce"), "auth_time": grant.signed_in_s}
        claims["acrs"] = _contexts_asked(asked.get("claims", ""))
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME_S,
            "id_token": issuer.sign({name: v for name, v in claims.items() if v is not None}),
        }
        if "offline_access" in asked["scope"].split():
            token = answer["refresh_token"] = secrets.token_urlsafe(48)
            self.refresh_tokens[token] = grant
        return web.json_response(answer)


def add_sign_in(app: web.Application, issuer: Issuer) -> SignIns:
    """Adds the routes; the token endpoint is the issuer's own and asks `SignIns`."""
    sign_ins = SignIns(issuer)

    async def authorize(request: web.Request) -> web.Response:
        tenant = tenant_of(issuer, request)
        asked = {name: request.query[name] for name in PASSED_ON if name in request.query}
        if fault := sign_ins.fault_of(asked):
            return refused(fault, "See devhost/simulators/identity_sign_in.py.")
        return web.Response(text=_page(issuer, tenant, asked), content_type="text/html")

    async def picked(request: web.Request) -> web.Response:
        tenant = tenant_of(issuer, request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked = {name: form[name] for name in PASSED_ON if name in form}
        user = issuer.user(form.get("username", ""), tenant)
        if fault := sign_ins.fault_of(asked):
            return refused(fault, "See devhost/simulators/identity_sign_in.py.")
        if user is None or user["oid"] in sign_ins.disabled:
            back = {"error": "access_denied", "state": asked.get("state", "")}
        else:
            back = {"code": sign_ins.code_for(user, asked), "state": asked.get("state", "")}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(back)}")

    async def logout(request: web.Request) -> web.Response:
        tenant_of(issuer, request)
        return web.Response(text="<!doctype html><p>Signed out.", content_type="text/html")

    async def account(request: web.Request) -> web.Response:
        body = await request.json()
        change = sign_ins.disabled.discard if body["enabled"] else sign_ins.disabled.add
        change(request.match_info["oid"])
        return web.json_response({"disabled": sorted(sign_ins.disabled)})

    app.router.add_get("/{tenant}/oauth2/v2.0/authorize", authorize)
    app.router.add_post("/{tenant}/oauth2/v2.0/authorize", picked)
    app.router.add_get("/{tenant}/oauth2/v2.0/logout", logout)
    app.router.add_put("/_control/accounts/{oid}", account)
    return sign_ins


def _is_our_callback(uri: str) -> bool:
    """The registered redirect URI; on loopback any port fits (RFC 8252, section 7.3)."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username)
    return (
        parts.scheme == "http" and host in LOOPBACK_HOSTS and parts.path == CALLBACK_PATH and plain
    )


def _contexts_asked(claims: str) -> list[str] | None:
    """The authentication context that the claims request asks for: the demo people have all."""
    try:
        value = json.loads(claims)["id_token"]["acrs"]["value"]
    except (ValueError, KeyError, TypeError):
        return None
    return [value] if value in CONTEXTS else None


def _page(issuer: Issuer, tenant: str, asked: dict[str, str]) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value, quote=True)}">'
        for name, value in asked.items()
    )
    people = "".join(
        f'<p><button name="username" value="{each["username"]}">{html.escape(each["name"])}'
        f"</button> {each['role']}"
        for each in issuer.people["users"]
        if each["tenant"] == tenant
    )
    more = "" if _contexts_asked(asked.get("claims", "")) is None else "<p>More proof is wanted."
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Demo sign-in</title>'
        f'<h1>Who are you?</h1>{more}<form method="post">{hidden}{people}</form></html>'
    )
