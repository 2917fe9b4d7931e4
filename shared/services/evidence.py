"""Receipts: what a generation was, cost and brought, each statement proven by the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.audit_entries import AuditRecord
from shared.domain.evidence_views import (
    ApproverView,
    EvidenceImageView,
    EvidenceView,
    LoggedEventView,
    PromptCommitmentView,
)
from shared.domain.identity import Caller, require_sight
from shared.domain.ids import operation_of, partition_of
from shared.domain.ledger import Document, partition_for
from shared.domain.views import CostView
from shared.domain.work import owner_of
from shared.errors import Conflict, NotFound
from shared.ports import Records
from shared.ports.audit_log import AuditFeed
from shared.services.audit_log import AuditLogReader, not_in_log_yet

NO_SUCH: Final = "There is no such generation."
CLOSED: Final = "generation.closed"
APPROVED: Final = "approval.approved."


@dataclass(frozen=True)
class Evidence:
    """Puts a generation's record and its logged events together."""

    records: Records
    feed: AuditFeed
    log: AuditLogReader

    async def receipt(self, caller: Caller, generation_id: str) -> EvidenceView:
        """For whoever may see the generation; Conflict until its end is in the log."""
        record = await self._visible(caller, generation_id)
        if record["cost"] is None:
            raise Conflict("It has not ended yet.", code="not_ended")
        partition = partition_for(generation_id)
        objects = sorted({generation_id, operation_of(generation_id)})
        found = await self.feed.about(partition, objects)
        closed = next((each.event for each in found if _ends(each, generation_id)), None)
        if closed is None:
            raise not_in_log_yet()
        signed = await self.log.covering([(partition.key, each.document_id) for each in found])
        proven = [await self.log.prove(partition.key, each.document_id, signed) for each in found]
        return EvidenceView(
            generation_id=generation_id,
            status=record["status"],
            model=record["model"],
            provider=record["provider"],
            provider_request_id=(record["provider_refs"] or {}).get("request_id"),
            provider_job_id=(record["provider_refs"] or {}).get("job_id"),
            images=tuple(_image(image) for image in record["images"]),
            prompt=_prompt(record, closed),
            price_version=record["quote"]["price_version"],
            exchange_rate_version=record["quote"]["exchange_rate_version"],
            cost=CostView(**record["cost"]),
            approvers=_approvers(found),
            events=tuple(
                LoggedEventView(entry=each.entry.decode(), index=each.index, proof=each.proof)
                for each in proven
            ),
            checkpoint=signed.note,
        )

    async def _visible(self, caller: Caller, generation_id: str) -> Document:
        if partition_of(generation_id) is None:
            raise NotFound(NO_SUCH)
        record = await self.records.generation(generation_id)
        if record is None:
            raise NotFound(NO_SUCH)
        require_sight(caller, owner_of(record), "generation")
        return record


def _image(image: Mapping[str, Any]) -> EvidenceImageView:
    return EvidenceImageView(**{name: image[name] for name in EvidenceImageView.model_fields})


def _ends(record: AuditRecord, generation_id: str) -> bool:
    event = record.event
    return bool(event["action"] == CLOSED and event["object_id"] == generation_id)


def _prompt(record: Mapping[str, Any], closed: Mapping[str, Any]) -> PromptCommitmentView | None:
    salt, commitment = record.get("prompt_salt"), closed["details"].get("prompt_commitment")
    if salt is None or commitment is None:
        return None
    return PromptCommitmentView(commitment=commitment, salt=salt)


def _approvers(events: Sequence[AuditRecord]) -> tuple[ApproverView, ...]:
    return tuple(
        ApproverView(
            actor=record.event["actor"],
            role=record.event["actor_role"],
            at=record.event["occurred_at"],
        )
        for record in events
        if record.event["action"].startswith(APPROVED)
    )
