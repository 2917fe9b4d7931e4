"""The issuers whose tokens are taken, each with rules of its own."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.access_tokens import CONTEXTS

ISSUERS_MAX: Final = 20  # each keeps its own keys, and a setting has its limits
_NAMES: Final = frozenset(
    {
        "issuer",
        "tenant_id",
        "audience",
        "scope",
        "authorized_parties",
        "app_role",
        "step_up_context",
    }
)
_PARTY: Final = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class TokenIssuer:
    """A workforce tenant or an External ID tenant, and what its tokens must say."""

    issuer: str  # exactly as the claim `iss`
    tenant_id: str
    audience: str
    scope: str
    authorized_parties: frozenset[str] = frozenset()  # empty: any client of the audience
    app_role: str | None = None  # None: no app-only tokens
    step_up_context: str | None = None  # None: nothing more on sensitive routes


def read_token_issuers(text: str) -> tuple[TokenIssuer, ...]:
    """A JSON list of issuers; raises ValueError without repeating any of it."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(listed, list) or len(listed) > ISSUERS_MAX:
        raise ValueError("not a list of issuers")
    return tuple(_issuer(each) for each in listed)


def _issuer(values: Any) -> TokenIssuer:
    if not isinstance(values, dict) or not set(values) <= _NAMES:
        raise ValueError("an issuer has unknown members")
    parties = values.pop("authorized_parties", [])
    texts = {name: value for name, value in values.items() if value is not None}
    if not isinstance(parties, list) or not {"issuer", "tenant_id", "audience", "scope"} <= set(
        texts
    ):
        raise ValueError("an issuer is not complete")
    if not all(isinstance(each, str) and _PARTY.fullmatch(each) for each in parties):
        raise ValueError("an issuer has a party that is no client id")
    if not all(isinstance(each, str) and each for each in texts.values()):
        raise ValueError("an issuer has a member that is no text")
    if texts.get("step_up_context", "c1") not in CONTEXTS:
        raise ValueError("an issuer has an unknown authentication context")
    return TokenIssuer(authorized_parties=frozenset(parties), **texts)
