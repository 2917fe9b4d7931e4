"""Approvals: ask somebody else, count votes, escalate, expire, and carry out what was approved."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.domain.approval_views import ApprovalList, ApprovalView, approval_view
from shared.domain.approvals import (
    Approval,
    Decision,
    Vote,
    admitted_event,
    approval_marks,
    check_price,
    marked,
    may_decide,
    vote_event,
    voted,
)
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget, Scope
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach, require
from shared.domain.ids import Partition, partition_of
from shared.domain.parked_work import Parked, ended_record
from shared.errors import (
    Conflict,
    NotFound,
    PeriodNotOpen,
    PolicyDenied,
    Rejected,
    Unavailable,
)
from shared.ports import Clock, Ledger, Orchestrations, Records
from shared.ports.parked_work import ParkedWork
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.departures import Departures
from shared.services.repricing import Repricing

VOTE_TRIES_MAX = 5  # votes of other people that may come in between
SYSTEM_ACTOR = "system:approvals"
NO_SUCH = "There is no such approval."
_ENDED = {
    "rejected": ("approval_rejected", "The request was not approved."),
    "expired": ("approval_expired", "Nobody decided in time."),
    "canceled": ("canceled", "It was canceled while it waited for an approval."),
}

logger = logging.getLogger("eig.approvals")


@dataclass(frozen=True)
class ApprovalTerms:
    """When approvals are handed on and when they end, and from which amount two must approve."""

    escalation: timedelta
    expiry: timedelta
    dual_above_micros: int


@dataclass(frozen=True)
class Ending:
    """How waiting work stands after a step; the rows are those of a batch that may start."""

    status: str
    kind: str
    rows: int = 1
    deadline_rows: int = 0


@dataclass(frozen=True)
class Approvals:
    """Four eyes on what a budget refuses, six above a threshold."""

    store: ParkedWork
    records: Records
    ledger: Ledger
    calendars: Calendars
    periods: BudgetPeriods
    clock: Clock
    terms: ApprovalTerms
    repricing: Repricing
    alerts: Alerts | None = None  # told of every reservation
    departures: Departures | None = None  # asked before it; nobody is in proofs of money alone

    async def request(
        self,
        caller: Caller,
        work: Parked,
        raised: Sequence[Scope],
        summary: Mapping[str, str | int | None],
        *,
        admins_only: bool,
        correlation_id: str,
        orchestrations: Orchestrations,
    ) -> bool:
        """Let work wait for an approval, the same work once; False if its period has ended.

        Nobody could decide on it any more: its id was made just before the end.
        """
        now = self.clock.now()
        calendar = await self.calendars.of(caller.department_id)
        # An approval belongs to the budgets of its period and ends with it at the latest.
        period_end = calendar.end(work.partition.period).isoformat() + "T00:00:00+00:00"
        if now.isoformat() >= period_end:
            return False
        expires_at = min((now + self.terms.expiry).isoformat(), period_end)
        amount = work.hold.amount_micros
        approval = Approval(
            kind=work.kind,
            hold=work.hold,
            raised=tuple(raised),
            department_id=caller.department_id,
            required=2 if amount > self.terms.dual_above_micros else 1,
            created_at=now.isoformat(),
            escalates_at=min((now + self.terms.escalation).isoformat(), expires_at),
            expires_at=expires_at,
            escalations=int(admins_only),  # as if it had been handed on at once
            correlation_id=correlation_id,
            summary=summary,
        )
        event = AuditEvent(
            action="approval.requested",
            object_id=approval.operation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=approval.created_at,
            correlation_id=correlation_id,
            details={
                "kind": work.kind,
                "amount_micros": amount,
                "scopes": " ".join(scope.name for scope in raised),
                "required": approval.required,
                "expires_at": approval.expires_at,
            },
        )
        if await self.store.request(approval, work, event):
            await self.watch(approval, orchestrations)
        return True

    async def watch(self, approval: Approval, orchestrations: Orchestrations) -> None:
        """Start the durable watch, or leave that to the sweep."""
        try:
            await orchestrations.start_approval(
                approval.operation_id, approval.escalates_at, approval.expires_at
            )
        except Exception:
            logger.exception("watch left to the sweep", extra=_extra(approval.operation_id))

    async def get(self, caller: Caller, operation_id: str) -> ApprovalView:
        """One approval with its votes, for the requester and for those who may approve."""
        approval = await self._visible(caller, operation_id)
        votes = await self.store.votes(operation_id)
        has_voted = caller.key in {vote.approver for vote in votes}
        return approval_view(
            approval, votes=votes, may_decide=may_decide(caller, approval) and not has_voted
        )

    async def list(self, caller: Caller, *, mine: bool, pending: bool) -> ApprovalList:
        """The caller's own requests, or what the caller may decide on."""
        items: list[ApprovalView] = []
        for partition in await self._partitions(caller, mine=mine):
            for approval in await self.store.approvals(
                partition, caller.tenant_id, caller.key if mine else None, pending=pending
            ):
                decides = may_decide(caller, approval)
                if mine or decides:
                    items.append(approval_view(approval, may_decide=decides))
        return ApprovalList(items=tuple(items))

    async def decide(
        self,
        caller: Caller,
        operation_id: str,
        decision: Decision,
        comment: str,
        *,
        correlation_id: str,
        orchestrations: Orchestrations,
    ) -> ApprovalView:
        """Vote once; what the last vote decides is carried out by the watch."""
        approval = await self._visible(caller, operation_id)
        vote = Vote(
            operation_id=operation_id,
            vote_id=self.clock.new_id(),
            approver=caller.key,
            approver_role=CLAIM_BY_ROLE[caller.role],
            decision=decision,
            comment=comment,
            voted_at=self.clock.now().isoformat(),
        )
        for _ in range(VOTE_TRIES_MAX):
            # First of all: what is decided leaves no event, however often somebody knocks.
            if approval.status != "pending" or vote.voted_at >= approval.expires_at:
                raise Conflict("This approval is decided, or has expired.", code="already_decided")
            if not may_decide(caller, approval):  # anew each time: it may escalate meanwhile
                raise await self._denied(caller, approval, correlation_id)
            vote = marked(approval, vote)
            record = None
            if decision == "reject":
                record = ended_record(approval.kind, *_ENDED["rejected"], vote.voted_at)
            if await self.store.vote(approval, vote, record, vote_event(approval, vote)):
                if voted(approval, vote).status != "pending":
                    await self._wake(operation_id, orchestrations)
                return await self.get(caller, operation_id)
            approval = await self._standing(operation_id)
        raise Unavailable("Others decide at the same time; try again.", retry_after_s=1)

    async def cancel(self, caller: Caller, operation_id: str, correlation_id: str) -> bool:
        """End waiting work before anything is reserved; False when it waits no more."""
        approval = await self.store.approval(operation_id)
        if approval is None or approval.status not in ("pending", "approved"):
            return False
        event = AuditEvent(
            action="approval.canceled",
            object_id=operation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
        )
        return await self._close(approval, "canceled", event) == "canceled"

    async def escalate(self, operation_id: str) -> Ending:
        """Hand an approval that nobody decided on to the Org Admins; once."""
        approval = await self._standing(operation_id)
        if approval.status == "pending" and approval.escalations == 0:
            event = self._system_event(approval, "escalated", "success")
            if await self.store.escalate(approval, event):
                logger.warning("approval escalated", extra=_extra(operation_id))
        return await self._ending(approval, approval.status)

    async def expire(self, operation_id: str) -> Ending:
        """End an approval whose time is over; one that is decided stays as it is."""
        approval = await self._standing(operation_id)
        due = self.clock.now().isoformat() >= approval.expires_at
        if approval.status != "pending" or not due:
            return await self._ending(approval, approval.status)
        event = self._system_event(approval, "expired", "denied")
        return await self._ending(approval, await self._close(approval, "expired", event))

    async def conclude(self, operation_id: str) -> Ending:
        """Reserve what was approved at the prices of now, once; says if the work may start now."""
        approval = await self._standing(operation_id)
        if approval.status != "approved":
            return await self._ending(approval, approval.status)
        work = await self.store.parked(operation_id)
        if work is None:  # an earlier delivery did it, or it was canceled
            return await self._ending(approval, await self._decided(operation_id))
        now = self.clock.now()
        try:
            held = await self.departures.check(work) if self.departures else None
            priced, changes = await self.repricing.priced(work, now)
            check_price(approval, priced)
            changes["approvals"] = await self._marks(approval)
            event = admitted_event(approval, priced, now.isoformat(), held)
            budgets = await self._reserve(approval, priced, changes, event)
        except PeriodNotOpen as unopened:
            raise Unavailable("A budget was not open yet.", retry_after_s=1) from unopened
        except Rejected as refusal:
            return await self._ending(approval, await self._fail(approval, refusal))
        if budgets is None:
            return await self._ending(approval, await self._decided(operation_id))
        if self.alerts is not None:
            await self.alerts.note(approval.partition, budgets)
        return await self._ending(approval, "concluded")

    async def _marks(self, approval: Approval) -> Sequence[str] | None:
        """What the work's last event says of those who approved it."""
        return approval_marks(approval, await self.store.votes(approval.operation_id))

    async def _reserve(
        self, approval: Approval, work: Parked, changes: Mapping[str, Any], event: AuditEvent
    ) -> tuple[Budget, ...] | None:
        try:
            return await self.store.conclude(approval, work, changes, event)
        except PeriodNotOpen:
            await self.periods.open(work.partition, work.hold.scopes)
            return await self.store.conclude(approval, work, changes, event)

    async def _decided(self, operation_id: str) -> str:
        """How an approval stands that somebody else has just carried out or ended."""
        standing = await self._standing(operation_id)
        if standing.status == "approved":
            raise Unavailable("The approval could not be read yet.", retry_after_s=1)
        return standing.status

    async def _ending(self, approval: Approval, status: str) -> Ending:
        if approval.kind != "batch" or status != "concluded":
            return Ending(status, approval.kind)
        batch = await self.records.batch(approval.operation_id)
        if batch is None:
            raise Unavailable("The batch could not be read yet.")
        return Ending(status, "batch", int(batch["rows"]), int(batch.get("deadline_rows", 0)))

    async def _fail(self, approval: Approval, refusal: Rejected) -> str:
        event = self._system_event(approval, "failed", "failure", refusal.problem_code)
        after = replace(
            approval,
            status="failed",
            decided_at=event.occurred_at,
            reason=refusal.problem_code,
        )
        record = ended_record(
            approval.kind, refusal.problem_code, refusal.detail, event.occurred_at
        )
        if await self.store.close(approval, after, record, event):
            return "failed"
        return (await self._standing(approval.operation_id)).status

    async def _close(self, approval: Approval, how: str, event: AuditEvent) -> str:
        code, detail = _ENDED[how]
        canceled = how == "canceled"
        after = replace(
            approval,
            status="canceled" if canceled else "expired",
            decided_at=event.occurred_at,
            reason=code,
        )
        record = ended_record(approval.kind, code, detail, event.occurred_at, canceled=canceled)
        if await self.store.close(approval, after, record, event):
            return after.status
        return (await self._standing(approval.operation_id)).status

    async def _wake(self, operation_id: str, orchestrations: Orchestrations) -> None:
        try:
            await orchestrations.approval_decided(operation_id)
        except Exception:
            logger.exception("decision left to the sweep", extra=_extra(operation_id))

    async def _denied(
        self, caller: Caller, approval: Approval, correlation_id: str
    ) -> PolicyDenied:
        own = caller.key == approval.requester
        code = "self_approval" if own else "policy_denied"
        event = AuditEvent(
            action=f"approval.denied.{self.clock.new_id()}",
            object_id=approval.operation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            reason=code,
        )
        await self.ledger.note_event(approval.partition, event)
        if own:
            return PolicyDenied("Nobody approves their own request.", code=code)
        return PolicyDenied("You may not decide on this: ask an Org Admin.", code=code)

    async def _partitions(self, caller: Caller, *, mine: bool) -> Sequence[Partition]:
        if not mine and caller.reach(Permission.APPROVALS_DECIDE) >= Reach.ORGANISATION:
            return await self.calendars.open_partitions()
        present = await self.calendars.partition(caller.department_id)
        calendar = await self.calendars.of(caller.department_id)
        return [present, Partition(present.department_id, calendar.previous(present.period))]

    async def _visible(self, caller: Caller, operation_id: str) -> Approval:
        if partition_of(operation_id) is None:
            raise NotFound(NO_SUCH)
        approval = await self.store.approval(operation_id)
        if approval is None:
            raise NotFound(NO_SUCH)
        require(caller, Permission.APPROVALS_READ, approval.owner, "approval")
        return approval

    async def _standing(self, operation_id: str) -> Approval:
        approval = await self.store.approval(operation_id)
        if approval is None:
            raise Unavailable("The approval could not be read yet.")
        return approval

    def _system_event(
        self, approval: Approval, what: str, outcome: str, reason: str | None = None
    ) -> AuditEvent:
        return AuditEvent(
            action=f"approval.{what}",
            object_id=approval.operation_id,
            actor=SYSTEM_ACTOR,
            actor_role="system",
            outcome=outcome,  # type: ignore[arg-type]
            occurred_at=self.clock.now().isoformat(),
            correlation_id=approval.correlation_id,
            reason=reason,
        )


def _extra(operation_id: str) -> dict[str, str]:
    return {"operation_id": operation_id}
