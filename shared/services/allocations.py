"""Moves allocation between the organisation's cap and the departments, and finishes what stopped.

Every step is safe to repeat and to run beside itself, so a transfer that a crash has cut off is
simply carried out again, by whoever meets it first: the same caller, or the sweep.
"""

import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.domain.allocations import (
    Cut,
    EndStatus,
    Transfer,
    TransferKind,
    asked,
    under_cap,
    wanted_micros,
)
from shared.domain.audit_events import AuditEvent
from shared.domain.budget_policies import budget_object_id
from shared.domain.budgets import Budget, Scope
from shared.domain.generations import request_hash
from shared.domain.ids import Partition
from shared.domain.organisation_policies import (
    OrganisationPolicy,
    cap_partition,
    nests,
    organisation_policies,
    organisation_scope,
)
from shared.domain.periods import Calendar, month_of
from shared.errors import (
    BudgetExceeded,
    FieldFault,
    Invalid,
    InvariantBroken,
    PeriodNotOpen,
    Unavailable,
)
from shared.ports import BudgetPolicies, Clock, Directory, Ledger
from shared.ports.allocations import AllocationLedger, OrganisationPolicies
from shared.services.calendars import Calendars

SYSTEM_ACTOR = "system:allocations"
GRACE = timedelta(seconds=30)  # younger transfers are left to the request that asked for them
RECENT_PERIODS = 13  # of the organisation: a statement may be closed long after its period
TRIES_MAX = 5  # of a release whose budget changed between the read and the write

logger = logging.getLogger("eig.allocations")


@dataclass
class AllocationReport:
    """What one run of the sweep did."""

    finished: int = 0
    adopted: int = 0
    uncapped: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Allocations:
    """The cap of the organisations `tenants`, and what their departments may have of it."""

    books: AllocationLedger
    organisations: OrganisationPolicies
    ledger: Ledger
    budget_policies: BudgetPolicies
    calendars: Calendars
    directory: Directory
    clock: Clock
    tenants: Sequence[str]

    async def open(
        self, tenant_id: str, department_id: str, period: str, amount_micros: int
    ) -> int | None:
        """Allocate what a department's period needs, once; None if nothing caps the organisation.

        The answer is what the first caller was given: a budget must be created with that much and
        not promise more. Raises BudgetExceeded when the cap does not cover the amount.
        """
        policy = await self.organisations.policy(tenant_id)
        if policy is None:
            return None
        target = Partition(department_id, period)
        transfer = self._system(policy, "open", amount_micros, target=target)
        opening = replace(transfer, transfer_id=f"open-{department_id}-{period}")
        standing = await self.carry_out(await self.ask(policy, opening))
        if standing.status != "done":
            raise InvariantBroken("An opening allocation cannot be refused by the department.")
        return standing.amount_micros

    async def cover(self, partition: Partition, budget: Budget, carried_micros: int = 0) -> Budget:
        """A department's budget as it may be created: under the cap, with its allocation.

        What rolled over is given up if the cap cannot pay for it as well.
        """
        department_id = partition.department_id
        tenant_id = await self.directory.tenant_of(department_id)
        if tenant_id is None or await self.ledger.budget(partition, budget.scope) is not None:
            return budget
        wanted = wanted_micros(budget)
        if carried_micros:
            calendar = await self.calendars.of(department_id)
            await self._return_spare(department_id, calendar.previous(partition.period))
        try:
            allocated = await self.open(tenant_id, department_id, partition.period, wanted)
        except BudgetExceeded:
            if carried_micros == 0:
                raise
            least = wanted - carried_micros
            allocated = await self.open(tenant_id, department_id, partition.period, least)
        return budget if allocated is None else under_cap(budget, allocated)

    async def check_calendar(self, department_id: str, calendar: Calendar) -> None:
        """Raise Invalid if a department's periods would reach over an end of the organisation's."""
        policy = await self._policy_of(department_id)
        month = month_of(self.clock.now())
        if policy is not None and not nests(calendar, policy.calendar, month):
            raise Invalid(
                "The period would reach over an end of the organisation's period.",
                code="calendar_does_not_nest",
                faults=[FieldFault("/period", "as long as the organisation's, or a part of it")],
            )

    async def ask(self, policy: OrganisationPolicy, transfer: Transfer) -> Transfer:
        """Record a transfer, opening the organisation's period if need be; see the port."""
        try:
            return await self.books.ask(asked(transfer))
        except PeriodNotOpen:
            await self.organisations.open_cap(policy, transfer.period)
            return await self.books.ask(asked(transfer))

    async def carry_out(self, transfer: Transfer) -> Transfer:
        """Bring a recorded transfer to its end; one that has ended stays as it is."""
        if not transfer.is_open:
            return transfer
        status = await self._moved(transfer)
        at = self._now()
        await self.books.finish(transfer, status, at)
        return replace(transfer, status=status, completed_at=at)

    async def _moved(self, transfer: Transfer) -> EndStatus:
        # Taking comes first: at no moment do the departments have more than the cap has given.
        if transfer.source and not await self.books.take(transfer, self._now()):
            return "refused"
        if transfer.target and not await self.books.give(transfer, self._now()):
            return "returned"
        return "done"

    async def release_unused(self, department_id: str, period: str) -> int:
        """Give back what a period that has ended did not use; returns how much, in micro-AUD.

        Its limit comes down to what is committed. Call it again when late holds have ended.
        """
        partition = Partition(department_id, period)
        policy = await self._policy_of(department_id)
        if policy is None:
            return 0
        await self._carry_over(partition)
        for _ in range(TRIES_MAX):
            budget = await self._budget(partition)
            if budget is None or budget.allocated_micros is None:
                return 0
            amount = budget.allocated_micros - budget.committed_micros
            if amount == 0:
                return 0
            transfer = self._system(policy, "release", amount, source=partition)
            cut = Cut(budget.limit_micros, budget.committed_micros)
            ended = await self.carry_out(await self.ask(policy, replace(transfer, cut=cut)))
            if ended.status == "done":
                return amount
        raise Unavailable("The budget changes too fast to be released.", retry_after_s=1)

    async def _return_spare(self, department_id: str, period: str) -> None:
        """Give back what a period has beyond its limit, as after its rest has rolled over."""
        partition = Partition(department_id, period)
        policy, budget = await self._policy_of(department_id), await self._budget(partition)
        if policy is None or budget is None or budget.allocated_micros is None:
            return
        spare = budget.allocated_micros - max(budget.ceiling_micros, budget.committed_micros)
        if spare > 0:
            transfer = self._system(policy, "return", spare, source=partition)
            await self.carry_out(await self.ask(policy, transfer))

    async def _carry_over(self, partition: Partition) -> None:
        """What rolls over leaves the limit before the rest does; later there would be none."""
        scope = Scope("department", partition.department_id)
        policy = await self.budget_policies.policy(partition.department_id, scope)
        if policy is None or policy.deleted or policy.rollover == "none":
            return
        calendar = await self.calendars.of(partition.department_id)
        event = AuditEvent(
            action="budget.carried_over",
            object_id=budget_object_id(partition, scope),
            actor=SYSTEM_ACTOR,
            actor_role="system",
            outcome="success",
            occurred_at=self._now(),
            correlation_id=f"{partition.department_id}-{partition.period}",
            details={"to": calendar.following(partition.period)},
        )
        await self.budget_policies.carry_over(partition, policy, event)

    async def sweep(self) -> AllocationReport:
        """Finish transfers that stopped half way, bring caps and open budgets under the policy."""
        report = AllocationReport()
        before = (self.clock.now() - GRACE).isoformat()
        for tenant_id in self.tenants:
            policy = await self.organisations.policy(tenant_id)
            if policy is None:
                continue
            await self._guarded(report, self.follow(policy, SYSTEM_ACTOR, "system", "sweep"))
            for partition in self._recent(policy):
                await self._guarded(report, self._finish(partition, before, report))
            for department_id in await self.directory.departments():
                await self._guarded(report, self._adopt(policy, department_id, report))
        return report

    async def _guarded(self, report: AllocationReport, step: Coroutine[Any, Any, object]) -> None:
        try:
            await step
        except Exception:  # one bad document must not keep the others from their end
            report.errors += 1
            logger.exception("a step of the allocation sweep failed")

    async def follow(
        self, policy: OrganisationPolicy, actor: str, role: str, correlation_id: str
    ) -> None:
        """Give the cap of the present period the limit of its policy."""
        period = policy.calendar.period_at(self.clock.now())
        cap = await self.organisations.cap(cap_partition(policy.tenant_id, period))
        if cap is None or cap.revision >= policy.revision:
            return
        event = AuditEvent(
            action=f"budget.applied.{policy.revision}",
            object_id=f"{organisation_scope(policy.tenant_id)}:{period}",
            actor=actor,
            actor_role=role,
            outcome="success",
            occurred_at=self._now(),
            correlation_id=correlation_id,
            details={"before_micros": cap.limit_micros, "after_micros": policy.limit_micros},
        )
        await self.organisations.follow(policy, period, event)

    async def outbox_partitions(self, *, thorough: bool) -> Sequence[Partition]:
        """Where audit events of the organisations wait; `thorough` looks a year back as well."""
        found = []
        for tenant_id in self.tenants:
            policy = await self.organisations.policy(tenant_id)
            found.append(organisation_policies(tenant_id))
            found += self._recent(policy)[: None if thorough else 2] if policy else []
        return found

    async def _finish(self, partition: Partition, before: str, report: AllocationReport) -> None:
        for transfer in await self.books.unfinished(partition, before):
            await self._guarded(report, self.carry_out(transfer))
            report.finished += 1

    async def _adopt(
        self, policy: OrganisationPolicy, department_id: str, report: AllocationReport
    ) -> None:
        """Bring a budget that was opened without a cap under it, if the cap covers it."""
        if not await self.directory.has_department(policy.tenant_id, department_id):
            return
        partition = await self.calendars.partition(department_id)
        budget = await self._budget(partition)
        if budget is None or budget.allocated_micros is not None:
            return
        try:
            adopted = budget.mode != "warn" and await self._adopted(policy, partition, budget)
        except BudgetExceeded:
            adopted = False
        report.adopted += adopted
        report.uncapped += not adopted

    async def _adopted(
        self, policy: OrganisationPolicy, partition: Partition, budget: Budget
    ) -> bool:
        needed = max(budget.ceiling_micros, budget.committed_micros)
        department_id, period = partition.department_id, partition.period
        opened = await self.open(policy.tenant_id, department_id, period, needed)
        if opened is None:
            return False
        transfer = self._system(policy, "adopt", max(0, needed - opened), target=partition)
        adoption = replace(transfer, opened_micros=opened)
        ended = await self.carry_out(await self.ask(policy, adoption))
        return ended.status == "done"

    async def _policy_of(self, department_id: str) -> OrganisationPolicy | None:
        tenant_id = await self.directory.tenant_of(department_id)
        return await self.organisations.policy(tenant_id) if tenant_id else None

    async def _budget(self, partition: Partition) -> Budget | None:
        return await self.ledger.budget(partition, Scope("department", partition.department_id))

    def _recent(self, policy: OrganisationPolicy) -> list[Partition]:
        period = policy.calendar.period_at(self.clock.now())
        found = []
        for _ in range(RECENT_PERIODS):
            found.append(cap_partition(policy.tenant_id, period))
            period = policy.calendar.previous(period)
        return found

    def _system(
        self,
        policy: OrganisationPolicy,
        kind: TransferKind,
        amount_micros: int,
        *,
        source: Partition | None = None,
        target: Partition | None = None,
    ) -> Transfer:
        """A transfer that nobody asked for by hand, in the period that pays for its department."""
        side = source or target
        if side is None:
            raise InvariantBroken("A transfer of the system has a department.")
        return Transfer(
            transfer_id=self.clock.new_id(),
            tenant_id=policy.tenant_id,
            period=policy.partition_of(side.period).period,
            kind=kind,
            amount_micros=amount_micros,
            source=source,
            target=target,
            reason=None,
            actor=SYSTEM_ACTOR,
            actor_role="system",
            correlation_id=side.key.replace("|", "-"),
            request_hash=request_hash(kind, side.key),
            created_at=self._now(),
        )

    def _now(self) -> str:
        return self.clock.now().isoformat()
