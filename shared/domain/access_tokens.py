"""What a verified sign-in proves: who, in which way, how long ago; and what a route may demand."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from shared.domain.identity import Principal

CLOCK_SKEW: Final = timedelta(seconds=60)  # how far two well-kept clocks may differ
CONTEXTS: Final = frozenset(f"c{number}" for number in range(1, 100))  # what Entra calls them


@dataclass(frozen=True)
class Authentication:
    """How somebody proved who they are: authentication contexts, and when they last did it."""

    contexts: frozenset[str] = frozenset()
    signed_in_at: datetime | None = None  # None: the issuer does not say


@dataclass(frozen=True)
class AccessToken:
    """A verified access token: its roles only bootstrap, our store says who may do what."""

    principal: Principal
    authentication: Authentication = field(default_factory=Authentication)
    takes_challenges: bool = False  # the client said `cp1`: it understands a claims challenge


@dataclass(frozen=True)
class StepUpTerms:
    """What sensitive routes demand; nothing by default.

    Contexts are a tenant's own: c1 of one tenant says nothing about another. As soon as one tenant
    has a context, people of a tenant without one cannot meet the demand.
    """

    contexts: Mapping[str, str] = field(default_factory=dict)  # tenant id -> context
    age_max: timedelta | None = None  # since the person last signed in


def unmet_claims(
    terms: StepUpTerms, tenant_id: str, shown: Authentication, now: datetime
) -> dict[str, object]:
    """What a sign-in must still show, as members of a claims request; empty: nothing."""
    unmet: dict[str, object] = {}
    context = terms.contexts.get(tenant_id)
    if terms.contexts and context is None:
        unmet["acrs"] = {"essential": True}
    elif context is not None and context not in shown.contexts:
        unmet["acrs"] = {"essential": True, "value": context}
    if terms.age_max is not None and not _is_recent(shown.signed_in_at, terms.age_max, now):
        unmet["auth_time"] = {"essential": True}
    return unmet


def claims_parameter(
    token: Literal["access_token", "id_token"], unmet: Mapping[str, object]
) -> str:
    """The claims request of OpenID Connect (section 5.5) as text."""
    return json.dumps({token: dict(unmet)}, separators=(",", ":"))


def encoded_claims(unmet: Mapping[str, object]) -> str:
    """The claims of a challenge header: base64, as MSAL expects them."""
    return base64.b64encode(claims_parameter("access_token", unmet).encode()).decode()


def _is_recent(signed_in_at: datetime | None, age_max: timedelta, now: datetime) -> bool:
    return signed_in_at is not None and now - signed_in_at <= age_max + CLOCK_SKEW
