"""The issuer's keys: fetched lazily, cached, renewed within limits, and never guessed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.adapters.entra_keys import (
    DOCUMENT_BYTES_MAX,
    FAILED_FETCH_PAUSE,
    KEYS_AGE_MAX,
    UNKNOWN_KEY_PAUSE,
)
from shared.adapters.entra_tokens import (
    PERSONAL_ACCOUNTS,
    EntraTokenVerifier,
    IssuerRule,
    verifier_of,
)
from shared.errors import Unauthenticated, Unavailable
from tests.contract.local_issuer import (
    AUDIENCE,
    SCOPE,
    TENANT_ID,
    LocalIssuer,
    SetClock,
    new_key,
    public_jwk,
    signed_token,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def first_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(scope="module")
def second_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture
async def issuer(first_key: rsa.RSAPrivateKey) -> AsyncIterator[LocalIssuer]:
    issuer = LocalIssuer(SetClock(NOW), first_key)
    runner = web.AppRunner(issuer.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.started_at(runner.addresses[0][1])
    yield issuer
    await runner.cleanup()


@pytest.fixture
def verifier(issuer: LocalIssuer) -> EntraTokenVerifier:
    return verifier_of({issuer.url: IssuerRule(TENANT_ID, AUDIENCE, SCOPE)}, issuer.clock)


def rotate(issuer: LocalIssuer, key: rsa.RSAPrivateKey, kid: str) -> None:
    issuer.key, issuer.kid = key, kid
    issuer.jwks = {"keys": [public_jwk(key, kid)]}


async def test_keys_are_fetched_on_first_use_and_once(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    assert issuer.discovery_hits == 0
    await asyncio.gather(*(verifier.verify(issuer.token()) for _ in range(20)))
    assert (issuer.discovery_hits, issuer.jwks_hits) == (1, 1)


async def test_a_new_key_is_found_by_one_refresh(
    issuer: LocalIssuer, verifier: EntraTokenVerifier, second_key: rsa.RSAPrivateKey
) -> None:
    await verifier.verify(issuer.token())
    rotate(issuer, second_key, "key-2")
    await verifier.verify(issuer.token())
    assert issuer.jwks_hits == 2


async def test_unknown_keys_cause_one_refresh_per_pause(
    issuer: LocalIssuer, verifier: EntraTokenVerifier, second_key: rsa.RSAPrivateKey
) -> None:
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await verifier.verify(issuer.token({"kid": f"made-up-{number}"}))
    assert issuer.jwks_hits == 2  # the first fetch, and one refresh
    rotate(issuer, second_key, "key-2")
    issuer.clock.advance(UNKNOWN_KEY_PAUSE - timedelta(seconds=1))
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token())
    issuer.clock.advance(timedelta(seconds=1))
    await verifier.verify(issuer.token())
    assert issuer.jwks_hits == 3


async def test_a_failed_refresh_keeps_the_known_keys(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    issuer.status = 503
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token({"kid": "made-up"}))
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token({"kid": "made-up"}))
    assert await verifier.verify(token)


async def test_old_keys_are_not_used_when_the_issuer_is_down(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    await verifier.verify(issuer.token())
    issuer.status = 503
    issuer.clock.advance(KEYS_AGE_MAX)
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token())


async def test_a_withdrawn_key_is_refused_after_a_day(
    issuer: LocalIssuer, verifier: EntraTokenVerifier, second_key: rsa.RSAPrivateKey
) -> None:
    await verifier.verify(issuer.token())
    old_key, old_kid = issuer.key, issuer.kid
    rotate(issuer, second_key, "key-2")
    issuer.clock.advance(KEYS_AGE_MAX)
    with pytest.raises(Unauthenticated):
        await verifier.verify(signed_token(old_key, issuer.header(kid=old_kid), issuer.claims()))


async def test_a_dead_issuer_is_asked_again_only_after_a_pause(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    issuer.status = 500
    for _ in range(5):
        with pytest.raises(Unavailable) as unavailable:
            await verifier.verify(issuer.token())
        assert unavailable.value.retryable
    assert issuer.discovery_hits == 1
    issuer.status = 200
    issuer.clock.advance(FAILED_FETCH_PAUSE)
    assert await verifier.verify(issuer.token())


async def test_a_refused_connection_means_unavailable(issuer: LocalIssuer) -> None:
    closed = "http://127.0.0.1:1/v2.0"
    verifier = verifier_of({closed: IssuerRule(TENANT_ID, AUDIENCE, SCOPE)}, issuer.clock)
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token(iss=closed))


async def test_an_unknown_issuer_is_refused_without_asking_anyone(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(iss=f"{issuer.url}x"))
    assert issuer.discovery_hits == 0


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://attacker.invalid"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://keys.attacker.invalid/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://["},
        {"jwks_uri": "https://.."},
        {"jwks_uri": f"https://{'a' * 64}/keys"},
        {"jwks_uri": "https://keys.example:99999/keys"},
        {"jwks_uri": "https://user:word@keys.example/keys"},
        {"jwks_uri": "https://keys.example/\ud800"},
        {"jwks_uri": "https://"},
        {"padding": "x" * DOCUMENT_BYTES_MAX},
    ],
)
async def test_a_wrong_discovery_document_means_unavailable(
    document: dict[str, Any], issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    issuer.discovery.update(document)
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token())


async def test_a_redirect_of_the_discovery_is_not_followed(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    issuer.redirect_to = issuer.discovery["jwks_uri"]
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token())
    assert issuer.jwks_hits == 0


@pytest.mark.parametrize("jwks", [[], {}, {"keys": None}, {"keys": []}, {"keys": ["key"]}])
async def test_a_key_set_without_keys_means_unavailable(
    jwks: Any, issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    issuer.jwks = jwks
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token())


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"kty": "oct", "k": "AAAA"},
        {"alg": "RS512"},
        {"kid": None},
        {"n": "!"},
        {"n": 5},
        {"e": "AA"},
        {"issuer": "https://login.microsoftonline.com/other/v2.0"},
    ],
)
async def test_a_key_that_may_not_sign_is_not_used(
    change: dict[str, Any],
    issuer: LocalIssuer,
    verifier: EntraTokenVerifier,
    second_key: rsa.RSAPrivateKey,
) -> None:
    wrong = {**public_jwk(issuer.key, issuer.kid), **change}
    issuer.jwks = {"keys": [wrong, public_jwk(second_key, "key-2")]}
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token())


async def test_a_short_key_is_not_used(issuer: LocalIssuer, verifier: EntraTokenVerifier) -> None:
    good = public_jwk(issuer.key, issuer.kid)
    weak = new_key(1024)
    issuer.jwks = {"keys": [good, public_jwk(weak, "weak")]}
    with pytest.raises(Unauthenticated):
        await verifier.verify(signed_token(weak, issuer.header(kid="weak"), issuer.claims()))


async def test_a_key_with_its_issuer_as_a_template_is_used(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    template = issuer.url.replace(TENANT_ID, "{tenantid}")
    issuer.jwks = {"keys": [public_jwk(issuer.key, issuer.kid, issuer=template)]}
    assert await verifier.verify(issuer.token())


@pytest.mark.parametrize(
    ("url", "tenant_id", "audience"),
    [
        ("http://login.example/tenant/v2.0", TENANT_ID, AUDIENCE),
        ("https://login.example/tenant/v2.0/", TENANT_ID, AUDIENCE),
        ("ftp://127.0.0.1/tenant", TENANT_ID, AUDIENCE),
        ("https://login.example/tenant/v2.0", "contoso", AUDIENCE),
        ("https://login.example/tenant/v2.0", TENANT_ID.upper(), AUDIENCE),
        ("https://login.example/tenant/v2.0", TENANT_ID, ""),
        ("https://login.example/tenant/v2.0", PERSONAL_ACCOUNTS, AUDIENCE),
        (
            "https://login.microsoftonline.com/22222222-aaaa-4bbb-8ccc-000000000002/v2.0",
            TENANT_ID,
            AUDIENCE,
        ),
    ],
)
def test_a_wrong_issuer_setting_is_refused_at_start(
    url: str, tenant_id: str, audience: str
) -> None:
    with pytest.raises(ValueError):
        verifier_of({url: IssuerRule(tenant_id, audience, SCOPE)}, SetClock(NOW))


def test_a_missing_scope_setting_is_refused_at_start() -> None:
    for rule in (
        IssuerRule(TENANT_ID, AUDIENCE, ""),
        IssuerRule(TENANT_ID, AUDIENCE, "x", app_role=""),
    ):
        with pytest.raises(ValueError):
            verifier_of({"https://login.example/v2.0": rule}, SetClock(NOW))


def test_the_pause_is_shorter_than_the_age_limit() -> None:
    assert timedelta(0) < UNKNOWN_KEY_PAUSE < KEYS_AGE_MAX
