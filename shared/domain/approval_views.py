"""How approvals look over HTTP."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from shared.domain.approvals import Approval, ApprovalStatus, Decision, Vote
from shared.domain.budgets import CURRENCY
from shared.domain.parked_work import OperationKind
from shared.domain.views import View


class VoteView(View):
    """One person's decision."""

    approver: str = Field(description="object id")
    decision: Decision
    comment: str
    voted_at: str


class ApprovalView(View):
    """A request that waits for somebody else's consent, and how it went."""

    id: str = Field(description="also the id of the generation or batch it is about")
    kind: OperationKind
    status: ApprovalStatus
    department_id: str
    period: str
    requested_by: str = Field(description="object id of the person who asked")
    amount_micros: int = Field(description="what will be reserved; the limits rise by as much")
    currency: Literal["AUD"] = CURRENCY
    scopes: tuple[str, ...] = Field(description="budgets that will be charged")
    raised_scopes: tuple[str, ...] = Field(description="budgets whose limit will rise")
    summary: dict[str, str | int | None] = Field(description="what is asked for")
    required_approvals: int = Field(description="by different people, none the requester")
    approvals: int
    escalated: bool = Field(description="only an Org Admin may decide now")
    may_decide: bool = Field(description="whether the caller may decide on it now")
    reason: str | None
    votes: tuple[VoteView, ...]
    created_at: str
    escalates_at: str
    expires_at: str
    decided_at: str | None


class ApprovalList(View):
    """Approvals, newest first within a department and period."""

    items: tuple[ApprovalView, ...]


def approval_view(
    approval: Approval, *, votes: Sequence[Vote] = (), may_decide: bool
) -> ApprovalView:
    return ApprovalView(
        id=approval.operation_id,
        kind=approval.kind,
        status=approval.status,
        department_id=approval.department_id,
        period=approval.partition.period,
        requested_by=_person(approval.requester),
        amount_micros=approval.hold.amount_micros,
        scopes=tuple(scope.name for scope in approval.hold.scopes),
        raised_scopes=tuple(scope.name for scope in approval.raised),
        summary=dict(approval.summary),
        required_approvals=approval.required,
        approvals=approval.approvals,
        escalated=approval.escalations > 0,
        may_decide=may_decide and approval.status == "pending",
        reason=approval.reason,
        votes=tuple(
            VoteView(
                approver=_person(vote.approver),
                decision=vote.decision,
                comment=vote.comment,
                voted_at=vote.voted_at,
            )
            for vote in votes
        ),
        created_at=approval.created_at,
        escalates_at=approval.escalates_at,
        expires_at=approval.expires_at,
        decided_at=approval.decided_at,
    )


def _person(key: str) -> str:
    return key.rpartition(".")[2]
