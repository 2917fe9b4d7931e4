"""Approvals: somebody else decides whether a request may pass a limit; four eyes, or six.

    pending ──► approved ──► concluded   reserved, with the limits raised by exactly the amount
       │            └──────► failed      another budget, a higher price or a retired model
       ├──► rejected   ├──► expired   └──► canceled

Each step is one transaction with its audit event. Votes are documents that can be created once
per person; `approvals` and `escalations` are counted in the approval itself, and a step applies
only to the approval that was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared.domain.audit_events import AuditEvent, event_mark, outbox_document
from shared.domain.budgets import Budget, Scope
from shared.domain.identity import Caller, Ownership, Permission, Reach
from shared.domain.ids import Partition
from shared.domain.ledger import (
    Create,
    Document,
    Hold,
    Operation,
    Patch,
    hold_document,
    partition_for,
    read_hold,
)
from shared.domain.parked_work import (
    OperationKind,
    Parked,
    parked_document,
    place_freed_operations,
    sets,
    unpark_operations,
)
from shared.domain.predicates import equal, every, has_status
from shared.errors import Conflict, Unavailable

COMMENT_CHARS_MAX: Final = 500
ApprovalStatus = Literal[
    "pending", "approved", "concluded", "failed", "rejected", "expired", "canceled"
]
Decision = Literal["approve", "reject"]


@dataclass(frozen=True)
class Approval:
    """A question to the approvers of a department. Times are ISO 8601 in UTC."""

    kind: OperationKind
    hold: Hold  # what will be reserved if they approve
    raised: tuple[Scope, ...]  # the budgets that did not cover it; their limits will rise
    department_id: str
    required: int  # approvals of different people
    created_at: str
    escalates_at: str
    expires_at: str
    correlation_id: str
    summary: Mapping[str, str | int | None]  # what is asked for, in a few words of ours
    status: ApprovalStatus = "pending"
    approvals: int = 0
    escalations: int = 0
    decided_at: str | None = None
    reason: str | None = None  # why it came to nothing

    @property
    def operation_id(self) -> str:
        return self.hold.operation_id

    @property
    def requester(self) -> str:
        return self.hold.user_key

    @property
    def owner(self) -> Ownership:
        return Ownership(self.hold.tenant_id, self.department_id, self.requester)

    @property
    def partition(self) -> Partition:
        return partition_for(self.operation_id)


@dataclass(frozen=True)
class Vote:
    """One person's decision; `vote_id` tells a repeated send from a second vote."""

    operation_id: str
    vote_id: str
    approver: str
    approver_role: str
    decision: Decision
    comment: str
    voted_at: str
    mark: str | None = None  # of its audit event; None: of a version that kept none

    @property
    def document_id(self) -> str:
        return f"vote:{self.operation_id}:{self.approver}"


def approval_document_id(operation_id: str) -> str:
    return f"approval:{operation_id}"


def may_decide(caller: Caller, approval: Approval) -> bool:
    """Never the requester; the department's manager until it escalates; an Org Admin always."""
    if caller.tenant_id != approval.hold.tenant_id or caller.key == approval.requester:
        return False
    reach = caller.reach(Permission.APPROVALS_DECIDE)
    if reach == Reach.ORGANISATION:
        return True
    own = caller.department_id == approval.department_id
    return own and reach == Reach.DEPARTMENT and approval.escalations == 0


def voted(approval: Approval, vote: Vote) -> Approval:
    """The approval after a vote on it."""
    if vote.decision == "reject":
        return replace(approval, status="rejected", decided_at=vote.voted_at, reason="rejected")
    count = approval.approvals + 1
    if count < approval.required:
        return replace(approval, approvals=count)
    return replace(approval, approvals=count, status="approved", decided_at=vote.voted_at)


def check_price(approval: Approval, work: Parked) -> None:
    """Raise Conflict if work at the prices of now is dearer, or less, than what was approved."""
    if work.hold.rows < approval.hold.rows:
        raise Conflict("Some rows can no longer be carried out: ask again.", code="rows_unpriced")
    if work.hold.amount_micros > approval.hold.amount_micros:
        raise Conflict("It costs more by now than was approved: ask again.", code="price_rose")


def vote_event(approval: Approval, vote: Vote) -> AuditEvent:
    """What the audit log says of a vote: not its comment, which may name people."""
    approves = vote.decision == "approve"
    number = approval.approvals + 1
    return AuditEvent(
        action=f"approval.approved.{number}" if approves else "approval.rejected",
        object_id=approval.operation_id,
        actor=vote.approver,
        actor_role=vote.approver_role,
        outcome="success" if approves else "denied",
        occurred_at=vote.voted_at,
        correlation_id=approval.correlation_id,
        details={
            "required": approval.required,
            "amount_micros": approval.hold.amount_micros,
            "comment": bool(vote.comment),
        },
    )


def marked(approval: Approval, vote: Vote) -> Vote:
    """The vote with the mark of the event that it will leave if it is the next one."""
    return replace(vote, mark=event_mark(approval.partition, vote_event(approval, vote)))


def approval_marks(approval: Approval, votes: Sequence[Vote]) -> tuple[str, ...] | None:
    """What binds the approvals of work in its last event; None if a vote was kept without mark.

    Raises Unavailable while fewer votes can be read than were counted.
    """
    found = [vote.mark for vote in votes if vote.decision == "approve"]
    if len(found) != approval.approvals:
        raise Unavailable("The votes could not all be read yet.", retry_after_s=1)
    marks = sorted(mark for mark in found if mark is not None)
    return tuple(marks) if len(marks) == len(found) else None


def admitted_event(
    approval: Approval, work: Parked, admitted_at: str, policy_version: str | None
) -> AuditEvent:
    """What the audit log says when approved work is reserved."""
    return AuditEvent(
        action=f"{approval.kind}.admitted",
        object_id=approval.operation_id,
        actor=approval.requester,
        actor_role="approved",
        outcome="success",
        occurred_at=admitted_at,
        correlation_id=approval.correlation_id,
        details={
            "reserved_micros": work.hold.amount_micros,
            "approved_micros": approval.hold.amount_micros,
            "approvals": approval.approvals,
            "raised": " ".join(scope.name for scope in approval.raised),
            "policy_version": policy_version,
        },
    )


def request_operations(approval: Approval, work: Parked, event: AuditEvent) -> list[Operation]:
    """Ask: operation 0 takes the id of the work, so that it waits or is reserved, never both."""
    return [
        Create(parked_document(work)),
        Create(work.record),
        Create(approval_document(approval)),
        Create(outbox_document(approval.partition, event)),
    ]


def vote_operations(
    approval: Approval, vote: Vote, record: Mapping[str, Any] | None, event: AuditEvent
) -> list[Operation]:
    """Vote: operation 0 is the vote. A rejection also ends the work, as `record` says."""
    after = voted(approval, vote)
    freed = [] if record is None else place_freed_operations(_work_of(approval), record)
    document = {
        "id": vote.document_id,
        "pk": approval.partition.key,
        "type": "vote",
        **vars(vote),
    }
    return [
        Create(document),
        _step(approval, after),
        *freed,
        Create(outbox_document(approval.partition, event)),
    ]


def escalate_operations(approval: Approval, event: AuditEvent) -> list[Operation]:
    """Hand the question on to the Org Admins."""
    return [
        _step(approval, replace(approval, escalations=approval.escalations + 1)),
        Create(outbox_document(approval.partition, event)),
    ]


def close_operations(
    approval: Approval, after: Approval, record: Mapping[str, Any], event: AuditEvent
) -> list[Operation]:
    """Expire, cancel or fail: the work ends as `record` says, nothing was reserved."""
    return [
        _step(approval, after),
        *place_freed_operations(_work_of(approval), record),
        Create(outbox_document(approval.partition, event)),
    ]


def conclude_operations(
    approval: Approval,
    work: Parked,
    raised: Mapping[Scope, Budget],
    changes: Mapping[str, Any],
    event: AuditEvent,
) -> list[Operation]:
    """Carry an approval out: reserve, raise, start, all or nothing; operation 0 is the approval.

    `work` is what was approved at the prices of now, `changes` what that changes in its record.
    """
    return [
        _step(approval, replace(approval, status="concluded")),
        *unpark_operations(work, raised, event.occurred_at, changes),
        Create(outbox_document(approval.partition, event)),
    ]


def approval_document(approval: Approval) -> Document:
    hold = hold_document(approval.partition, approval.hold)
    return {
        "id": approval_document_id(approval.operation_id),
        "pk": approval.partition.key,
        "type": "approval",
        "operation_id": approval.operation_id,
        "tenant_id": approval.hold.tenant_id,
        "requester": approval.requester,
        **vars(approval),
        "hold": {name: hold[name] for name in hold if name not in ("id", "pk", "type")},
        "raised": [{"kind": s.kind, "scope_id": s.scope_id} for s in approval.raised],
        "summary": dict(approval.summary),
    }


def read_approval(document: Mapping[str, Any]) -> Approval:
    return Approval(
        kind=document["kind"],
        hold=read_hold(document["hold"]),
        raised=tuple(Scope(s["kind"], s["scope_id"]) for s in document["raised"]),
        department_id=document["department_id"],
        required=int(document["required"]),
        created_at=document["created_at"],
        escalates_at=document["escalates_at"],
        expires_at=document["expires_at"],
        correlation_id=document["correlation_id"],
        summary=document["summary"],
        status=document["status"],
        approvals=int(document["approvals"]),
        escalations=int(document["escalations"]),
        decided_at=document["decided_at"],
        reason=document["reason"],
    )


def read_vote(document: Mapping[str, Any]) -> Vote:
    return Vote(
        operation_id=document["operation_id"],
        vote_id=document["vote_id"],
        approver=document["approver"],
        approver_role=document["approver_role"],
        decision=document["decision"],
        comment=document["comment"],
        voted_at=document["voted_at"],
        mark=document.get("mark"),
    )


def _step(before: Approval, after: Approval) -> Patch:
    """The next state of an approval, if it stands as it was read."""
    changed = {
        name: getattr(after, name)
        for name in ("status", "approvals", "escalations", "decided_at", "reason")
        if getattr(after, name) != getattr(before, name)
    }
    counted = equal({"approvals": before.approvals, "escalations": before.escalations})
    stands = has_status("approved" if before.status == "approved" else "pending")
    return Patch(approval_document_id(before.operation_id), sets(changed), every(stands, counted))


def _work_of(approval: Approval) -> Parked:
    """The work behind an approval, as far as its transactions need it: not its record."""
    return Parked(approval.kind, approval.hold, {})
