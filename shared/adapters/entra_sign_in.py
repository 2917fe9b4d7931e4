"""Signs browsers in at Microsoft Entra: authorization code with PKCE, as a confidential client."""

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp

from shared.adapters.entra_jwt import (
    RefusedError,
    authentication_of,
    check_signature,
    check_times,
    object_id_of,
    taken_apart,
    text_claim,
)
from shared.adapters.entra_keys import DocumentError, EntraKeys, read_document
from shared.errors import Unauthenticated, Unavailable
from shared.ports import Clock
from shared.ports.secrets import Secret
from shared.ports.sessions import AuthorizationRequest, SignedIn

SCOPES: Final = "openid profile offline_access"
EXCHANGE_TIMEOUT_S: Final = 10.0  # a person is waiting
# What the issuer says of an account or a code; any other error is a fault of ours or of its own.
_SAYS_NO: Final = frozenset({"invalid_grant", "interaction_required", "login_required"})

_log = logging.getLogger("eig.identity")


@dataclass(frozen=True)
class WebClient:
    """Our registration at the issuer; no secret: a public client, which only PKCE protects."""

    issuer: str
    tenant_id: str
    client_id: str
    client_secret: Secret | None
    redirect_uri: str


class EntraSignIn:
    """Implements the SignIn port."""

    def __init__(self, client: WebClient, keys: EntraKeys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock

    async def authorization_url(self, request: AuthorizationRequest) -> str:
        values = {
            "client_id": self._client.client_id,
            "response_type": "code",
            "response_mode": "query",
            "redirect_uri": self._client.redirect_uri,
            "scope": SCOPES,
            "state": request.state,
            "nonce": request.nonce,
            "code_challenge": request.code_challenge,
            "code_challenge_method": "S256",
        }
        if request.claims:
            values["claims"] = request.claims
        if request.must_prompt:
            values["prompt"] = "login"
        address = await self._keys.address("authorization_endpoint")
        return f"{address}?{urlencode(values)}"

    async def redeem(self, code: str, code_verifier: str, nonce: str) -> SignedIn:
        answer = await self._exchange(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._client.redirect_uri,
                "code_verifier": code_verifier,
            }
        )
        if answer is None:
            raise _not_signed_in()
        return await self._signed_in(answer, nonce)

    async def renew(self, refresh_token: str) -> SignedIn | None:
        answer = await self._exchange(
            {"grant_type": "refresh_token", "refresh_token": refresh_token, "scope": SCOPES}
        )
        return None if answer is None else await self._signed_in(answer, None)

    async def sign_out_url(self) -> str:
        home = urlsplit(self._client.redirect_uri)
        values = {"post_logout_redirect_uri": f"{home.scheme}://{home.netloc}/"}
        address = await self._keys.address("end_session_endpoint")
        return f"{address}?{urlencode(values)}"

    async def _exchange(self, form: Mapping[str, str]) -> Mapping[str, Any] | None:
        """What the token endpoint answers; None if it says no."""
        address = await self._keys.address("token_endpoint")
        secret = self._client.client_secret
        shown = await secret.value() if secret else None
        try:
            return await self._sent(address, form, shown)
        except _ClientRefusedError:
            newer = await secret.renewed(shown or "") if secret else None
        try:
            if newer is not None:
                return await self._sent(address, form, newer)
        except _ClientRefusedError:
            pass  # as without a newer one
        _log.error("the issuer refused our own credential", extra={"code": "invalid_client"})
        raise _nobody_can()

    async def _sent(
        self, address: str, form: Mapping[str, str], secret: str | None
    ) -> Mapping[str, Any] | None:
        sent = {**form, "client_id": self._client.client_id}
        if secret:
            sent["client_secret"] = secret
        timeout = aiohttp.ClientTimeout(total=EXCHANGE_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(address, data=sent, allow_redirects=False) as response,
            ):
                if response.status == 401:  # it is us whom the issuer does not believe
                    raise _ClientRefusedError
                if response.status != 400:
                    return await read_document(response)
                if text_claim(await read_document(response, 400), "error") not in _SAYS_NO:
                    raise DocumentError
                _log.info("the issuer refused a sign-in", extra={"code": form["grant_type"]})
                return None
        except (aiohttp.ClientError, TimeoutError, DocumentError) as error:
            _log.warning("the issuer did not answer a sign-in", exc_info=error)
            raise _nobody_can() from None

    async def _signed_in(self, answer: Mapping[str, Any], nonce: str | None) -> SignedIn:
        """Whom the ID token names; a nonce only binds the first one to this browser."""
        try:
            claims = await self._id_claims(text_claim(answer, "id_token"))
            if nonce is not None and not hmac.compare_digest(
                text_claim(claims, "nonce").encode("utf-8", "replace"), nonce.encode()
            ):
                raise RefusedError("nonce")
            return SignedIn(
                tenant_id=self._client.tenant_id,
                object_id=object_id_of(claims),
                authentication=authentication_of(claims, self._clock.now()),
                refresh_token=text_claim(answer, "refresh_token") or None,
            )
        except RefusedError as refused:
            _log.warning("ID token refused", extra={"code": refused.reason})
            raise _not_signed_in() from None

    async def _id_claims(self, token: str) -> Mapping[str, Any]:
        unverified = taken_apart(token)
        if unverified.issuer != self._client.issuer:
            raise RefusedError("unknown_issuer")
        check_signature(unverified, await self._keys.get(unverified.kid))
        claims = unverified.claims
        for name, wanted, reason in (
            ("ver", "2.0", "version"),
            ("tid", self._client.tenant_id, "tenant"),
            ("aud", self._client.client_id, "audience"),
        ):
            if text_claim(claims, name) != wanted:
                raise RefusedError(reason)
        check_times(claims, self._clock.now())
        if "scp" in claims:
            raise RefusedError("access_token")
        return claims


class _ClientRefusedError(Exception):
    """The issuer does not accept our client secret."""


def _nobody_can() -> Unavailable:
    return Unavailable("Nobody can sign in at the moment.", retry_after_s=5)


def _not_signed_in() -> Unauthenticated:
    return Unauthenticated("The sign-in did not succeed; start it again.", code="sign_in_failed")
