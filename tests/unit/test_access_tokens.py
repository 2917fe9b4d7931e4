"""What sensitive routes demand, and how a client is told."""

import base64
import json
from datetime import timedelta

import pytest

from shared.domain.access_tokens import (
    CLOCK_SKEW,
    Authentication,
    StepUpTerms,
    encoded_claims,
    unmet_claims,
)
from shared.errors import InsufficientClaims, StepUpRequired
from shared.services.step_up import Answering, StepUp
from tests.fakes.clock import NOON, FakeClock

HOME, OTHER = "tenant-1", "tenant-2"
HOUR = timedelta(hours=1)
TERMS = StepUpTerms({HOME: "c1"}, HOUR)
FRESH = Authentication(frozenset({"c1"}), NOON - timedelta(minutes=5))


class Addresses:
    """A TokenVerifier of which only the address of the sign-in is asked."""

    async def verify(self, token: str) -> object:
        raise AssertionError("no token is looked at")

    async def authorization_uri(self, tenant_id: str) -> str:
        return f"https://issuer.example/{tenant_id}/authorize"


def test_nothing_is_demanded_by_default() -> None:
    assert unmet_claims(StepUpTerms(), HOME, Authentication(), NOON) == {}


def test_enough_proof_is_enough() -> None:
    assert unmet_claims(TERMS, HOME, FRESH, NOON) == {}
    oldest = Authentication(frozenset({"c1", "c2"}), NOON - HOUR - CLOCK_SKEW)
    assert unmet_claims(TERMS, HOME, oldest, NOON) == {}


@pytest.mark.parametrize(
    ("tenant", "shown", "names"),
    [
        (HOME, Authentication(), {"acrs", "auth_time"}),
        (HOME, Authentication(frozenset({"c2"}), FRESH.signed_in_at), {"acrs"}),
        (HOME, Authentication(frozenset({"c1"})), {"auth_time"}),
        (
            HOME,
            Authentication(frozenset({"c1"}), NOON - HOUR - CLOCK_SKEW - timedelta(seconds=1)),
            {"auth_time"},
        ),
        (OTHER, FRESH, {"acrs"}),  # the same name in a tenant that has none of ours
    ],
)
def test_too_little_proof_is_named(tenant: str, shown: Authentication, names: set[str]) -> None:
    assert set(unmet_claims(TERMS, tenant, shown, NOON)) == names


def test_context_of_one_tenant_says_nothing_about_another() -> None:
    terms = StepUpTerms({HOME: "c1", OTHER: "c2"})
    assert unmet_claims(terms, HOME, FRESH, NOON) == {}
    assert unmet_claims(terms, OTHER, FRESH, NOON) == {"acrs": {"essential": True, "value": "c2"}}


async def test_client_that_takes_challenges_gets_one() -> None:
    step_up = StepUp(TERMS, Addresses(), FakeClock())  # type: ignore[arg-type]
    with pytest.raises(InsufficientClaims) as refused:
        await step_up.require(HOME, Authentication(), "challenge")
    unmet = unmet_claims(TERMS, HOME, Authentication(), NOON)
    assert refused.value.challenge == (
        f'Bearer realm="", authorization_uri="https://issuer.example/{HOME}/authorize",'
        f' error="insufficient_claims", claims="{encoded_claims(unmet)}"'
    )
    asked = json.loads(base64.b64decode(encoded_claims(unmet)))
    assert asked == {
        "access_token": {
            "acrs": {"essential": True, "value": "c1"},
            "auth_time": {"essential": True},
        }
    }


@pytest.mark.parametrize(
    ("how", "extra"),
    [("sign_in", {"sign_in": "/api/v1/auth/login?step_up=true"}), ("refusal", {})],
)
async def test_other_clients_are_refused(how: Answering, extra: dict[str, str]) -> None:
    step_up = StepUp(TERMS, Addresses(), FakeClock())  # type: ignore[arg-type]
    with pytest.raises(StepUpRequired) as refused:
        await step_up.require(HOME, Authentication(), how)
    assert (refused.value.status, refused.value.extra) == (403, extra)
    await step_up.require(HOME, FRESH, how)
