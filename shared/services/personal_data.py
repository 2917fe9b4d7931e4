"""Seals the names and addresses of the directory and opens them for those who may see them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain.personal_data import lookup_key, lookup_keys, word_keys
from shared.domain.sealed_fields import ERASED, Subject, read_sealed
from shared.domain.users import NOBODY, Personal, User
from shared.services.prompt_vault import PromptVault

FIELD = "personal"


@dataclass(frozen=True)
class PersonalData:
    """One data key per tenant; erasing a person from the directory removes the envelope itself."""

    vault: PromptVault
    secret: bytes = field(repr=False)  # of the keyed hashes

    async def sealed(self, user: User, personal: Personal) -> User:
        """The user with this personal data: sealed, and findable."""
        values = personal.as_json()
        if not any(values.values()):
            return replace(user, sealed=None, lookups={}, search_keys=())
        key = await self.vault.sealing_key(_subject(user.tenant_id))
        envelope = self.vault.seal(key, user.document_id, FIELD, json.dumps(values))
        return replace(
            user,
            sealed=envelope,
            lookups=lookup_keys(self.secret, user.tenant_id, values),
            search_keys=word_keys(self.secret, user.tenant_id, *values.values()),
        )

    async def opened(self, users: Sequence[User]) -> list[Personal]:
        """What is known of these people of one tenant, in their order."""
        envelopes = [read_sealed(user.sealed) if user.sealed else None for user in users]
        numbers = [each.key_number for each in envelopes if each]
        if not numbers:
            return [NOBODY for _ in users]
        subject = _subject(users[0].tenant_id)
        key = (await self.vault.opening_keys({subject: max(numbers)}))[subject]
        found = []
        for user, envelope in zip(users, envelopes, strict=True):
            text = self.vault.open(key, user.document_id, FIELD, envelope) if envelope else ERASED
            found.append(NOBODY if text == ERASED else Personal(**json.loads(text)))
        return found

    def search_keys(self, tenant_id: str, text: str) -> tuple[str, ...]:
        """What somebody must have who is found by these words."""
        return word_keys(self.secret, tenant_id, text)

    def user_name_key(self, tenant_id: str, user_name: str) -> str:
        return lookup_key(self.secret, tenant_id, "user_name", user_name)


def _subject(tenant_id: str) -> Subject:
    """No person has this key: object ids are GUIDs."""
    return Subject(tenant_id, f"{tenant_id}.directory")
