"""Cases: how they are decided: accepted, or adjusted exactly once.

What is missing is computed from the entry and from what closed cases booked, none of which changes
any more. It is written down with an id and a partition before anything is booked: a repetition
finds the same partition and there the same entry. Only when that period has been closed without the
entry is another partition written down. What a budget refuses is decided anew, from the beginning.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.adjustments import Adjustment
from shared.domain.audit_events import AuditEvent
from shared.domain.budgets import Budget, Charge
from shared.domain.cases import (
    CASE_ID,
    SUMS,
    Adjusting,
    Case,
    CaseChain,
    Decision,
    Ruling,
    organisation_cases,
    partition_of_case,
)
from shared.domain.entry_lines import provider_share
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Permission, Reach
from shared.domain.ledger import Document
from shared.domain.money import aud_micros
from shared.domain.price_catalogues import PriceCatalogues
from shared.domain.reconciliation_cases import charge_of
from shared.domain.reconciliation_views import CaseView
from shared.errors import (
    Conflict,
    EigError,
    FieldFault,
    Invalid,
    NotFound,
    PeriodClosed,
    PeriodNotOpen,
    PolicyDenied,
    Rejected,
    Unavailable,
)
from shared.ports import Clock, Directory, Ledger, Records
from shared.ports.reconciliation import Reconciliations
from shared.services.alerts import Alerts
from shared.services.budget_periods import BudgetPeriods
from shared.services.calendars import Calendars
from shared.services.case_chains import CaseChains
from shared.services.case_pages import CasePages

MOVES_MAX = 3  # of one adjustment, when period after period is closed under it
DECIDED_BY_OTHERS = "Somebody else is deciding this case; look at it again."
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

    @property
    def chains(self) -> CaseChains:
        return CaseChains(self.store)

    @property
    def pages(self) -> CasePages:
        return CasePages(self.store, self.directory, self.calendars, self.clock, self.tenant_id)

    async def get(self, caller: Caller, case_id: str) -> CaseView:
        """One case; NotFound for those the caller may not see."""
        return CaseView.of(await self._visible(caller, case_id))

    async def close(
        self, caller: Caller, case_id: str, closing: Closing, correlation_id: str
    ) -> CaseView:
        """Decide a case; the same decision again finds it decided."""
        case = await self._visible(caller, case_id)
        if caller.reach(Permission.CASES_CLOSE) < Reach.ORGANISATION:
            await self._note_denial(caller, case, correlation_id)
            raise PolicyDenied("Only an Org Admin decides cases.")
        if case.status == "closed":
            if not _is_same(case, closing):
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
        for partition in await self.pages.partitions():
            for case in await self.store.adjusting_cases(partition):
                try:
                    await self._booked(case, correlation_id)
                    finished += 1
                except EigError:  # a full budget, for instance: the case is open again
                    logger.warning("a decided case could not be booked", exc_info=True)
        return finished

    async def _decided(
        self, caller: Caller, case: Case, closing: Closing, correlation_id: str
    ) -> Case:
        ruling = Ruling(
            decision=closing.decision,
            reason=closing.reason,
            by=caller.key,
            role=CLAIM_BY_ROLE[caller.role],
            at=self.clock.now().isoformat(),
        )
        if closing.decision == "adjust":
            adjusting = await self._adjusting(caller, case, closing)
            if adjusting.charge.user_key == caller.key:
                await self._note_denial(caller, case, correlation_id)
                raise PolicyDenied(
                    "Nobody decides what they are charged themselves.", code="self_adjustment"
                )
            if adjusting.amount_micros != 0:
                decided = case.ruled("adjusting", replace(ruling, adjusting=adjusting))
                return await self._changed(decided, "decided", correlation_id)
            case = replace(case, billed_usd_micros=adjusting.billed_usd_micros)
        return await self._changed(case.closed(ruling), "closed", correlation_id)

    async def _adjusting(self, caller: Caller, case: Case, closing: Closing) -> Adjusting:
        """What brings the books to the invoice: from the entry, and all that corrected it since."""
        if case.kind in SUMS:
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
        if closing.billed_usd_micros not in (None, billed):
            fault = FieldFault("/billed_usd_micros", "leave it out: the provider's export says it")
            raise Invalid("It is known what was billed.", faults=[fault])
        chain = await self.chains.of(case)
        if chain.last != case or not chain.is_whole:
            raise Conflict(DECIDED_BY_OTHERS)
        booked, booked_usd = await self._booked_so_far(case, chain)
        charge, rate = await self._payer(caller, case, chain, closing)
        adjusting = Adjusting(
            adjustment_id=f"{case.case_id}:r{case.revision + 1}",  # of this decision alone
            charge=charge,
            period=await self._period(case, charge),
            kind="reconciliation",
            amount_micros=aud_micros(billed, rate) - booked,
            usd_micros=billed - booked_usd,
            billed_usd_micros=billed,
        )
        same = (replace(adjusting, adjustment_id=each.adjustment_id) for each in case.refused)
        return next((each for each in same if each in case.refused), adjusting)

    async def _booked_so_far(self, case: Case, chain: CaseChain) -> tuple[int, int]:
        """Micro-AUD and micro-USD of the entry and all its corrections."""
        entry: Document | None = None
        if case.partition != organisation_cases(self.tenant_id):
            entry = await self.store.entry(case.generation_id or case.subject)
            if entry is None and case.has_entry:
                raise Unavailable("The entry could not be read yet.", retry_after_s=1)
        share = provider_share(entry, case.provider) if entry and case.provider else entry
        amount, usd = (share["amount_micros"], share["usd_micros"]) if share else (0, 0)
        return amount + chain.corrected_micros, usd + chain.corrected_usd_micros

    async def _payer(
        self, caller: Caller, case: Case, chain: CaseChain, closing: Closing
    ) -> tuple[Charge, int]:
        """Who is charged, and at which rate: as with the entry, else as with the last correction.

        Without either: who asked for the generation, its department, or the one that is named.
        """
        charge, rate = case.charge or chain.payer, case.aud_per_usd_micros
        if charge is None and case.partition != organisation_cases(self.tenant_id):
            charge, rate = await self._payer_of_record(case)
        if charge is None:
            charge = await self._named_payer(caller, closing)
        if rate is None:
            rate = self.catalogues.at(self.clock.now()).exchange_rate.aud_per_usd_micros
        return charge, rate

    async def _payer_of_record(self, case: Case) -> tuple[Charge, int | None]:
        """Who asked for a generation that has no entry; else its department alone."""
        record = await self.records.generation(case.generation_id or case.subject)
        if record is None:
            return Charge(case.partition.department_id, None), None
        return charge_of(record), record["quote"]["aud_per_usd_micros"]

    async def _named_payer(self, caller: Caller, closing: Closing) -> Charge:
        department_id = closing.department_id
        if department_id is None or not await self.directory.has_department(
            caller.tenant_id, department_id
        ):
            raise Invalid(
                "Nobody asked for this: name the department that pays.", code="department_needed"
            )
        return Charge(department_id, None)

    async def _period(self, case: Case, charge: Charge) -> str:
        if case.partition != organisation_cases(self.tenant_id):
            return case.partition.period
        return (await self.calendars.partition(charge.department_id)).period

    async def _booked(self, case: Case, correlation_id: str) -> Case:
        """Book the decided adjustment and close; what is refused opens the case as it was."""
        for _ in range(MOVES_MAX):
            ruling = case.ruling
            if ruling is None or ruling.adjusting is None:
                raise Conflict("The case holds no decision to carry out.")
            adjusting = ruling.adjusting
            try:
                budgets = await self._adjust(case, ruling, adjusting, correlation_id)
            except PeriodClosed:
                present = await self.calendars.partition(adjusting.charge.department_id)
                late = replace(adjusting, period=present.period, kind="late")
                moved = case.ruled("adjusting", replace(ruling, adjusting=late))
                case = await self._changed(moved, "moved", correlation_id)
                continue
            except Rejected:
                again = case.refused_by_budget(adjusting)
                await self._changed(again, "refused", correlation_id, denied=ruling)
                raise
            if budgets and self.alerts is not None:
                await self.alerts.note(adjusting.partition, budgets)
            return await self._changed(case.closed(ruling), "closed", correlation_id)
        raise Conflict("Periods are being closed at this moment; try again.")

    async def _adjust(
        self, case: Case, ruling: Ruling, adjusting: Adjusting, correlation_id: str
    ) -> Sequence[Budget] | None:
        """Book in its partition, which is opened if need be; None if it was booked before."""
        adjustment = self._adjustment(case, ruling, adjusting, correlation_id)
        try:
            return await self.ledger.adjust(adjustment)
        except PeriodNotOpen:
            try:
                await self.periods.open(adjusting.partition, adjustment.charge.scopes())
            except (PolicyDenied, Invalid):  # who was charged has no budget any more
                department = Charge(adjusting.charge.department_id, None)
                adjustment = replace(adjustment, charge=department)
                await self.periods.open(adjusting.partition, department.scopes())
            return await self.ledger.adjust(adjustment)

    def _adjustment(
        self, case: Case, ruling: Ruling, adjusting: Adjusting, correlation_id: str
    ) -> Adjustment:
        now = self.clock.now().isoformat()
        decision = adjusting.adjustment_id.rpartition(":")[2]
        return Adjustment(
            adjustment_id=adjusting.adjustment_id,
            partition=adjusting.partition,
            kind=adjusting.kind,
            amount_micros=adjusting.amount_micros,
            usd_micros=adjusting.usd_micros,
            tenant_id=case.tenant_id or self.tenant_id,
            charge=adjusting.charge,
            reason=ruling.reason,
            actor=ruling.by,
            booked_at=now,
            event=_event(
                case,
                f"case.adjusted.{decision}",
                ruling,
                now=now,
                correlation_id=correlation_id,
            ),
            model=case.model,
            provider=case.provider,
            refers_to=case.generation_id,
        )

    async def _changed(
        self, case: Case, verb: str, correlation_id: str, denied: Ruling | None = None
    ) -> Case:
        """Write a revision with its event; Conflict if somebody else decided meanwhile."""
        now = self.clock.now().isoformat()
        action = f"case.{verb}.{case.revision}"
        event = _event(case, action, denied or case.ruling, now=now, correlation_id=correlation_id)
        event = replace(event, outcome="denied" if denied else "success")
        if not await self.store.change_case(case, event):
            raise Conflict(DECIDED_BY_OTHERS)
        return case

    async def _visible(self, caller: Caller, case_id: str) -> Case:
        if CASE_ID.fullmatch(case_id) is None:
            raise NotFound(NO_SUCH)
        partition = partition_of_case(case_id, self.tenant_id)
        if not self.pages.may_see(caller, partition):
            raise NotFound(NO_SUCH)
        case = await self.store.case(partition, case_id)
        if case is None:
            raise NotFound(NO_SUCH)
        return case

    async def _note_denial(self, caller: Caller, case: Case, correlation_id: str) -> None:
        event = AuditEvent(
            action=f"case.denied.{self.clock.new_id()}",
            object_id=case.document_id,
            actor=caller.key,
            actor_role=CLAIM_BY_ROLE[caller.role],
            outcome="denied",
            occurred_at=self.clock.now().isoformat(),
            correlation_id=correlation_id,
            details={"status": case.status},
        )
        await self.ledger.note_event(case.partition, event)


def _is_same(case: Case, closing: Closing) -> bool:
    """Whether a closed case was decided like this; what was billed is said once, or known."""
    ruling = case.ruling
    if ruling is None or ruling.decision != closing.decision:
        return False
    billed = ruling.adjusting.billed_usd_micros if ruling.adjusting else case.billed_usd_micros
    return closing.billed_usd_micros in (None, billed)


def _event(
    case: Case, action: str, ruling: Ruling | None, *, now: str, correlation_id: str
) -> AuditEvent:
    """An event about a case, by whoever decided it."""
    adjusting = ruling.adjusting if ruling else None
    return AuditEvent(
        action=action,
        object_id=case.document_id,
        actor=ruling.by if ruling else "system:cases",
        actor_role=ruling.role if ruling else "system",
        outcome="success",
        occurred_at=now,
        correlation_id=correlation_id,
        details={
            "status": case.status,
            "decision": ruling.decision if ruling else None,
            "reason": ruling.reason if ruling else None,
            "amount_micros": adjusting.amount_micros if adjusting else None,
            "department_id": adjusting.charge.department_id if adjusting else None,
            "period": adjusting.period if adjusting else None,
        },
    )
