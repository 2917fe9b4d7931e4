"""Access tokens: the good ones give a principal, each bad one is refused with the same words."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.adapters.entra_jwt import TOKEN_CHARS_MAX
from shared.adapters.entra_tokens import EntraTokenVerifier, IssuerRule, verifier_of
from shared.domain.access_tokens import Authentication
from shared.domain.identity import Principal, Role
from shared.errors import Unauthenticated
from tests.contract.local_issuer import (
    AUDIENCE,
    CLIENT_ID,
    OBJECT_ID,
    SCOPE,
    TENANT_ID,
    LocalIssuer,
    SetClock,
    b64url,
    new_key,
    public_jwk,
    public_pem,
    signed_token,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
APP_ROLE = "Images.Generate.All"
OTHER_AUDIENCE = "8e1b3f5f-6c2d-4d40-8f68-1d7f2b3c4e51"
OTHER_TENANT = "22222222-aaaa-4bbb-8ccc-000000000002"
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.fixture(scope="session")
def issuer_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(scope="session")
def attacker_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture
async def issuer(issuer_key: rsa.RSAPrivateKey) -> AsyncIterator[LocalIssuer]:
    issuer = LocalIssuer(SetClock(NOW), issuer_key)
    runner = web.AppRunner(issuer.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.started_at(runner.addresses[0][1])
    yield issuer
    await runner.cleanup()


@pytest.fixture
def verifier(issuer: LocalIssuer) -> EntraTokenVerifier:
    rule = IssuerRule(TENANT_ID, AUDIENCE, SCOPE, frozenset({CLIENT_ID}), APP_ROLE)
    return verifier_of({issuer.url: rule}, issuer.clock)


def at(issuer: LocalIssuer, seconds: int) -> int:
    return int(issuer.clock.now().timestamp()) + seconds


GOOD: dict[str, Callable[[LocalIssuer], str]] = {
    "plain": lambda i: i.token(),
    "rfc9068_type": lambda i: i.token({"typ": "at+jwt"}),
    "no_type": lambda i: i.token({"typ": None}),
    "user_type": lambda i: i.token(idtyp="user"),
    "only_scope": lambda i: i.token(scp=SCOPE),
    "expired_within_skew": lambda i: i.token(exp=at(i, -60)),
    "not_before_within_skew": lambda i: i.token(nbf=at(i, 60), iat=at(i, 60)),
    "ignored_jku": lambda i: i.token({"jku": "http://127.0.0.1:9/keys", "x5u": "http://x"}),
    "unknown_claims": lambda i: i.token(groups=["g"] * 50, hasgroups=True, xms_cc=["cp1"]),
}


@pytest.mark.parametrize("kind", GOOD)
async def test_verify_gives_the_principal_for_a_good_token(
    kind: str, issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    token = await verifier.verify(GOOD[kind](issuer))
    assert token.principal == Principal(TENANT_ID, OBJECT_ID, Role.STANDARD_USER)


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        (["StandardUser"], Role.STANDARD_USER),
        (["PowerUser", "StandardUser"], Role.POWER_USER),
        (["DeptManager", "Something.Else"], Role.DEPT_MANAGER),
        (["StandardUser", "OrgAdmin"], Role.ORG_ADMIN),
        (["SuperAdmin"], Role.SUPER_ADMIN),
    ],
)
async def test_verify_takes_the_highest_role_it_knows(
    claims: list[str], role: Role, issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    assert (await verifier.verify(issuer.token(roles=claims))).principal.role is role


@pytest.mark.parametrize("roles", [None, [], ["Reader"], ["standarduser"]])
async def test_verify_takes_a_token_without_a_role_of_ours_for_the_least(
    roles: list[str] | None, issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    token = await verifier.verify(issuer.token(roles=roles))
    assert token.principal.role is Role.STANDARD_USER


async def test_verify_tells_how_the_person_signed_in(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    signed_in_s = at(issuer, -500)
    token = issuer.token(acrs=["c1", "c7", "p1"], auth_time=signed_in_s, xms_cc=["cp1"])
    shown = await verifier.verify(token)
    assert shown.authentication.contexts == {"c1", "c7"}
    assert shown.authentication.signed_in_at == datetime.fromtimestamp(signed_in_s, UTC)
    assert shown.takes_challenges
    assert (await verifier.verify(issuer.token())).authentication == Authentication()


async def test_verify_takes_an_app_only_token_for_a_service(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    token = issuer.token(idtyp="app", scp=None, roles=[APP_ROLE, "SuperAdmin"])
    assert (await verifier.verify(token)).principal.kind == "service"


@pytest.mark.parametrize(
    "claims",
    [
        {"idtyp": "app", "scp": None, "roles": ["Images.Read"]},
        {"idtyp": "app", "scp": None, "roles": [APP_ROLE + "x"]},
        {"idtyp": "app", "scp": None, "roles": None},
        {"idtyp": "app", "scp": "", "roles": [APP_ROLE]},
        {"scp": None, "roles": [APP_ROLE]},  # an ID token of a person with that role
    ],
)
async def test_verify_refuses_what_only_looks_like_an_app(
    claims: dict[str, object], issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(**claims))


async def test_verify_refuses_apps_of_an_issuer_without_an_app_role(issuer: LocalIssuer) -> None:
    verifier = verifier_of({issuer.url: IssuerRule(TENANT_ID, AUDIENCE, SCOPE)}, issuer.clock)
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(idtyp="app", scp=None, roles=[APP_ROLE]))


def _unsigned(i: LocalIssuer) -> str:
    header = json.dumps(i.header(alg="none")).encode()
    return f"{b64url(header)}.{b64url(json.dumps(i.claims()).encode())}."


def _hs256(i: LocalIssuer, alg: str = "HS256") -> str:
    header = b64url(json.dumps(i.header(alg=alg)).encode())
    signed = f"{header}.{b64url(json.dumps(i.claims()).encode())}"
    mac = hmac.new(public_pem(i.key), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{b64url(mac)}"


def _payload(i: LocalIssuer, text: str) -> str:
    return signed_token(i.key, i.header(), text)


def _with_pair(i: LocalIssuer, pair: str) -> str:
    """The good payload with one more pair in front: most readers would let the later one win."""
    return _payload(i, "{" + pair + "," + json.dumps(i.claims())[1:])


def _altered(i: LocalIssuer) -> str:
    header, _, signature = i.token().split(".")
    return f"{header}.{b64url(json.dumps(i.claims(roles=['SuperAdmin'])).encode())}.{signature}"


BAD: dict[str, Callable[[LocalIssuer], str]] = {
    # shape
    "empty": lambda i: "",
    "word": lambda i: "secret",
    "two_segments": lambda i: i.token().rsplit(".", 1)[0],
    "four_segments": lambda i: i.token() + ".AAAA",
    "empty_segments": lambda i: "..",
    "encrypted_form": lambda i: "a.b.c.d.e",
    "padding": lambda i: i.token() + "=",
    "standard_base64_alphabet": lambda i: i.token()[:-4] + "+/+/",
    "leading_space": lambda i: " " + i.token(),
    "line_break": lambda i: i.token() + "\n",
    "not_ascii": lambda i: i.token() + "é",
    "lone_surrogate": lambda i: i.token() + "\ud800",
    "too_long": lambda i: i.token(padding="x" * TOKEN_CHARS_MAX),
    "64_kilobytes": lambda i: "a" * 65_536,
    "payload_not_json": lambda i: _payload(i, "not json"),
    "payload_list": lambda i: _payload(i, json.dumps([i.claims()])),
    "payload_number": lambda i: _payload(i, "1"),
    "payload_not_utf8": lambda i: f"{b64url(json.dumps(i.header()).encode())}._w.AA",
    "payload_deeply_nested": lambda i: _payload(i, "[" * 10_000),
    "payload_huge_number": lambda i: _with_pair(i, '"big":' + "9" * 5_000),
    "header_list": lambda i: signed_token(i.key, "[]", i.claims()),
    # repeated keys
    "repeated_claim": lambda i: _with_pair(i, '"roles":["SuperAdmin"]'),
    "repeated_issuer": lambda i: _with_pair(i, '"iss":"https://attacker.invalid"'),
    "repeated_nested_key": lambda i: _with_pair(i, '"extra":{"a":1,"a":2}'),
    "repeated_header_key": lambda i: signed_token(
        i.key, '{"alg":"none",' + json.dumps(i.header())[1:], i.claims()
    ),
    # header
    "alg_none": _unsigned,
    "alg_none_with_signature": lambda i: i.token({"alg": "none"}),
    "alg_missing": lambda i: i.token({"alg": None}),
    "alg_hs256_with_public_key": _hs256,
    "rs256_label_on_hmac": lambda i: _hs256(i, "RS256"),
    "alg_rs384": lambda i: i.token({"alg": "RS384"}),
    "alg_ps256": lambda i: i.token({"alg": "PS256"}),
    "alg_lower_case": lambda i: i.token({"alg": "rs256"}),
    "alg_list": lambda i: i.token({"alg": ["RS256"]}),
    "critical_extension": lambda i: i.token({"crit": ["exp"]}),
    "typ_id_token": lambda i: i.token({"typ": "id+jwt"}),
    "typ_number": lambda i: i.token({"typ": 1}),
    "kid_missing": lambda i: i.token({"kid": None}),
    "kid_unknown": lambda i: i.token({"kid": "key-2"}),
    "kid_list": lambda i: i.token({"kid": ["key-1"]}),
    "kid_path": lambda i: i.token({"kid": "../../dev/null"}),
    # signature
    "altered_payload": _altered,
    "no_signature": lambda i: i.token().rsplit(".", 1)[0] + ".",
    "short_signature": lambda i: i.token()[:-20],
    "signature_of_other_token": lambda i: (
        i.token().rsplit(".", 1)[0] + "." + i.token(roles=["OrgAdmin"]).rsplit(".", 1)[1]
    ),
    # claims
    "version_1": lambda i: i.token(ver="1.0"),
    "version_missing": lambda i: i.token(ver=None),
    "version_number": lambda i: i.token(ver=2.0),
    "issuer_missing": lambda i: i.token(iss=None),
    "issuer_other": lambda i: i.token(iss=f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"),
    "issuer_with_slash": lambda i: i.token(iss=i.url + "/"),
    "issuer_upper_case": lambda i: i.token(iss=i.url.upper()),
    "issuer_list": lambda i: i.token(iss=[i.url]),
    "issuer_object": lambda i: i.token(iss={"url": i.url}),
    "tenant_missing": lambda i: i.token(tid=None),
    "tenant_other": lambda i: i.token(tid=OTHER_TENANT),
    "tenant_personal": lambda i: i.token(tid=PERSONAL_TENANT),
    "tenant_list": lambda i: i.token(tid=[TENANT_ID]),
    "audience_missing": lambda i: i.token(aud=None),
    "audience_other": lambda i: i.token(aud=CLIENT_ID),
    "audience_list": lambda i: i.token(aud=[AUDIENCE]),
    "audience_uri_form": lambda i: i.token(aud=f"api://{AUDIENCE}"),
    "audience_prefix": lambda i: i.token(aud=AUDIENCE + "0"),
    "expired_by_61_s": lambda i: i.token(exp=at(i, -61)),
    "exp_missing": lambda i: i.token(exp=None),
    "exp_text": lambda i: i.token(exp=str(at(i, 3600))),
    "exp_true": lambda i: i.token(exp=True),
    "exp_infinite": lambda i: _payload(i, json.dumps(i.claims(exp=float("inf")))),
    "exp_nan": lambda i: _payload(i, json.dumps(i.claims(exp=float("nan")))),
    "not_before_in_61_s": lambda i: i.token(nbf=at(i, 61)),
    "nbf_missing": lambda i: i.token(nbf=None),
    "issued_in_61_s": lambda i: i.token(iat=at(i, 61)),
    "iat_missing": lambda i: i.token(iat=None),
    "object_id_missing": lambda i: i.token(oid=None),
    "object_id_not_guid": lambda i: i.token(oid="ava@contoso.example"),
    "object_id_with_line_break": lambda i: i.token(oid=OBJECT_ID + "\n"),
    "object_id_upper_case": lambda i: i.token(oid=OBJECT_ID.upper()),
    "object_id_list": lambda i: i.token(oid=[OBJECT_ID]),
    "client_missing": lambda i: i.token(azp=None),
    "client_other": lambda i: i.token(azp=AUDIENCE),
    "client_list": lambda i: i.token(azp=[CLIENT_ID]),
    "id_token": lambda i: i.token(scp=None, azp=None, nonce="n", aud=AUDIENCE),
    "scope_missing": lambda i: i.token(scp=None),
    "scope_longer_word": lambda i: i.token(scp=f"{SCOPE}All openid"),
    "scope_shorter_word": lambda i: i.token(scp=SCOPE[:-1]),
    "scope_other_case": lambda i: i.token(scp=SCOPE.lower()),
    "scope_list": lambda i: i.token(scp=[SCOPE]),
    "scope_by_tab": lambda i: i.token(scp=f"openid\t{SCOPE}"),
    "app_only": lambda i: i.token(idtyp="app", scp=None),
    "app_only_with_scope": lambda i: i.token(idtyp="app"),
    "device_token": lambda i: i.token(idtyp="device"),
    "roles_text": lambda i: i.token(roles="SuperAdmin"),
    "roles_object": lambda i: i.token(roles={"SuperAdmin": True}),
    "roles_of_lists": lambda i: i.token(roles=[["SuperAdmin"]]),
}


@pytest.mark.parametrize("kind", BAD)
async def test_verify_refuses_each_bad_token_with_the_same_words(
    kind: str,
    issuer: LocalIssuer,
    verifier: EntraTokenVerifier,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = BAD[kind](issuer)
    with caplog.at_level("DEBUG"), pytest.raises(Unauthenticated) as refused:
        await verifier.verify(token)
    assert str(refused.value) == "The access token is not valid."
    assert refused.value.__cause__ is None
    assert "access token refused" in caplog.text
    assert len(token) < 20 or token[:40] not in caplog.text
    assert OBJECT_ID not in caplog.text


def test_the_matrix_of_bad_tokens_is_broad() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize(
    "extra", [{}, {"jku": "jwks_of_attacker"}, {"jwk": "attacker"}, {"x5c": "attacker"}]
)
async def test_verify_refuses_a_key_that_the_token_brings_along(
    extra: dict[str, str],
    issuer: LocalIssuer,
    verifier: EntraTokenVerifier,
    attacker_key: rsa.RSAPrivateKey,
) -> None:
    jwk = public_jwk(attacker_key, issuer.kid)
    der = base64.b64encode(public_pem(attacker_key)).decode()
    own = {"jku": f"{issuer.url}/attacker", "jwk": jwk, "x5c": [der]}
    header = issuer.header(**{name: own[name] for name in extra})
    with pytest.raises(Unauthenticated):
        await verifier.verify(signed_token(attacker_key, header, issuer.claims()))
    assert issuer.jwks_hits == 1


async def test_verify_refuses_a_token_once_time_has_passed(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    issuer.clock.advance(timedelta(seconds=3660))
    await verifier.verify(token)
    issuer.clock.advance(timedelta(seconds=1))
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_verify_lets_any_client_call_without_an_allow_list(issuer: LocalIssuer) -> None:
    verifier = verifier_of({issuer.url: IssuerRule(TENANT_ID, AUDIENCE, SCOPE)}, issuer.clock)
    assert await verifier.verify(issuer.token(azp=None))


async def test_verify_keeps_two_issuers_apart(
    issuer: LocalIssuer, attacker_key: rsa.RSAPrivateKey
) -> None:
    second = LocalIssuer(issuer.clock, attacker_key, kid="key-of-second", tenant_id=OTHER_TENANT)
    runner = web.AppRunner(second.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    second.started_at(runner.addresses[0][1])
    # Each with an audience, a scope, clients and apps of its own, as an External ID tenant has.
    verifier = verifier_of(
        {
            issuer.url: IssuerRule(TENANT_ID, AUDIENCE, SCOPE, frozenset({CLIENT_ID}), APP_ROLE),
            second.url: IssuerRule(OTHER_TENANT, OTHER_AUDIENCE, "Images.Order"),
        },
        issuer.clock,
    )
    theirs = {"aud": OTHER_AUDIENCE, "scp": "Images.Order"}
    token = await verifier.verify(second.token(**theirs))
    assert token.principal.tenant_id == OTHER_TENANT
    crossed = [
        second.token(tid=TENANT_ID),
        second.token(iss=issuer.url, tid=TENANT_ID),
        second.token(header={"kid": issuer.kid}, iss=issuer.url, tid=TENANT_ID),
        issuer.token(iss=second.url, tid=OTHER_TENANT),
        second.token(),
        second.token(aud=OTHER_AUDIENCE),
        second.token(scp="Images.Order"),
        issuer.token(**theirs),
        second.token(aud=OTHER_AUDIENCE, idtyp="app", scp=None, roles=[APP_ROLE]),
    ]
    for token in crossed:
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)
    await runner.cleanup()
