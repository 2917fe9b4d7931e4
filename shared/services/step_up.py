"""Sensitive routes: a stronger or fresher sign-in than the one that got the caller in."""

from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.access_tokens import (
    Authentication,
    StepUpTerms,
    encoded_claims,
    unmet_claims,
)
from shared.errors import InsufficientClaims, StepUpRequired
from shared.ports import Clock, TokenVerifier

DETAIL: Final = "Sign in again, with more proof, before you do this."
SIGN_IN_PATH: Final = "/api/v1/auth/login?step_up=true"
# How the caller is told: by a challenge, by where a browser signs in, or by the refusal alone.
Answering = Literal["challenge", "sign_in", "refusal"]


@dataclass(frozen=True)
class StepUp:
    """Says no until the caller has shown what the terms demand, and how to show it."""

    terms: StepUpTerms
    tokens: TokenVerifier
    clock: Clock

    async def require(self, tenant_id: str, shown: Authentication, how: Answering) -> None:
        """Raise InsufficientClaims, a challenge, for clients that take one; StepUpRequired else."""
        unmet = unmet_claims(self.terms, tenant_id, shown, self.clock.now())
        if not unmet:
            return
        if how == "challenge":
            raise InsufficientClaims(
                DETAIL,
                authorization_uri=await self.tokens.authorization_uri(tenant_id),
                claims=encoded_claims(unmet),
            )
        extra = {"sign_in": SIGN_IN_PATH} if how == "sign_in" else {}
        raise StepUpRequired(DETAIL, extra=extra)
