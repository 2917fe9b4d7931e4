"""Keys of sealed fields: what wraps them, where they are kept, and the cipher that uses them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from shared.domain.audit_events import AuditEvent
from shared.domain.data_keys import DataKey, WrappedKey
from shared.domain.sealed_fields import Subject


class KeyWrapper(Protocol):
    """The key that wraps data keys; it has versions, and each wrapping names its own.

    All raise Unavailable when the same call may be repeated, InvariantBroken otherwise.
    """

    async def newest(self) -> str:
        """The version that `wrap` uses now."""
        ...

    async def wrap(self, secret: bytes) -> WrappedKey: ...

    async def unwrap(self, wrapped: WrappedKey) -> bytes: ...

    async def aclose(self) -> None: ...


class FieldCipher(Protocol):
    """Authenticated encryption: what was not sealed for this place raises InvariantBroken."""

    def new_key(self) -> bytes:
        """A data key from the system's source of randomness."""
        ...

    def seal(self, key: bytes, text: str, bound_to: bytes) -> tuple[bytes, bytes]:
        """A fresh nonce and the ciphertext with its tag."""
        ...

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, bound_to: bytes) -> str: ...

    def disguise(self, key: bytes, text: str, bound_to: bytes) -> bytes:
        """The same ciphertext for the same text, so that it can be compared unopened."""
        ...

    def reveal(self, key: bytes, ciphertext: bytes, bound_to: bytes) -> str: ...


class DataKeys(Protocol):
    """Wrapped data keys. Each change is one transaction with its audit event."""

    async def find(
        self, tenant_id: str, subjects: Collection[Subject]
    ) -> Mapping[Subject, DataKey]:
        """The keys of some people of a tenant, in one read; who has none is left out."""
        ...

    async def create(self, key: DataKey, event: AuditEvent) -> DataKey:
        """Keep a person's first key, or the one after a destroyed one; the key that stands."""
        ...

    async def rewrap(self, key: DataKey, wrapped: WrappedKey, event: AuditEvent) -> bool:
        """Replace how a key is wrapped; False if it is no longer as it was read."""
        ...

    async def destroy(self, key: DataKey, event: AuditEvent) -> bool:
        """Forget a key for ever; False if it is no longer as it was read."""
        ...

    async def wrapped_otherwise(self, kek: str, after: str, limit: int) -> Sequence[DataKey]:
        """Active keys of all tenants that another version wraps.

        In the order of their people from `after` on; a person's key names the tenant first.
        """
        ...
