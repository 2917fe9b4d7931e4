"""The issuer's refresh token of a session: sealed by its person's key, used to ask now and then."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.sealed_fields import Subject, read_sealed
from shared.domain.sessions import Session
from shared.ports.sessions import SignedIn, SignIn
from shared.services.prompt_vault import PromptVault

FIELD: Final = "refresh_token"


@dataclass(frozen=True)
class CheckOutcome:
    """Confirmed, refused, or neither: then nobody answered."""

    is_confirmed: bool = False
    is_refused: bool = False
    refresh_token: Mapping[str, Any] | None = None  # sealed; for the next check


@dataclass(frozen=True)
class SessionChecks:
    """Asks whether an account may still sign in, and keeps what it takes to ask again."""

    sign_in: SignIn
    vault: PromptVault

    async def sealed(self, who: SignedIn, family_id: str) -> Mapping[str, Any] | None:
        """The issuer's refresh token as the session keeps it."""
        if who.refresh_token is None:
            return None
        key = await self.vault.sealing_key(_subject(who.tenant_id, who.object_id))
        return self.vault.seal(key, _place(family_id), FIELD, who.refresh_token)

    async def check(self, tenant_id: str, object_id: str, session: Session) -> CheckOutcome:
        """Ask the issuer; another person than ours is a no. Raise EigError without an answer."""
        if session.refresh_token is None:
            return CheckOutcome()
        who = await self.sign_in.renew(await self._opened(tenant_id, object_id, session))
        if who is None or (who.tenant_id, who.object_id) != (tenant_id, object_id):
            return CheckOutcome(is_refused=True)
        kept = await self.sealed(who, session.family_id) or session.refresh_token
        return CheckOutcome(is_confirmed=True, refresh_token=kept)

    async def _opened(self, tenant_id: str, object_id: str, session: Session) -> str:
        sealed = read_sealed(session.refresh_token or {})
        subject = _subject(tenant_id, object_id)
        key = (await self.vault.opening_keys({subject: sealed.key_number}))[subject]
        return self.vault.open(key, _place(session.family_id), FIELD, sealed)


def _subject(tenant_id: str, object_id: str) -> Subject:
    return Subject(tenant_id, f"{tenant_id}.{object_id}")


def _place(family_id: str) -> str:
    return f"session:{family_id}"
