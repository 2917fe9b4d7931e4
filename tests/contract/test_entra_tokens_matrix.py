"""Bad tokens by the hundred: every mutator on every claim and header field, and a fuzz of both.

Each cell of the matrix is a token that is right but for one field. What must still be accepted is
listed; everything else must be refused, for the reason that belongs to its field.
"""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.entra_tokens import EntraTokenVerifier, IssuerRule, verifier_of
from shared.errors import Unauthenticated
from tests.contract.local_issuer import (
    AUDIENCE,
    CLIENT_ID,
    OBJECT_ID,
    SCOPE,
    TENANT_ID,
    LocalIssuer,
    SetClock,
    new_key,
    signed_token,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
APP_ROLE = "Images.Generate.All"
GONE = object()

Mutator = Callable[[Any], Any]


def _twisted(value: Any) -> Any:
    """The value in a form that a careless reader would take for the same."""
    if isinstance(value, str):
        return value.swapcase()
    return str(value) if isinstance(value, int) else json.dumps(value)


def _longer(value: Any) -> Any:
    if isinstance(value, str):
        return value + "0"
    return value + 0.5 if isinstance(value, int) else [*value, 7]


def _shorter(value: Any) -> Any:
    if isinstance(value, str):
        return value[:-1]
    return -value if isinstance(value, int) else {"0": value[0]}


MUTATORS: dict[str, Mutator] = {
    "gone": lambda _: GONE,
    "null": lambda _: None,
    "empty": lambda value: type(value)(),
    "true": lambda _: True,
    "zero": lambda _: 0,
    "huge": lambda _: 10**30,
    "object": lambda _: {"value": 1},
    "wrapped": lambda value: [value],
    "twisted": _twisted,
    "longer": _longer,
    "shorter": _shorter,
    "newline": lambda value: f"{value}\n",
    "nul": lambda value: f"{value}\0",
}

# Each field with the reasons for which a change of it is refused.
CLAIMS: dict[str, set[str]] = {
    "ver": {"version"},
    "iss": {"unknown_issuer"},
    "tid": {"tenant"},
    "aud": {"audience"},
    "azp": {"client"},
    "scp": {"scope_missing"},
    "oid": {"object_id"},
    "exp": {"expired", "no_exp"},
    "nbf": {"not_yet_valid", "no_nbf"},
    "iat": {"issued_in_future", "no_iat"},
    "idtyp": {"app_only"},
    "roles": {"roles"},
    "acrs": {"acrs"},
    "auth_time": {"auth_time", "no_auth_time"},
    "xms_cc": {"xms_cc"},
}
HEADER: dict[str, set[str]] = {
    "alg": {"algorithm"},
    "kid": {"no_key_id", "unknown_key"},
    "typ": {"token_type"},
}
# What a token may lack or say otherwise and still be right.
STILL_GOOD = {
    *((name, "gone") for name in ("idtyp", "roles", "acrs", "auth_time", "xms_cc", "typ")),
    *((name, "empty") for name in ("roles", "acrs", "xms_cc", "nbf", "iat", "auth_time")),
    ("nbf", "zero"),  # long ago
    ("nbf", "shorter"),
    ("iat", "zero"),
    ("iat", "shorter"),
    ("auth_time", "zero"),
    ("exp", "huge"),
    ("typ", "twisted"),  # "jwt": media types have no case (RFC 7515, 4.1.9)
    ("ver", "twisted"),  # digits have no case
}
CELLS = [
    (part, name, mutator)
    for part, fields in (("claims", CLAIMS), ("header", HEADER))
    for name in fields
    for mutator in MUTATORS
]


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[LocalIssuer]:
    issuer = LocalIssuer(SetClock(NOW), new_key())
    runner = web.AppRunner(issuer.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.started_at(runner.addresses[0][1])
    yield issuer
    await runner.cleanup()


@pytest.fixture(scope="module")
def verifier(issuer: LocalIssuer) -> EntraTokenVerifier:
    rule = IssuerRule(TENANT_ID, AUDIENCE, SCOPE, frozenset({CLIENT_ID}), APP_ROLE)
    return verifier_of({issuer.url: rule}, issuer.clock)


def parts_of(issuer: LocalIssuer) -> dict[str, dict[str, Any]]:
    """Header and claims of a token that has every field and is right."""
    now_s = int(NOW.timestamp())
    claims = issuer.claims(
        idtyp="user", acrs=["c1"], auth_time=now_s - 60, xms_cc=["cp1"], scp=f"openid {SCOPE}"
    )
    return {"header": issuer.header(), "claims": claims}


def mutated(issuer: LocalIssuer, part: str, name: str, value: Any) -> str:
    parts = parts_of(issuer)
    parts[part][name] = value
    if value is GONE:
        del parts[part][name]
    return signed_token(issuer.key, parts["header"], parts["claims"])


@pytest.mark.parametrize(("part", "name", "mutator"), CELLS, ids=map("-".join, CELLS))
async def test_token_with_one_changed_field_is_refused_for_that_field(
    part: str,
    name: str,
    mutator: str,
    issuer: LocalIssuer,
    verifier: EntraTokenVerifier,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = parts_of(issuer)[part][name]
    token = mutated(issuer, part, name, MUTATORS[mutator](right))
    if (name, mutator) in STILL_GOOD:
        assert (await verifier.verify(token)).principal.object_id == OBJECT_ID
        return
    with caplog.at_level("INFO"), pytest.raises(Unauthenticated) as refused:
        await verifier.verify(token)
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")
    assert refused.value.detail == "The access token is not valid."
    (reason,) = [vars(each)["code"] for each in caplog.records if each.name == "eig.identity"]
    assert reason in {**CLAIMS, **HEADER}[name]
    assert token[:40] not in caplog.text and OBJECT_ID not in caplog.text


def test_the_matrix_is_broad() -> None:
    bad = [cell for cell in CELLS if cell[1:] not in STILL_GOOD]
    assert len(bad) >= 200


RARE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=40),
    st.lists(st.text(max_size=8), max_size=3),
    st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
)


@given(
    changes=st.dictionaries(st.sampled_from(sorted(CLAIMS)), RARE, min_size=1, max_size=3),
    more=st.dictionaries(st.text(max_size=12), RARE, max_size=3),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_claims_say_the_answer_is_a_refusal_or_the_right_person(
    changes: dict[str, Any],
    more: dict[str, Any],
    issuer: LocalIssuer,
    verifier: EntraTokenVerifier,
) -> None:
    parts = parts_of(issuer)
    claims = {**more, **parts["claims"], **changes}
    try:
        token = await verifier.verify(signed_token(issuer.key, parts["header"], claims))
    except Unauthenticated:
        return
    # Accepted: then nothing that decides was changed.
    assert token.principal.key == f"{TENANT_ID}.{OBJECT_ID}"
    for name in ("ver", "iss", "tid", "aud", "azp", "oid"):
        assert claims[name] == parts["claims"][name]
    assert SCOPE in claims["scp"].split(" ")


@given(text=st.text(alphabet="ABCabc012-_.=", max_size=200))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_text_that_is_no_token_is_refused(text: str, verifier: EntraTokenVerifier) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(text)


async def test_token_of_another_key_is_refused(
    issuer: LocalIssuer, verifier: EntraTokenVerifier
) -> None:
    other: rsa.RSAPrivateKey = new_key()
    parts = parts_of(issuer)
    with pytest.raises(Unauthenticated):
        await verifier.verify(signed_token(other, parts["header"], parts["claims"]))
