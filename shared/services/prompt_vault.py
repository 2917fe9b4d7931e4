"""Seals and opens the prompts of stored documents, each person's under a key of their own."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.domain.data_keys import DataKey, data_key_event
from shared.domain.sealed_fields import (
    ERASED,
    SealedField,
    Subject,
    binding,
)
from shared.errors import NotFound, Unavailable
from shared.ports import Clock
from shared.ports.field_keys import DataKeys, FieldCipher, KeyWrapper

KEYS_CACHED_MAX: Final = 1_000  # people at work in one worker; some 200 bytes each
KEY_CACHED_S_MAX: Final = 300  # after a destruction, no worker opens a text for longer than this
UNWRAPS_AT_ONCE: Final = 8  # Key Vault: 500 unwraps in 10 s, for all workers together
CHANGE_TRIES_MAX: Final = 5  # of a key that somebody else changes at the same moment

logger = logging.getLogger("eig.prompt_vault")


@dataclass(frozen=True)
class LiveKey:
    """A person's data key in memory; without its secret it was destroyed."""

    subject: Subject
    number: int
    secret: bytes | None = field(repr=False)


@dataclass(frozen=True)
class _Cached:
    key: LiveKey
    until: datetime


class PromptVault:
    """Data keys are made on first use, unwrapped once and kept for a few minutes."""

    def __init__(
        self, keys: DataKeys, wrapper: KeyWrapper, cipher: FieldCipher, clock: Clock
    ) -> None:
        self._keys = keys
        self._wrapper = wrapper
        self._cipher = cipher
        self._clock = clock
        self._cache: OrderedDict[Subject, _Cached] = OrderedDict()
        self._loading = asyncio.Lock()

    @property
    def clock(self) -> Clock:
        """The clock that says when what was opened must be forgotten."""
        return self._clock

    async def sealing_key(self, subject: Subject) -> LiveKey:
        """The key for new texts of a person; made if there is none, or only a destroyed one."""
        cached = self._cached(subject, 1)
        if cached is not None and cached.secret is not None:
            return cached
        async with self._loading:
            cached = self._cached(subject, 1)
            if cached is None:
                found = await self._keys.find(subject.tenant_id, [subject])
                standing = found.get(subject)
            elif cached.secret is None:  # ask again: it may have been destroyed long ago
                standing = (await self._keys.find(subject.tenant_id, [subject])).get(subject)
            else:
                return cached
            if standing is None or standing.wrapped is None:
                standing = await self._made(subject, standing)
            return await self._unwrapped(standing)

    async def opening_keys(self, wanted: Mapping[Subject, int]) -> Mapping[Subject, LiveKey]:
        """The keys of people, each with at least the number that a stored text names.

        Raises Unavailable while a key that must exist cannot be read: only a key that is marked
        as destroyed is taken for destroyed.
        """
        missing = self._missing(wanted)
        if missing:
            async with self._loading:
                missing = self._missing(wanted)  # somebody may have loaded them meanwhile
                await self._load(missing, wanted)
        return {subject: self._cache[subject].key for subject in wanted}

    def seal(self, key: LiveKey, document_id: str, name: str, text: str) -> Mapping[str, Any] | str:
        """The envelope of a text; what says that a text was erased stays as it is."""
        if text == ERASED or key.secret is None:
            return ERASED
        bound_to = binding(key.subject, document_id, name, key.number)
        nonce, ciphertext = self._cipher.seal(key.secret, text, bound_to)
        return SealedField(key.number, nonce, ciphertext).as_json()

    def open(self, key: LiveKey, document_id: str, name: str, sealed: SealedField) -> str:
        """The text of an envelope, or ERASED if its key was destroyed."""
        if key.secret is None or sealed.key_number < key.number:
            return ERASED
        bound_to = binding(key.subject, document_id, name, sealed.key_number)
        return self._cipher.open(key.secret, sealed.nonce, sealed.ciphertext, bound_to)

    def disguise(self, key: LiveKey, name: str, text: str) -> bytes:
        """A text in a form that can be compared, and read back, by its person's key alone."""
        if key.secret is None:
            raise Unavailable("The data key was destroyed at this moment.")
        return self._cipher.disguise(key.secret, text, _person_bound(key, name))

    def reveal(self, key: LiveKey, name: str, number: int, disguised: bytes) -> str:
        """The text behind `disguise`, or ERASED if its key was destroyed."""
        if key.secret is None or number < key.number:
            return ERASED
        return self._cipher.reveal(key.secret, disguised, _person_bound(key, name))

    async def destroy(
        self, subject: Subject, *, actor: str, actor_role: str, reason: str, correlation_id: str
    ) -> None:
        """Make all texts of a person unreadable for ever; a repeat changes nothing.

        Raises NotFound if nothing of this person was ever sealed.
        """
        for _ in range(CHANGE_TRIES_MAX):
            key = (await self._keys.find(subject.tenant_id, [subject])).get(subject)
            if key is None:
                raise NotFound("There is no data key of this person.")
            event = data_key_event(
                key,
                "destroyed",
                self._clock.now().isoformat(),
                correlation_id,
                actor=actor,
                actor_role=actor_role,
                reason=reason,
            )
            if key.wrapped is None or await self._keys.destroy(key, event):
                self._cache.pop(subject, None)
                return
        raise Unavailable("The data key changes too fast to be destroyed now.", retry_after_s=1)

    async def _made(self, subject: Subject, destroyed: DataKey | None) -> DataKey:
        """A new key as it stands in the store: ours, or that of whoever was faster."""
        wrapped = await self._wrapper.wrap(self._cipher.new_key())
        key = DataKey(subject, 1, wrapped, self._clock.now().isoformat())
        if destroyed is not None:
            number, revision = destroyed.number + 1, destroyed.revision + 1
            key = replace(key, number=number, revision=revision)
        event = data_key_event(key, "created", key.created_at, self._clock.new_id())
        return await self._keys.create(key, event)

    async def _load(self, missing: Iterable[Subject], wanted: Mapping[Subject, int]) -> None:
        gate = asyncio.Semaphore(UNWRAPS_AT_ONCE)
        by_tenant: dict[str, list[Subject]] = {}
        for subject in missing:
            by_tenant.setdefault(subject.tenant_id, []).append(subject)
        for tenant_id, subjects in by_tenant.items():
            found = await self._keys.find(tenant_id, subjects)
            for subject in subjects:
                standing = found.get(subject)
                if standing is None or standing.number < wanted[subject]:
                    raise Unavailable("A data key could not be read yet.", retry_after_s=1)

            async def unwrap(key: DataKey) -> None:
                async with gate:
                    await self._unwrapped(key)

            await asyncio.gather(*(unwrap(found[subject]) for subject in subjects))

    async def _unwrapped(self, key: DataKey) -> LiveKey:
        """Unwrap a key and keep it for a while, also as destroyed."""
        secret = None if key.wrapped is None else await self._wrapper.unwrap(key.wrapped)
        live = LiveKey(key.subject, key.number, secret)
        until = self._clock.now() + timedelta(seconds=KEY_CACHED_S_MAX)
        self._cache[key.subject] = _Cached(live, until)
        self._cache.move_to_end(key.subject)
        return live

    def _missing(self, wanted: Mapping[Subject, int]) -> list[Subject]:
        self._trim(len(wanted))
        return [each for each, number in wanted.items() if self._cached(each, number) is None]

    def _cached(self, subject: Subject, number: int) -> LiveKey | None:
        """A key in memory that has not been kept for too long and is not older than asked for."""
        found = self._cache.get(subject)
        if found is None or found.until <= self._clock.now() or found.key.number < number:
            return None
        self._cache.move_to_end(subject)
        return found.key

    def _trim(self, coming: int) -> None:
        """Forget who was not at work for longest, but nobody of the page that is being opened."""
        while self._cache and len(self._cache) + coming > KEYS_CACHED_MAX + coming:
            self._cache.popitem(last=False)


def _person_bound(key: LiveKey, name: str) -> bytes:
    return binding(key.subject, key.subject.user_key, name, 1)
