"""What happens to a request that a budget refuses: refuse, wait for the next period, or ask."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Overage as OverageMode
from shared.domain.budgets import Scope
from shared.domain.identity import CLAIM_BY_ROLE, Caller
from shared.domain.ids import Partition
from shared.domain.ledger import Document, Reservation, partition_for
from shared.domain.parked_work import Move, OperationKind, Parked, ended_record, moved_id, parked
from shared.domain.rate_limits import images_of
from shared.errors import BudgetExceeded, Unavailable
from shared.ports import Clock, Ledger, Orchestrations
from shared.ports.parked_work import ParkedWork
from shared.services.approvals import Approvals
from shared.services.calendars import Calendars
from shared.services.rate_limits import RateLimits, Taken

START_SPREAD_S: Final = 30  # not all deferred work of a period starts in its first second
# Of several budgets that refuse, the one that allows least decides.
_BY_STRICTNESS: Final[tuple[OverageMode, ...]] = ("refuse", "queue", "approval")

logger = logging.getLogger("eig.overage")

Summary = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Wanted:
    """A request that was refused: how to reserve for it under an id, and what it is.

    `prepare` readies the work for another id before it waits there (a batch copies its plan).
    """

    kind: OperationKind
    operation_id: str
    correlation_id: str
    summary: Summary
    reservation: Callable[[str], Reservation]
    prepare: Callable[[str], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Overage:
    """Decides by the policy of the budgets that refuse; nothing is reserved here."""

    store: ParkedWork
    ledger: Ledger
    approvals: Approvals
    calendars: Calendars
    clock: Clock
    rate_limits: RateLimits | None = None  # counts what waits, too; nobody does in such proofs

    async def take(
        self,
        caller: Caller,
        refusal: BudgetExceeded,
        wanted: Wanted,
        orchestrations: Orchestrations,
    ) -> str | None:
        """Let the request wait if its budgets say so: the id it waits under; None to refuse it."""
        lacking = await self.lacking(wanted.reservation(wanted.operation_id), refusal)
        how = min((overage for _, overage in lacking), key=_BY_STRICTNESS.index)
        if how == "queue":
            return await self._defer(caller, wanted, orchestrations)
        if how == "approval":
            return await self.request_approval(
                caller, wanted, orchestrations, raised=[scope for scope, _ in lacking]
            )
        return None

    async def request_approval(
        self,
        caller: Caller,
        wanted: Wanted,
        orchestrations: Orchestrations,
        *,
        raised: Sequence[Scope],
    ) -> str | None:
        """Let a request wait until others approve that the limits of `raised` rise for it.

        Returns the id it waits under, which is its own; the same request waits once. None if its
        period has ended meanwhile: sent again, it is one of the next period.
        """
        work = parked(
            wanted.kind, wanted.reservation(wanted.operation_id), "awaiting_approval", None
        )
        waits = await self.approvals.request(
            caller,
            work,
            raised,
            wanted.summary,
            admins_only=await self._needs_admin(work.partition, raised),
            correlation_id=wanted.correlation_id,
            orchestrations=orchestrations,
        )
        return wanted.operation_id if waits else None

    async def _needs_admin(self, partition: Partition, raised: Sequence[Scope]) -> bool:
        """Whether this would raise a department that was not meant to be raised by approvals.

        Only an Org Admin may give a department more, or set `overage` so that its managers may.
        """
        for scope in raised:
            if scope.kind == "department":
                budget = await self.ledger.budget(partition, scope)
                return budget is None or budget.overage != "approval"
        return False

    async def lacking(
        self, reservation: Reservation, refusal: BudgetExceeded
    ) -> list[tuple[Scope, OverageMode]]:
        """The budgets that do not cover a request, as they look now, and what they allow.

        Looks only advise: whoever reserves later decides again, in one transaction.
        """
        hold = reservation.hold
        partition = partition_for(hold.operation_id)
        found: list[tuple[Scope, OverageMode]] = []
        for scope in hold.scopes:
            budget = await self.ledger.budget(partition, scope)
            if budget is None:  # the first to refuse stood before one that is not open yet
                await self.approvals.periods.open(partition, [scope])
                budget = await self.ledger.budget(partition, scope)
            refused = scope.name == refusal.extra.get("scope")
            if budget and (refused or budget.available_micros < hold.amount_micros):
                found.append((scope, budget.overage))
        if not found:
            raise Unavailable("The budget that refused could not be read yet.", retry_after_s=1)
        return found

    async def followed(self, operation_id: str, orchestrations: Orchestrations) -> str | None:
        """Where a request went on that was moved to the next period; None if it was not."""
        move = await self.store.find_move(operation_id)
        if move is None:
            return None
        await self.land(move, orchestrations)
        return move.parked.operation_id

    async def cancel(self, caller: Caller, record: Document, correlation_id: str) -> bool:
        """End work that waits, before anything was reserved; False when it waits no more."""
        operation_id = str(record.get("batch_id") or record["generation_id"])
        if record["status"] == "awaiting_approval":
            return await self.approvals.cancel(caller, operation_id, correlation_id)
        work = await self.store.parked(operation_id)
        if work is None:
            return False
        now = self.clock.now().isoformat()
        detail = "It was canceled while it waited for the next period."
        event = AuditEvent(
            action=f"{work.kind}.cancel_requested",
            object_id=operation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=now,
            correlation_id=correlation_id,
        )
        ended = ended_record(work.kind, "canceled", detail, now, canceled=True)
        return await self.store.drop(work, ended, event)

    async def land(self, move: Move, orchestrations: Orchestrations) -> None:
        """Let moved work wait in its own period, and start the wait; every step may be repeated."""
        await self.store.land(move)
        await self.start_deferred(move.parked, orchestrations)

    async def start_deferred(self, work: Parked, orchestrations: Orchestrations) -> None:
        """Start the durable wait, or leave that to the sweep."""
        try:
            await orchestrations.start_deferred(work.operation_id, str(work.record["starts_at"]))
        except Exception:
            logger.exception("wait left to the sweep", extra={"operation_id": work.operation_id})

    async def _defer(self, caller: Caller, wanted: Wanted, orchestrations: Orchestrations) -> str:
        partition = partition_for(wanted.operation_id)
        calendar = await self.calendars.of(partition.department_id)
        following = Partition(partition.department_id, calendar.following(partition.period))
        new_id = moved_id(wanted.operation_id, following)
        first_day = calendar.start(following.period)
        due = datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC)
        due += timedelta(seconds=int(new_id[-4:], 16) % START_SPREAD_S)
        taken = await self._counted(caller, wanted)
        try:
            if wanted.prepare is not None:
                await wanted.prepare(new_id)
        except Exception:  # nothing waits yet
            await self._give_back(taken)
            raise
        work = parked(wanted.kind, wanted.reservation(new_id), "deferred", due.isoformat())
        event = AuditEvent(
            action=f"{wanted.kind}.deferred",
            object_id=wanted.operation_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="success",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=wanted.correlation_id,
            details={
                "moved_to": new_id,
                "starts_at": due.isoformat(),
                "quoted_micros": work.hold.amount_micros,
            },
        )
        ours = Move(wanted.operation_id, work, due.isoformat())
        move = await self.store.move(ours, event)
        if move is not ours:
            await self._give_back(taken)
        if move is None:  # the same request was reserved, or asked for, at the same moment
            return wanted.operation_id
        await self.land(move, orchestrations)
        return move.parked.operation_id

    async def _counted(self, caller: Caller, wanted: Wanted) -> Taken:
        """Count what waits for a period now, because nobody counts it when that begins."""
        if self.rate_limits is None:
            return Taken()
        asked = wanted.reservation(wanted.operation_id)
        return await self.rate_limits.take(
            caller,
            images_of(asked.record),
            asked.hold.amount_micros,
            wanted.operation_id,
            wanted.correlation_id,
        )

    async def _give_back(self, taken: Taken) -> None:
        if self.rate_limits is not None:
            await self.rate_limits.give_back(taken)
