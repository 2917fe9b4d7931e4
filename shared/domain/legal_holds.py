"""Legal holds: pictures that nothing deletes until an administrator releases them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.domain.audit_events import AuditEvent
from shared.domain.blob_paths import PictureName
from shared.domain.budget_policies import policy_partition
from shared.domain.ids import Partition, split_image_id
from shared.domain.ledger import Document
from shared.domain.revisions import revision_document
from shared.errors import InvariantBroken

TYPE = "legal_hold"


@dataclass(frozen=True)
class LegalHold:
    """The hold on one picture, held or released; the tag of its blob follows this record."""

    image_id: str
    revision: int
    held: bool
    reason: str
    actor: str
    since: str
    change_id: str

    @property
    def picture(self) -> PictureName:
        return picture_of(self.image_id)

    @property
    def partition(self) -> Partition:
        """Beside the department's policies, whose outbox is looked at however old a picture is."""
        return policy_partition(self.picture.partition.department_id)

    def event(self, role: str, correlation_id: str) -> AuditEvent:
        return AuditEvent(
            action=f"hold.{'set' if self.held else 'released'}.{self.revision}",
            object_id=self.image_id,
            actor=self.actor,
            actor_role=role,
            outcome="success",
            occurred_at=self.since,
            correlation_id=correlation_id,
            details={"reason": self.reason},
        )


def picture_of(image_id: str) -> PictureName:
    """The picture an image id of our own records names."""
    parts = split_image_id(image_id)
    if parts is None:
        raise InvariantBroken("A record names no picture.")
    return PictureName(*parts)


def hold_document_id(image_id: str) -> str:
    return f"legal_hold:{image_id}"


def hold_document(hold: LegalHold) -> Document:
    """As it is stored; `applied` turns true when the blob's tag says the same."""
    document_id = hold_document_id(hold.image_id)
    return revision_document(hold.partition, document_id, TYPE, asdict(hold), applied=False)


def read_hold(document: Mapping[str, Any]) -> LegalHold:
    return LegalHold(**document["body"])
