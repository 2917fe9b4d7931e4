"""Data keys in memory, and a vault whose versions a test can add and disable."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_data_keys import KEYS_CONTAINER, CosmosDataKeys
from shared.adapters.field_cipher import AesFieldCipher
from shared.domain.data_keys import DataKey, WrappedKey, keys_partition, read_data_key
from shared.domain.sealed_fields import Subject
from shared.errors import InvariantBroken, Unavailable
from shared.services.prompt_vault import PromptVault
from shared.services.sealed_documents import SealedDocuments
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection, Item


class FakeDataKeys(CosmosDataKeys):
    """The real store over the in-memory container; its queries are filters, its reads counted."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container(KEYS_CONTAINER)
        self.reads = 0

    async def find(
        self, tenant_id: str, subjects: Collection[Subject]
    ) -> Mapping[Subject, DataKey]:
        self.reads += 1
        if len(subjects) == 1:
            return await super().find(tenant_id, subjects)
        found = await self._of(keys_partition(tenant_id).key)
        return {key.subject: key for key in found if key.subject in subjects}

    async def wrapped_otherwise(self, kek: str, after: str, limit: int) -> Sequence[DataKey]:
        found = [
            key
            for key in await self._of(*self._fake.partitions)
            if key.wrapped and key.wrapped.kek != kek and key.subject.user_key > after
        ]
        return sorted(found, key=lambda key: key.subject.user_key)[:limit]

    async def _of(self, *partitions: str) -> list[DataKey]:
        async def scan() -> list[Item]:
            of_each = [
                await self._fake.scan(partition, lambda each: each["type"] == "data_key")
                for partition in partitions
            ]
            return [document for found in of_each for document in found]

        return [read_data_key(document) for document in await answered(scan)]


@dataclass
class FakeVault:
    """Implements the KeyWrapper port: the last version wraps, disabled ones refuse."""

    versions: dict[str, bytes] = field(default_factory=lambda: {"v1": os.urandom(32)})
    disabled: set[str] = field(default_factory=set)
    silent: bool = False
    calls: Counter[str] = field(default_factory=Counter)

    def add(self, version: str) -> None:
        self.versions[version] = os.urandom(32)

    async def newest(self) -> str:
        self._answer("newest")
        return list(self.versions)[-1]

    async def wrap(self, secret: bytes) -> WrappedKey:
        self._answer("wrap")
        version = list(self.versions)[-1]
        return WrappedKey(version, "A256KW", aes_key_wrap(self.versions[version], secret))

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        self._answer("unwrap")
        if wrapped.kek in self.disabled or wrapped.kek not in self.versions:
            raise InvariantBroken("This version is disabled.")
        return aes_key_unwrap(self.versions[wrapped.kek], wrapped.wrapped)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _answer(self, call: str) -> None:
        self.calls[call] += 1
        if self.silent:
            raise Unavailable("The vault does not answer.")


@dataclass
class Sealing:
    """Everything that seals, over one fake account."""

    connection: FakeConnection = field(default_factory=FakeConnection)
    wrapper: FakeVault = field(default_factory=FakeVault)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.keys = FakeDataKeys(self.connection)
        self.vault = self.worker()
        self.documents = SealedDocuments(self.vault)

    def worker(self) -> PromptVault:
        """A vault with an empty cache, as another worker has it."""
        return PromptVault(self.keys, self.wrapper, AesFieldCipher(), self.clock)
