"""Cases: what people see of them, and how they are decided: accepted, or adjusted exactly once.

An adjustment is booked under the case's id, in a partition that is written down with the decision
before anything is booked: a repetition finds the same partition and there the same entry. Only when
that period has been closed without the entry is another partition written down.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.adjustments import Adjustment
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget, Charge
from shared.domain.cases import (
    Adjusting,
    Case,
    Decision,
    Ruling,
    correction_of,
    organisation_cases,
    partition_of_case,
)
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Role
from shared.domain.ids import Partition
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.reconciliation_cases import charge_of
from shared.domain.reconciliation_views import CaseFilter, CaseList, CaseView
from shared.errors import (
    BudgetExceeded,
    Conflict,
    EigError,
    Invalid,
    NotFound,
    PeriodClosed,
    PeriodNotOpen,
    PolicyDenied,
)
from shared.ports import Clock, Directory, Ledger, Records
from shared.ports.reconciliation import Reconciliations
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars

CASES_PER_PARTITION_MAX = 200  # newest first; who has more open cases has another problem
MOVES_MAX = 3  # of one adjustment, when period after period is closed under it
NOT_ADJUSTABLE = frozenset({"drift", "unpriced"})  # the requests behind them have their own cases
NO_SUCH = "There is no such case."

logger = logging.getLogger("eig.cases")


@dataclass(frozen=True)
class Closing:
    """What somebody decides about a case."""

    decision: Decision
    reason: str
    department_id: str | None = None  # who pays, if the case belongs to nobody
    billed_usd_micros: int | None = None  # what was billed, if the case does not know


@dataclass(frozen=True)
class Cases:
    """Reads and decides cases."""

    store: Reconciliations
    ledger: Ledger
    records: Records
    periods: BudgetPeriods
    calendars: Calendars
    directory: Directory
    catalogues: PriceCatalogues
    clock: Clock
    tenant_id: str
    alerts: Alerts | None = None  # told of every adjustment; nobody is in proofs of money alone

    async def listing(self, caller: Caller, shown: CaseFilter) -> CaseList:
        """Cases of the present period and the one before; a manager sees their department's."""
        partitions = [
            partition
            for partition in await self.calendars.open_partitions()
            if self._may_see(caller, partition)
        ]
        if caller.role >= Role.ORG_ADMIN:
            partitions.append(organisation_cases(self.tenant_id))
        elif not partitions or caller.role < Role.DEPT_MANAGER:
            raise PolicyDenied("Only managers and administrators see cases.")
        found: list[Case] = []
        complete = True
        for partition in partitions:
            newest = await self.store.cases(partition, CASES_PER_PARTITION_MAX)
            complete = complete and len(newest) < CASES_PER_PARTITION_MAX
            found += newest
        wanted = [
            c for c in found if shown == "all" or (c.status == "closed") == (shown == "closed")
        ]
        wanted.sort(key=lambda case: (case.opened_at, case.case_id), reverse=True)
        return CaseList(items=tuple(CaseView.of(case) for case in wanted), complete=complete)

    async def get(self, caller: Caller, case_id: str) -> CaseView:
        """One case; NotFound for those the caller may not see."""
        return CaseView.of(await self._visible(caller, case_id))

    async def close(
        self, caller: Caller, case_id: str, closing: Closing, correlation_id: str
    ) -> CaseView:
        """Decide a case; the same decision again finds it decided."""
        case = await self._visible(caller, case_id)
        if caller.role < Role.ORG_ADMIN:
            await self._note_denial(caller, case, correlation_id)
            raise PolicyDenied("Only an Org Admin decides cases.")
        if case.status == "closed":
            if case.ruling is None or case.ruling.decision != closing.decision:
                raise Conflict("The case was decided otherwise.", code="already_closed")
            return CaseView.of(case)
        if case.status == "open":
            case = await self._decided(caller, case, closing, correlation_id)
        elif closing.decision != "adjust":
            raise Conflict("An adjustment of this case is under way.", code="already_decided")
        if case.status == "adjusting":
            case = await self._booked(case, correlation_id)
        return CaseView.of(case)

    async def finish(self, correlation_id: str) -> int:
        """Book what was decided and not booked, because a worker died in between."""
        finished = 0
        partitions = [*await self.calendars.open_partitions(), organisation_cases(self.tenant_id)]
        for partition in partitions:
            for case in await self.store.cases(partition, CASES_PER_PARTITION_MAX):
                if case.status == "adjusting":
                    try:
                        await self._booked(case, correlation_id)
                        finished += 1
                    except EigError:  # a full budget, for instance: the case is open again
                        logger.warning("a decided case could not be booked", exc_info=True)
        return finished

    async def _decided(
        self, caller: Caller, case: Case, closing: Closing, correlation_id: str
    ) -> Case:
        adjusting = None
        if closing.decision == "adjust":
            case = await self._completed(caller, case, closing)
            adjusting = await self._adjusting(case)
        ruling = Ruling(
            decision=closing.decision,
            reason=closing.reason,
            by=caller.key,
            role=CLAIM_BY_ROLE[caller.role],
            at=self.clock.now().isoformat(),
            adjusting=adjusting,
        )
        decided = case.ruled("adjusting" if adjusting else "closed", ruling)
        return await self._changed(decided, "decided" if adjusting else "closed", correlation_id)

    async def _completed(self, caller: Caller, case: Case, closing: Closing) -> Case:
        """The case with all that an adjustment needs: payer, rate and what was billed."""
        if case.kind in NOT_ADJUSTABLE:
            raise Invalid(
                "This case sums up others; adjust those and accept this one.",
                code="not_adjustable",
            )
        billed = case.billed_usd_micros
        if billed is None:
            billed = closing.billed_usd_micros
        if billed is None:
            raise Invalid(
                "Nobody knows yet what was billed: send billed_usd_micros.", code="amount_needed"
            )
        charge, rate = case.charge, case.aud_per_usd_micros
        if charge is None and case.partition != organisation_cases(self.tenant_id):
            charge, rate = await self._payer_of_record(case)
        if charge is None:
            charge = await self._payer(caller, closing)
        if rate is None:
            rate = self.catalogues.at(self.clock.now()).exchange_rate.aud_per_usd_micros
        return replace(
            case,
            billed_usd_micros=billed,
            charge=charge,
            tenant_id=case.tenant_id or self.tenant_id,
            aud_per_usd_micros=rate,
        )

    async def _payer_of_record(self, case: Case) -> tuple[Charge, int | None]:
        """Who asked for a generation that has no entry; else its department alone."""
        record = await self.records.generation(case.generation_id or "")
        if record is None:
            return Charge(case.partition.department_id, None), None
        return charge_of(record), record["quote"]["aud_per_usd_micros"]

    async def _payer(self, caller: Caller, closing: Closing) -> Charge:
        department_id = closing.department_id
        if department_id is None or not await self.directory.has_department(
            caller.tenant_id, department_id
        ):
            raise Invalid(
                "Nobody asked for this: name the department that pays.", code="department_needed"
            )
        return Charge(department_id, None)

    async def _adjusting(self, case: Case) -> Adjusting | None:
        """Where and what to book; None if nothing is to be corrected.

        A case that was decided before and refused by a budget keeps its partition: an entry whose
        booking was given up too early can only be there.
        """
        if case.charge is None or case.billed_usd_micros is None or not case.aud_per_usd_micros:
            raise Invalid("This case cannot be adjusted.", code="not_adjustable")
        amount, usd = correction_of(case, case.billed_usd_micros, case.aud_per_usd_micros)
        if amount == 0:
            return None
        before = case.ruling.adjusting if case.ruling else None
        if before is not None:
            return before
        department_id = case.charge.department_id
        if case.partition == organisation_cases(self.tenant_id):
            period = (await self.calendars.partition(department_id)).period
        else:
            period = case.partition.period
        return Adjusting(department_id, period, "reconciliation", amount, usd)

    async def _booked(self, case: Case, correlation_id: str) -> Case:
        """Book the decided adjustment and close; a budget that refuses opens the case again."""
        for _ in range(MOVES_MAX):
            ruling = case.ruling
            if ruling is None or ruling.adjusting is None or case.charge is None:
                raise Conflict("The case holds no decision to carry out.")
            partition = Partition(ruling.adjusting.department_id, ruling.adjusting.period)
            try:
                budgets = await self._adjust(case, ruling, partition, correlation_id)
            except PeriodClosed:
                present = await self.calendars.partition(ruling.adjusting.department_id)
                late = replace(ruling.adjusting, period=present.period, kind="late")
                moved = case.ruled("adjusting", replace(ruling, adjusting=late))
                case = await self._changed(moved, "moved", correlation_id)
                continue
            except (BudgetExceeded, Conflict):
                await self._changed(case.ruled("open", ruling), "refused", correlation_id)
                raise
            if budgets and self.alerts is not None:
                await self.alerts.note(partition, budgets)
            return await self._changed(case.ruled("closed", ruling), "closed", correlation_id)
        raise Conflict("Periods are being closed at this moment; try again.")

    async def _adjust(
        self, case: Case, ruling: Ruling, partition: Partition, correlation_id: str
    ) -> Sequence[Budget] | None:
        """Book in the partition, which is opened if need be; None if it was booked before."""
        adjustment = self._adjustment(case, ruling, partition, correlation_id)
        try:
            return await self.ledger.adjust(adjustment)
        except PeriodNotOpen:
            try:
                await self.periods.open(partition, adjustment.charge.scopes())
            except (PolicyDenied, Invalid):  # who was charged has no budget any more
                adjustment = replace(adjustment, charge=Charge(partition.department_id, None))
                await self.periods.open(partition, adjustment.charge.scopes())
            return await self.ledger.adjust(adjustment)

    def _adjustment(
        self, case: Case, ruling: Ruling, partition: Partition, correlation_id: str
    ) -> Adjustment:
        adjusting, charge = ruling.adjusting, case.charge
        if adjusting is None or charge is None:
            raise Conflict("The case holds no decision to carry out.")
        now = self.clock.now().isoformat()
        return Adjustment(
            adjustment_id=case.case_id,
            partition=partition,
            kind=adjusting.kind,
            amount_micros=adjusting.amount_micros,
            usd_micros=adjusting.usd_micros,
            tenant_id=case.tenant_id or self.tenant_id,
            charge=charge,
            reason=ruling.reason,
            actor=ruling.by,
            booked_at=now,
            event=_event(
                case,
                "case.adjusted",
                (ruling.by, ruling.role),
                now=now,
                correlation_id=correlation_id,
            ),
            model=case.model,
            provider=case.provider,
            refers_to=case.generation_id,
        )

    async def _changed(self, case: Case, verb: str, correlation_id: str) -> Case:
        """Write a revision with its event; Conflict if somebody else decided meanwhile."""
        ruling = case.ruling
        actor = (ruling.by, ruling.role) if ruling else ("system:cases", "system")
        now = self.clock.now().isoformat()
        action = f"case.{verb}.{case.revision}"
        event = _event(case, action, actor, now=now, correlation_id=correlation_id)
        if not await self.store.change_case(case, event):
            raise Conflict("Somebody else is deciding this case; look at it again.")
        return case

    async def _visible(self, caller: Caller, case_id: str) -> Case:
        partition = partition_of_case(case_id, self.tenant_id)
        if not self._may_see(caller, partition):
            raise NotFound(NO_SUCH)
        case = await self.store.case(partition, case_id)
        if case is None:
            raise NotFound(NO_SUCH)
        return case

    def _may_see(self, caller: Caller, partition: Partition) -> bool:
        if caller.tenant_id != self.tenant_id:
            return False
        if caller.role >= Role.ORG_ADMIN:
            return True
        return caller.role >= Role.DEPT_MANAGER and partition.department_id == caller.department_id

    async def _note_denial(self, caller: Caller, case: Case, correlation_id: str) -> None:
        now = self.clock.now().isoformat()
        action = f"case.denied.{self.clock.new_id()}"
        actor = (caller.key, CLAIM_BY_ROLE[caller.role])
        event = _event(case, action, actor, now=now, correlation_id=correlation_id)
        await self.ledger.note_event(case.partition, replace(event, outcome="denied"))


def _event(
    case: Case, action: str, actor: tuple[str, str], *, now: str, correlation_id: str
) -> AuditEvent:
    """An event about a case; `actor` is who and in which role."""
    ruling = case.ruling
    adjusting = ruling.adjusting if ruling else None
    return AuditEvent(
        action=action,
        object_id=case.document_id,
        actor=actor[0],
        actor_role=actor[1],
        outcome="success",
        occurred_at=now,
        correlation_id=correlation_id,
        details={
            "status": case.status,
            "decision": ruling.decision if ruling else None,
            "reason": ruling.reason if ruling else None,
            "amount_micros": adjusting.amount_micros if adjusting else None,
            "period": adjusting.period if adjusting else None,
        },
    )
