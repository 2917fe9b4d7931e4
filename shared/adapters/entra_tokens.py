"""Verifies Microsoft Entra access tokens (v2.0) by the published keys of configured issuers."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.adapters.entra_jwt import (
    GUID,
    RefusedError,
    authentication_of,
    check_signature,
    check_times,
    object_id_of,
    taken_apart,
    text_claim,
    words_claim,
)
from shared.adapters.entra_keys import EntraKeys, is_safe_address
from shared.domain.access_tokens import AccessToken
from shared.domain.identity import ROLE_BY_CLAIM, Principal, PrincipalKind, Role
from shared.errors import InvariantBroken, Unauthenticated
from shared.ports import Clock

# Everybody with a personal Microsoft account is in this one tenant: it says nothing about anybody.
PERSONAL_ACCOUNTS: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
CLAIMS_CHALLENGES: Final = "cp1"  # the client capability of that name

_log = logging.getLogger("eig.identity")


@dataclass(frozen=True)
class IssuerRule:
    """What the tokens of one issuer must say; an empty `azp_allow` lets any client call."""

    tenant_id: str
    audience: str
    scope: str  # what people's tokens carry, as a whole word
    azp_allow: frozenset[str] = frozenset()
    app_role: str | None = None  # what the tokens of apps carry; None: no app may call


class EntraTokenVerifier:
    """The TokenVerifier for Entra; `issuers` maps each exact `iss` value to its rule."""

    def __init__(
        self, issuers: Mapping[str, IssuerRule], keys: Mapping[str, EntraKeys], clock: Clock
    ) -> None:
        """Raise ValueError for an issuer that is not https (or loopback http) or fits no rule."""
        for issuer, rule in issuers.items():
            check_issuer(issuer, rule)
        self._clock = clock
        self._issuers = {issuer: (rule, keys[issuer]) for issuer, rule in issuers.items()}

    async def verify(self, token: str) -> AccessToken:
        """Raise Unauthenticated, or Unavailable if the issuer's keys cannot be had."""
        try:
            return await self._verified(token)
        except RefusedError as refused:
            _log.info("access token refused", extra={"code": refused.reason})
            raise Unauthenticated("The access token is not valid.") from None

    async def authorization_uri(self, tenant_id: str) -> str:
        """Where people of a tenant sign in; raise Unavailable if the issuer does not say."""
        for rule, keys in self._issuers.values():
            if rule.tenant_id == tenant_id:
                return await keys.address("authorization_endpoint")
        raise InvariantBroken("a caller of a tenant without an issuer")

    async def _verified(self, token: str) -> AccessToken:
        unverified = taken_apart(token)
        if unverified.issuer not in self._issuers:
            raise RefusedError("unknown_issuer")
        rule, keys = self._issuers[unverified.issuer]
        check_signature(unverified, await keys.get(unverified.kid))
        now = self._clock.now()
        claims = unverified.claims
        _check_claims(claims, rule, now)
        kind = _kind(claims, rule)
        return AccessToken(
            principal=Principal(rule.tenant_id, object_id_of(claims), _role(claims), kind),
            authentication=authentication_of(claims, now),
            takes_challenges=CLAIMS_CHALLENGES in words_claim(claims, "xms_cc"),
        )


def verifier_of(issuers: Mapping[str, IssuerRule], clock: Clock) -> EntraTokenVerifier:
    """A verifier with keys of its own."""
    keys = {issuer: EntraKeys(issuer, rule.tenant_id, clock) for issuer, rule in issuers.items()}
    return EntraTokenVerifier(issuers, keys, clock)


def check_issuer(issuer: str, rule: IssuerRule) -> None:
    """Raise ValueError for a rule that could let in whom it does not mean."""
    if not is_safe_address(issuer, loopback=True) or issuer.endswith("/"):
        raise ValueError("an issuer must be an https address, or http on loopback")
    if GUID.fullmatch(rule.tenant_id) is None or not rule.audience:
        raise ValueError("an issuer needs a tenant id (lower-case GUID) and an audience")
    if rule.tenant_id == PERSONAL_ACCOUNTS:
        raise ValueError("the tenant of personal accounts cannot be trusted")
    named = GUID.findall(issuer)
    if named and rule.tenant_id not in named:
        raise ValueError("the tenant id in the issuer's address must be the one in its rule")
    if not rule.scope or rule.app_role == "":
        raise ValueError("a scope is needed: it tells access tokens from ID tokens")


def _check_claims(claims: Mapping[str, Any], rule: IssuerRule, now: datetime) -> None:
    """Everything but issuer, kind, roles and how the person signed in."""
    for name, wanted, reason in (
        ("ver", "2.0", "version"),
        ("tid", rule.tenant_id, "tenant"),
        ("aud", rule.audience, "audience"),
    ):
        if text_claim(claims, name) != wanted:
            raise RefusedError(reason)
    check_times(claims, now)
    if rule.azp_allow and text_claim(claims, "azp") not in rule.azp_allow:
        raise RefusedError("client")


def _kind(claims: Mapping[str, Any], rule: IssuerRule) -> PrincipalKind:
    """Whose token it is: a person's has the scope as a whole word, an app's the role; never both.

    An app's token must call itself one (the optional claim `idtyp`): an ID token has no scope
    either, but may carry the same roles.
    """
    said = claims.get("idtyp", "user")
    if said == "user":
        if rule.scope not in text_claim(claims, "scp").split(" "):
            raise RefusedError("scope_missing")
        return "person"
    if said != "app" or "scp" in claims or rule.app_role is None:
        raise RefusedError("app_only")
    if rule.app_role not in words_claim(claims, "roles"):
        raise RefusedError("app_role_missing")
    return "service"


def _role(claims: Mapping[str, Any]) -> Role:
    """The most powerful role of ours that the token carries; the least if it carries none."""
    known = [ROLE_BY_CLAIM[name] for name in words_claim(claims, "roles") if name in ROLE_BY_CLAIM]
    return max(known, default=Role.STANDARD_USER)
