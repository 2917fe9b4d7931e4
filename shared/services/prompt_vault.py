"""Data keys at work: made on first use, unwrapped once, kept for a few minutes, destroyed."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.domain.data_keys import DataKey, data_key_event
from shared.domain.sealed_fields import ERASED, SealedField, Subject, binding
from shared.errors import InvariantBroken, NotFound, Unavailable
from shared.ports import Clock
from shared.ports.field_keys import DataKeys, FieldCipher, KeyWrapper

KEYS_CACHED_MAX: Final = 1_000  # people at work in one worker; some 500 bytes each
KEY_CACHED_S_MAX: Final = 300  # after a destruction, no worker opens a text for longer than this
UNWRAPS_AT_ONCE: Final = 8  # Key Vault allows 500 in 10 s (RSA 3072), for all workers together
CHANGE_TRIES_MAX: Final = 5  # of a key that somebody else changes at the same moment


@dataclass(frozen=True)
class LiveKey:
    """A person's data key in memory, for use until `until`; without its secret it was destroyed."""

    subject: Subject
    number: int
    until: datetime
    secret: bytes | None = field(repr=False)


class PromptVault:
    """Every person's texts are sealed by that person's key; nothing here knows of documents."""

    def __init__(
        self, keys: DataKeys, wrapper: KeyWrapper, cipher: FieldCipher, clock: Clock
    ) -> None:
        self.clock = clock
        self._keys = keys
        self._wrapper = wrapper
        self._cipher = cipher
        self._cache: OrderedDict[Subject, LiveKey] = OrderedDict()
        self._loading = asyncio.Lock()  # who needs the same key at the same moment reads it once

    async def sealing_key(self, subject: Subject) -> LiveKey:
        """The key for new texts of a person; made if there is none, or only a destroyed one."""
        found = self._cached(subject, 1)
        if found is None or found.secret is None:
            async with self._loading:
                found = self._cached(subject, 1)
                if found is None or found.secret is None:
                    found = await self._found_or_made(subject)
        return found

    async def opening_keys(self, wanted: Mapping[Subject, int]) -> Mapping[Subject, LiveKey]:
        """The keys of people, each with at least the number that a stored text names.

        Raises Unavailable while a key that must exist cannot be read: only a key that is marked
        as destroyed is taken for destroyed.
        """
        found = self._all_cached(wanted)
        if len(found) < len(wanted):
            async with self._loading:
                found = self._all_cached(wanted)  # somebody may have loaded them meanwhile
                missing = {who: number for who, number in wanted.items() if who not in found}
                found |= await self._loaded(missing)
        return found

    def seal(self, key: LiveKey, document_id: str, name: str, text: str) -> Mapping[str, Any]:
        """The envelope of a text."""
        bound_to = binding(key.subject, document_id, name, key.number)
        nonce, ciphertext = self._cipher.seal(_secret_of(key), text, bound_to)
        return SealedField(key.number, nonce, ciphertext).as_json()

    def open(self, key: LiveKey, document_id: str, name: str, sealed: SealedField) -> str:
        """The text of an envelope, or ERASED if its key was destroyed."""
        if key.secret is None or sealed.key_number < key.number:
            return ERASED
        bound_to = binding(key.subject, document_id, name, sealed.key_number)
        return self._cipher.open(key.secret, sealed.nonce, sealed.ciphertext, bound_to)

    def disguise(self, key: LiveKey, name: str, text: str) -> bytes:
        """A text in a form that can be compared, but read by its person's key alone."""
        return self._cipher.disguise(_secret_of(key), text, _to_person(key, name))

    def reveal(self, key: LiveKey, name: str, number: int, disguised: bytes) -> str:
        """The text behind `disguise`, or ERASED if its key was destroyed."""
        if key.secret is None or number < key.number:
            return ERASED
        return self._cipher.reveal(key.secret, disguised, _to_person(key, name))

    async def destroy(
        self, subject: Subject, *, actor: str, actor_role: str, reason: str, correlation_id: str
    ) -> None:
        """Make all texts of a person unreadable for ever; a repeat changes nothing.

        Raises NotFound if nothing of this person was ever sealed. Other workers forget the key
        within KEY_CACHED_S_MAX.
        """
        for _ in range(CHANGE_TRIES_MAX):
            key = (await self._keys.find(subject.tenant_id, [subject])).get(subject)
            if key is None:
                raise NotFound("There is no data key of this person.")
            event = data_key_event(
                key,
                "destroyed",
                self.clock.now().isoformat(),
                correlation_id,
                actor=actor,
                actor_role=actor_role,
                reason=reason,
            )
            if key.wrapped is None or await self._keys.destroy(key, event):
                self._cache.pop(subject, None)
                return
        raise Unavailable("The data key changes too fast to be destroyed now.", retry_after_s=1)

    async def _found_or_made(self, subject: Subject) -> LiveKey:
        standing = (await self._keys.find(subject.tenant_id, [subject])).get(subject)
        if standing is None or standing.wrapped is None:
            standing = await self._made(subject, standing)
        return await self._unwrapped(standing)

    async def _made(self, subject: Subject, destroyed: DataKey | None) -> DataKey:
        """A new key as it stands in the store: ours, or that of whoever was faster."""
        wrapped = await self._wrapper.wrap(self._cipher.new_key())
        key = DataKey(subject, 1, wrapped, self.clock.now().isoformat())
        if destroyed is not None:
            number, revision = destroyed.number + 1, destroyed.revision + 1
            key = replace(key, number=number, revision=revision)
        event = data_key_event(key, "created", key.created_at, self.clock.new_id())
        return await self._keys.create(key, event)

    async def _loaded(self, wanted: Mapping[Subject, int]) -> dict[Subject, LiveKey]:
        by_tenant: dict[str, list[Subject]] = {}
        for subject in wanted:
            by_tenant.setdefault(subject.tenant_id, []).append(subject)
        keys: list[DataKey] = []
        for tenant_id, subjects in by_tenant.items():
            found = await self._keys.find(tenant_id, subjects)
            for subject in subjects:
                key = found.get(subject)
                if key is None or key.number < wanted[subject]:
                    raise Unavailable("A data key could not be read yet.", retry_after_s=1)
                keys.append(key)
        return {key.subject: key for key in await self._all_unwrapped(keys)}

    async def _all_unwrapped(self, keys: Sequence[DataKey]) -> list[LiveKey]:
        live: list[LiveKey] = []
        for start in range(0, len(keys), UNWRAPS_AT_ONCE):
            some = keys[start : start + UNWRAPS_AT_ONCE]
            live += await asyncio.gather(*map(self._unwrapped, some))
        return live

    async def _unwrapped(self, key: DataKey) -> LiveKey:
        """Unwrap a key and keep it for a while; that it was destroyed is kept as well."""
        secret = None if key.wrapped is None else await self._wrapper.unwrap(key.wrapped)
        until = self.clock.now() + timedelta(seconds=KEY_CACHED_S_MAX)
        live = self._cache[key.subject] = LiveKey(key.subject, key.number, until, secret)
        self._cache.move_to_end(key.subject)
        while len(self._cache) > KEYS_CACHED_MAX:
            self._cache.popitem(last=False)
        return live

    def _all_cached(self, wanted: Mapping[Subject, int]) -> dict[Subject, LiveKey]:
        found = {subject: self._cached(subject, number) for subject, number in wanted.items()}
        return {subject: key for subject, key in found.items() if key is not None}

    def _cached(self, subject: Subject, number: int) -> LiveKey | None:
        """A key in memory that may still be used and is not older than asked for."""
        found = self._cache.get(subject)
        if found is None or found.until <= self.clock.now() or found.number < number:
            return None
        self._cache.move_to_end(subject)
        return found


def _secret_of(key: LiveKey) -> bytes:
    if key.secret is None:
        raise InvariantBroken("Nothing may be sealed by a destroyed key.")
    return key.secret


def _to_person(key: LiveKey, name: str) -> bytes:
    """What is compared belongs to a person and not to a document."""
    return binding(key.subject, key.subject.user_key, name, key.number)
