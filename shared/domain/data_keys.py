"""Data keys: one per person, stored only as a Key Vault key has wrapped it."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared.domain.audit_events import AuditEvent
from shared.domain.ids import Partition
from shared.domain.sealed_fields import Subject

DATA_KEY_BYTES: Final = 32  # AES-256
KEYS_ACTOR: Final = "system:prompt_vault"
DataKeyStatus = Literal["active", "destroyed"]
Document = dict[str, Any]


@dataclass(frozen=True)
class WrappedKey:
    """A data key as the version `kek` of the wrapping key has encrypted it."""

    kek: str
    algorithm: str
    wrapped: bytes


@dataclass(frozen=True)
class DataKey:
    """The data key of a person: its number rises when one is made after a destruction."""

    subject: Subject
    number: int
    wrapped: WrappedKey | None  # None: destroyed, and nothing can bring it back
    created_at: str
    revision: int = 0

    @property
    def status(self) -> DataKeyStatus:
        return "destroyed" if self.wrapped is None else "active"

    @property
    def document_id(self) -> str:
        return data_key_id(self.subject)

    @property
    def object_id(self) -> str:
        """What audit events call it."""
        return f"data_key:{self.subject.user_key}:{self.number}"

    def rewrapped(self, wrapped: WrappedKey) -> "DataKey":
        """The same key under another version of the wrapping key."""
        return replace(self, wrapped=wrapped, revision=self.revision + 1)

    def destroyed(self) -> "DataKey":
        """What stays of a key whose texts nobody shall read again."""
        return replace(self, wrapped=None, revision=self.revision + 1)


def keys_partition(tenant_id: str) -> Partition:
    """Where the data keys of a tenant are kept, beside the audit events about them."""
    return Partition(tenant_id, "keys")


def data_key_id(subject: Subject) -> str:
    return f"dek:{subject.user_key}"


def data_key_document(key: DataKey) -> Document:
    return {
        "id": key.document_id,
        "pk": keys_partition(key.subject.tenant_id).key,
        "type": "data_key",
        "tenant_id": key.subject.tenant_id,
        "user_key": key.subject.user_key,
        **data_key_state(key),
    }


def data_key_state(key: DataKey) -> Document:
    """The fields of the document that change."""
    wrapped = key.wrapped
    return {
        "created_at": key.created_at,
        "number": key.number,
        "revision": key.revision,
        "status": key.status,
        "kek": wrapped.kek if wrapped else None,
        "alg": wrapped.algorithm if wrapped else None,
        "wrapped": b64encode(wrapped.wrapped).decode() if wrapped else None,
    }


def read_data_key(document: Mapping[str, Any]) -> DataKey:
    wrapped = None
    if document["status"] == "active":
        wrapped = WrappedKey(
            document["kek"], document["alg"], b64decode(document["wrapped"], validate=True)
        )
    return DataKey(
        subject=Subject(document["tenant_id"], document["user_key"]),
        number=int(document["number"]),
        wrapped=wrapped,
        created_at=document["created_at"],
        revision=int(document["revision"]),
    )


def data_key_event(
    key: DataKey,
    what: str,
    occurred_at: str,
    correlation_id: str,
    *,
    actor: str = KEYS_ACTOR,
    actor_role: str = "system",
    reason: str | None = None,
) -> AuditEvent:
    """What happened to a data key; it names the version that wraps it, never the key."""
    return AuditEvent(
        action=f"data_key.{what}",
        object_id=key.object_id,
        actor=actor,
        actor_role=actor_role,
        outcome="success",
        occurred_at=occurred_at,
        correlation_id=correlation_id,
        reason=reason,
        details={"kek": key.wrapped.kek if key.wrapped else None, "number": key.number},
    )
