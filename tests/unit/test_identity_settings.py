"""Settings of identity: several issuers, session profiles, and what may not be combined."""

import json
from datetime import timedelta
from typing import Any

import pytest

from devhost.local_settings import people, setting_values
from devhost.ports import Ports
from shared.domain.token_issuers import ISSUERS_MAX, TokenIssuer, read_token_issuers
from shared.errors import InvariantBroken
from shared.identity_settings import issuers_of, session_policy_of
from shared.settings import load_settings

EXTERNAL: dict[str, Any] = {
    "issuer": "https://44444444-aaaa-4bbb-8ccc-000000000004.ciamlogin.com/x/v2.0",
    "tenant_id": "44444444-aaaa-4bbb-8ccc-000000000004",
    "audience": "8e1b3f5f-6c2d-4d40-8f68-1d7f2b3c4e51",
    "scope": "Images.Order",
    "authorized_parties": ["app-1"],
    "step_up_context": "c2",
}
GOVERNMENT = {"EIG_SESSION_PROFILE": "government", "EIG_TOKEN_AUTHORIZED_PARTIES": "client-1"}


def settings(**changes: str) -> Any:
    return load_settings(setting_values(Ports()) | changes)


def test_issuers_are_ours_and_the_further_ones() -> None:
    loaded = settings(EIG_TOKEN_ISSUERS=json.dumps([EXTERNAL]))
    home, external = issuers_of(loaded)
    assert (home.scope, home.app_role) == ("Images.Generate", "Images.Generate.All")
    assert home.step_up_context == "c1"
    assert external == TokenIssuer(
        EXTERNAL["issuer"],
        EXTERNAL["tenant_id"],
        EXTERNAL["audience"],
        "Images.Order",
        frozenset({"app-1"}),
        None,
        "c2",
    )


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "nonsense",
        "[1]",
        "[" * 100_000,
        json.dumps([EXTERNAL] * (ISSUERS_MAX + 1)),
        *(
            json.dumps([{k: v for k, v in EXTERNAL.items() if k != name}])
            for name in ("issuer", "tenant_id", "audience", "scope")
        ),
        json.dumps([EXTERNAL | {"tenant": "typo"}]),
        json.dumps([EXTERNAL | {"authorized_parties": "app-1"}]),
        json.dumps([EXTERNAL | {"authorized_parties": [""]}]),
        json.dumps([EXTERNAL | {"scope": ""}]),
        json.dumps([EXTERNAL | {"scope": 1}]),
        json.dumps([EXTERNAL | {"step_up_context": "mfa"}]),
    ],
)
def test_list_of_issuers_that_is_not_exactly_right_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_token_issuers(text)
    with pytest.raises(InvariantBroken) as refused:
        settings(EIG_TOKEN_ISSUERS=text)
    assert "EIG_TOKEN_ISSUERS" in refused.value.detail
    assert "Images.Order" not in refused.value.detail


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"EIG_SESSION_PROFILE": "relaxed"}, "EIG_SESSION_PROFILE"),
        ({"EIG_STEP_UP_CONTEXT": "C1"}, "EIG_STEP_UP_CONTEXT"),
        ({"EIG_STEP_UP_CONTEXT": "c100"}, "EIG_STEP_UP_CONTEXT"),
        ({"EIG_STEP_UP_AGE_MAX_S": "soon"}, "EIG_STEP_UP_AGE_MAX_S"),
        ({"EIG_PUBLIC_ORIGIN": "http://eig.example"}, "EIG_PUBLIC_ORIGIN"),
        ({"EIG_PUBLIC_ORIGIN": "https://eig.example/"}, "EIG_PUBLIC_ORIGIN"),
        ({"EIG_PUBLIC_ORIGIN": "https://EIG.example"}, "EIG_PUBLIC_ORIGIN"),
        ({"EIG_CORS_ORIGINS": "*"}, "EIG_CORS_ORIGINS"),
        ({"EIG_CORS_ORIGINS": "https://app.example null"}, "EIG_CORS_ORIGINS"),
        ({"EIG_CORS_ORIGINS": "https://app.example/"}, "EIG_CORS_ORIGINS"),
        ({"EIG_CORS_ORIGINS": "http://app.example"}, "EIG_CORS_ORIGINS"),
        ({"EIG_PUBLIC_ORIGIN": ""}, "EIG_SIGN_IN_CLIENT_ID"),
    ],
)
def test_setting_of_identity_that_is_wrong_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(InvariantBroken) as refused:
        settings(**changes)
    assert named in refused.value.detail


def test_two_issuers_of_one_tenant_are_refused() -> None:
    home = setting_values(Ports())
    twin = EXTERNAL | {"tenant_id": home["EIG_TOKEN_TENANT_ID"]}
    same = EXTERNAL | {"issuer": home["EIG_TOKEN_ISSUER"]}
    for each in (twin, same):
        with pytest.raises(InvariantBroken):
            settings(EIG_TOKEN_ISSUERS=json.dumps([each]))


def test_session_policy_is_the_profiles_or_stricter() -> None:
    minutes = timedelta(minutes=1)
    assert session_policy_of(settings()).idle == 30 * minutes
    government = settings(**GOVERNMENT)
    assert session_policy_of(government).idle == 15 * minutes
    assert session_policy_of(government).absolute == timedelta(hours=12)
    shorter = settings(EIG_SESSION_IDLE_S="600")
    assert session_policy_of(shorter).idle == 10 * minutes
    longer = settings(**GOVERNMENT, EIG_SESSION_IDLE_S="3600")
    assert session_policy_of(longer).idle == 15 * minutes


def test_local_cloud_lets_only_its_own_clients_call() -> None:
    known = {each["client_id"] for kind in ("clients", "pipelines") for each in people()[kind]}
    home, *_ = issuers_of(settings())
    assert known and home.authorized_parties == known


@pytest.mark.parametrize(
    "name", ["EIG_TOKEN_AUTHORIZED_PARTIES", "EIG_STEP_UP_CONTEXT", "EIG_STEP_UP_AGE_MAX_S"]
)
def test_government_profile_leaves_neither_clients_nor_proof_open(name: str) -> None:
    assert settings(**{name: ""})
    with pytest.raises(InvariantBroken) as refused:
        settings(**GOVERNMENT | {name: ""})
    assert name in refused.value.detail


def test_government_profile_holds_for_each_issuer() -> None:
    assert settings(**GOVERNMENT, EIG_TOKEN_ISSUERS=json.dumps([EXTERNAL]))
    for name in ("authorized_parties", "step_up_context"):
        loose = {key: value for key, value in EXTERNAL.items() if key != name}
        with pytest.raises(InvariantBroken) as refused:
            settings(**GOVERNMENT, EIG_TOKEN_ISSUERS=json.dumps([loose]))
        assert "EIG_TOKEN_ISSUERS" in refused.value.detail
