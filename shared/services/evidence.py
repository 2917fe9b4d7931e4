"""Receipts: what a generation was, cost and brought, each statement proven by the audit log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.evidence_views import (
    ApproverView,
    EvidenceImageView,
    EvidenceView,
    LoggedEventView,
    PromptCommitmentView,
)
from shared.domain.identity import Caller, Permission, require
from shared.domain.ids import operation_of, partition_of, row_of
from shared.domain.ledger import Document, partition_for
from shared.domain.views import CostView
from shared.domain.work import owner_of
from shared.errors import Conflict, NotFound
from shared.ports import Records
from shared.services.audit_log import AuditLogReader

NO_SUCH: Final = "There is no such generation."
CLOSED: Final = "generation.closed"
APPROVED: Final = "approval.approved."


@dataclass(frozen=True)
class Evidence:
    """Puts a generation's record and its logged events together.

    The log alone says which events there are: the last one binds its approvals by id.
    """

    records: Records
    log: AuditLogReader

    async def receipt(self, caller: Caller, generation_id: str) -> EvidenceView:
        """For whoever may see the generation; Conflict until its end is in the log."""
        record = await self._visible(caller, generation_id)
        if record["cost"] is None:
            raise Conflict("It has not ended yet.", code="not_ended")
        partition_key = partition_for(generation_id).key
        end_id = f"{generation_id}:{CLOSED}"
        reached = await self.log.covering([(partition_key, end_id)])
        end = await self.log.prove(partition_key, end_id, reached)
        closed = json.loads(end.entry)
        ids = [*_approval_ids(closed), end_id]
        admitted_id = _admitted_id(generation_id)
        if await self.log.has(partition_key, admitted_id):
            ids.insert(0, admitted_id)
        signed = await self.log.covering([(partition_key, each) for each in ids])
        proven = [await self.log.prove(partition_key, each, signed) for each in ids]
        proven.sort(key=lambda each: each.index)
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
            approvers=_approvers([json.loads(each.entry) for each in proven]),
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
        require(caller, Permission.GENERATIONS_READ, owner_of(record), "generation")
        return record


def _image(image: Mapping[str, Any]) -> EvidenceImageView:
    return EvidenceImageView(**{name: image[name] for name in EvidenceImageView.model_fields})


def _admitted_id(generation_id: str) -> str:
    """The event that let it start: its own, or that of its batch."""
    kind = "generation" if row_of(generation_id) is None else "batch"
    return f"{operation_of(generation_id)}:{kind}.admitted"


def _approval_ids(closed: Mapping[str, Any]) -> list[str]:
    """The approvals that the last event binds; none if it is of a version that bound none."""
    marks = closed["details"].get("approvals") or ""
    return [mark.split("=", 1)[0] for mark in marks.split(",") if mark]


def _prompt(record: Mapping[str, Any], closed: Mapping[str, Any]) -> PromptCommitmentView | None:
    commitment = closed["details"].get("prompt_commitment")
    if commitment is None:
        return None
    return PromptCommitmentView(commitment=commitment, salt=record.get("prompt_salt"))


def _approvers(events: Sequence[Mapping[str, Any]]) -> tuple[ApproverView, ...]:
    return tuple(
        ApproverView(actor=event["actor"], role=event["role"], at=event["at"])
        for event in events
        if event["action"].startswith(APPROVED)
    )
