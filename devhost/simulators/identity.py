"""An OpenID issuer that looks like Entra ID v2: discovery, keys, tokens for the demo people.

Tokens always use real time. `/_control/tokens` mints tokens of any shape, for tests that attack.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from devhost.simulators.identity_issuer import TOKEN_LIFETIME_S, Issuer, jwk, refused, tenant_of
from devhost.simulators.identity_sign_in import add_sign_in
from devhost.simulators.state import SimulatorState

MINT_BODY_KEYS = {"user", "tenant", "claims", "header", "key", "alg"}


def add_identity(app: web.Application, state: SimulatorState) -> None:
    """Adds the issuer's routes."""
    issuer = Issuer(state)
    sign_ins = add_sign_in(app, issuer)

    async def discovery(request: web.Request) -> web.Response:
        tenant = tenant_of(issuer, request)
        origin = state.options.origin
        return web.json_response(
            {
                "issuer": issuer.issuer_url(tenant),
                "token_endpoint": f"{origin}/{tenant}/oauth2/v2.0/token",
                "authorization_endpoint": f"{origin}/{tenant}/oauth2/v2.0/authorize",
                "end_session_endpoint": f"{origin}/{tenant}/oauth2/v2.0/logout",
                "jwks_uri": f"{origin}/{tenant}/discovery/v2.0/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
                "subject_types_supported": ["pairwise"],
                "response_types_supported": ["code", "token", "id_token"],
            }
        )

    async def keys(request: web.Request) -> web.Response:
        tenant = tenant_of(issuer, request)
        return web.json_response({"keys": [jwk(issuer, key, tenant) for key in issuer.published]})

    async def token(request: web.Request) -> web.Response:
        tenant = tenant_of(issuer, request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("grant_type") not in ("authorization_code", "refresh_token"):
            return _token_answer(issuer, tenant, form)
        web_client = issuer.people["web"]
        if (form.get("client_id"), form.get("client_secret")) != (
            web_client["client_id"],
            web_client["client_secret"],
        ):
            return refused("invalid_client", "The client or its secret is wrong.", 401)
        is_code = form["grant_type"] == "authorization_code"
        return sign_ins.redeem(form) if is_code else sign_ins.renew(form)

    async def mint(request: web.Request) -> web.Response:
        return _minted(issuer, await request.json())

    async def rotate(_: web.Request) -> web.Response:
        return web.json_response({"kid": issuer.rotate().kid})

    app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", discovery)
    app.router.add_get("/{tenant}/discovery/v2.0/keys", keys)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", token)
    app.router.add_post("/_control/tokens", mint)
    app.router.add_post("/_control/keys/rotate", rotate)


def _token_answer(issuer: Issuer, tenant: str, form: dict[str, Any]) -> web.Response:
    grant = form.get("grant_type")
    answer: dict[str, Any] = {"token_type": "Bearer", "expires_in": TOKEN_LIFETIME_S}
    if grant == "password":
        # The demo's sign-in: the people are fictional and have no secret.
        user = issuer.user(str(form.get("username", "")), tenant)
        if user is None:
            return refused("invalid_grant", "There is no such demo user in this tenant.")
        answer["access_token"] = issuer.sign(issuer.user_claims(user))
        if "openid" in str(form.get("scope", "")).split():
            client = str(form.get("client_id") or issuer.people["clients"][0]["client_id"])
            answer["id_token"] = issuer.sign(issuer.id_claims(user, client))
        return web.json_response(answer)
    if grant == "client_credentials":
        for pipeline in issuer.people["pipelines"]:
            if pipeline["client_id"] == form.get("client_id") and pipeline["tenant"] == tenant:
                answer["access_token"] = issuer.sign(issuer.pipeline_claims(pipeline))
                return web.json_response(answer)
        return refused("invalid_client", "There is no such demo pipeline in this tenant.")
    return refused("unsupported_grant_type", "Use password or client_credentials.")


def _minted(issuer: Issuer, body: dict[str, Any]) -> web.Response:
    unknown = set(body) - MINT_BODY_KEYS
    tenant = body.get("tenant") or issuer.people["tenants"][0]["id"]
    user = issuer.user(body.get("user") or "ava", tenant) or issuer.people["users"][0]
    if unknown:
        return web.json_response({"error": f"unknown: {', '.join(sorted(unknown))}"}, status=400)
    claims = issuer.user_claims(user) | body.get("claims", {})
    claims = {name: value for name, value in claims.items() if value is not None}
    try:
        minted = issuer.mint(
            claims, body.get("header", {}), body.get("key", "current"), body.get("alg", "RS256")
        )
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({"token": minted})
