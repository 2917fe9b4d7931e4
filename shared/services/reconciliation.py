"""Reconciliation: what providers bill, against what the ledger booked, a day at a time.

Every step is safe to repeat: unknown outcomes are settled through the one settlement path, what is
found is told to the one case about it that is not closed, or opens the next one, and a model is
stopped before the case that says so is opened. A run that dies leaves nothing that its repetition
does not find.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from shared.domain.attempt_reports import UNREAD
from shared.domain.attempts import AttemptReport, Failure
from shared.domain.audit_events import AuditEvent
from shared.domain.cases import Case, Ruling, organisation_cases
from shared.domain.freezes import Target, freeze_partition
from shared.domain.identity import (
    CLAIM_BY_ROLE,
    Caller,
    Permission,
    Reach,
    require_reach,
    require_tenant,
)
from shared.domain.ids import Partition
from shared.domain.models import MODELS
from shared.domain.reconciliation import Item
from shared.domain.reconciliation_cases import Finding, FindingTerms, findings
from shared.domain.reconciliation_views import (
    ReconciliationList,
    ReconciliationView,
    run_document,
)
from shared.domain.work import read_work_item
from shared.errors import Conflict, EigError, FieldFault, Invalid, NotFound, Unavailable
from shared.ports import Clock, Directory, Records
from shared.ports.reconciliation import Reconciliations
from shared.services.attempts import Attempts
from shared.services.case_chains import CaseChains
from shared.services.freezes import Freezes
from shared.services.reconciliation_gathering import (
    DAY_AGE_MAX,
    GatheredDay,
    ReconciliationGathering,
)
from shared.services.settlements import Settlements

ACTOR = "system:reconciliation"
CATCH_UP_DAYS = 7  # days the timer looks back for what was missed
RUNS_SHOWN_MAX = 100
TELLS_MAX = 5  # of one finding, when others change its cases at the same time
FOUND_IN_EXPORT = "found_in_usage_export"
ADMINS_ONLY = "Only an Org Admin reconciles."
MATCHED = "The provider bills what is booked."

logger = logging.getLogger("eig.reconciliation")


@dataclass(frozen=True)
class ReconciliationTerms:
    """Whose books these are, who else spends, what a model may drift, how old a day must be."""

    tenant_id: str
    tenants: tuple[str, ...]  # all of them: a model that is billed wrongly stops for everybody
    drift_bp_max: int
    lag_days: int


@dataclass
class _Tally:
    """What a run did to cases and models so far."""

    opened: Counter[str] = field(default_factory=Counter)
    stopped: set[str] = field(default_factory=set)
    resolved: int = 0  # unknown outcomes that are settled
    unread: int = 0  # unknown outcomes whose evidence, or end, met a fault
    too_late: int = 0  # findings that a case in the middle of its booking did not know


@dataclass(frozen=True)
class Reconciliation:
    """Compares, resolves what was unknown, opens cases, stops models that drift."""

    gathering: ReconciliationGathering
    store: Reconciliations
    records: Records
    attempts: Attempts
    settlements: Settlements
    directory: Directory
    freezes: Freezes
    clock: Clock
    terms: ReconciliationTerms

    @property
    def chains(self) -> CaseChains:
        return CaseChains(self.store)

    def outbox_partitions(self) -> Sequence[Partition]:
        """Where the audit events of freezes, organisation-wide cases and runs wait to be copied."""
        freezes = [freeze_partition(tenant_id) for tenant_id in self.terms.tenants]
        return [*freezes, organisation_cases(self.terms.tenant_id)]

    async def run_due(self, correlation_id: str) -> int:
        """The timer's work: every day of the last week that is old enough and was not done yet."""
        done = await self._days_done()
        newest = self.clock.now().date() - timedelta(days=self.terms.lag_days)
        ran = 0
        for provider in sorted(self.gathering.exports):
            for age in reversed(range(CATCH_UP_DAYS)):
                day = newest - timedelta(days=age)
                if (provider, day.isoformat()) not in done:
                    ran += await self._guarded(provider, day, correlation_id)
        return ran

    async def _guarded(self, provider: str, day: date, correlation_id: str) -> bool:
        try:
            await self.run(provider, day, ACTOR, "system", correlation_id)
        except EigError:  # one day that cannot be read must not hold up the others
            logger.warning("a day could not be reconciled", exc_info=True)
            return False
        return True

    async def run_now(
        self, caller: Caller, provider: str, day: date, correlation_id: str
    ) -> ReconciliationView:
        """One provider's day at an administrator's request."""
        self._require_admin(caller)
        if provider not in self.gathering.exports:
            raise NotFound("There is no such provider.")
        age = self.clock.now().date() - day
        if not timedelta(0) <= age <= DAY_AGE_MAX:
            raise Invalid(
                f"A day of the last {DAY_AGE_MAX.days} days can be compared.",
                code="invalid_day",
                faults=[FieldFault("/day", "choose a day that has begun, and not too long ago")],
            )
        role = CLAIM_BY_ROLE[caller.role]
        return await self.run(provider, day, caller.key, role, correlation_id)

    async def runs(self, caller: Caller) -> ReconciliationList:
        """The newest runs."""
        self._require_admin(caller)
        runs = await self.store.runs(organisation_cases(self.terms.tenant_id), RUNS_SHOWN_MAX)
        return ReconciliationList(items=tuple(ReconciliationView.of(run) for run in runs))

    def _require_admin(self, caller: Caller) -> None:
        """What providers bill is the operator's: other tenants see none of it."""
        require_reach(caller, Permission.RECONCILIATIONS_WRITE, Reach.ORGANISATION, ADMINS_ONLY)
        require_tenant(caller, self.terms.tenant_id, "reconciliation")

    async def run(
        self, provider: str, day: date, actor: str, role: str, correlation_id: str
    ) -> ReconciliationView:
        """Compare one provider's day; Conflict `export_not_ready` if there is no export of it."""
        gathered = await self.gathering.day(provider, day)
        tally = _Tally()
        await self._resolve_unknown(gathered, tally)
        if tally.resolved:
            gathered = await self.gathering.day(provider, day)
        comparison = gathered.compared()
        terms = FindingTerms(
            tenant_id=self.terms.tenant_id,
            departments=frozenset(await self.directory.departments()),
            drift_bp_max=self.terms.drift_bp_max,
            opened_at=self.clock.now().isoformat(),
        )
        known = await self._known_cases(gathered)
        for finding in findings(comparison, gathered.books, known, terms):
            await self._tell(finding, tally, correlation_id)
        if tally.too_late:  # no run is kept, so that the timer does this day again
            raise Conflict(
                "A case is being booked at another amount than is billed now; run the day again.",
                code="case_being_booked",
            )
        if tally.unread:
            raise Unavailable("Not every unknown outcome could be settled; run the day again.")
        run = run_document(
            comparison,
            partition=organisation_cases(self.terms.tenant_id),
            run_id=self.clock.new_id(),
            ran_at=self.clock.now().isoformat(),
            actor=actor,
            opened=tally.opened,
            resolved=tally.resolved,
            quarantined=sorted(tally.stopped),
        )
        await self._keep(run, actor, role, correlation_id)
        return ReconciliationView.of(run)

    async def _resolve_unknown(self, gathered: GatheredDay, tally: _Tally) -> None:
        """Settle what the export knows of unknown outcomes; what it does not name stays held."""
        found = [item for item in gathered.compared().items if item.standing == "unknown"]
        for item in found:
            try:
                tally.resolved += await self._settled(item, gathered.provider)
            except Exception:  # one outcome must not keep the day from being compared
                tally.unread += 1
                logger.warning("an unknown outcome could not be settled", exc_info=True)

    async def _settled(self, item: Item, provider: str) -> bool:
        record = item.generation_id and await self.records.generation(item.generation_id)
        if not record or record["status"] != "indeterminate":
            return False
        work = read_work_item(record)
        # First the attempt's own traces, as the sweep does it: no call can follow this.
        report = await self.attempts.stop(work, "sweeper")
        if report.ending == "unknown":
            if report.reason in UNREAD:  # the pictures may still be there: the horizon decides
                raise Unavailable("The evidence of an outcome could not be read.")
            if any(line.provider == provider for line in report.lines):
                return False  # what is billed may be an earlier attempt's: the horizon decides
            report = _from_export(report, item)
        await self.settlements.settle(work.operation_id, [report])
        return True

    async def _known_cases(self, gathered: GatheredDay) -> list[Case]:
        """What stands open about this provider, and all that was opened about this day."""
        day = gathered.day.isoformat()
        return [
            case
            for partition in (*gathered.partitions, organisation_cases(self.terms.tenant_id))
            for case in await self.store.cases_about(partition, gathered.provider, day)
        ]

    async def _tell(self, finding: Finding, tally: _Tally, correlation_id: str) -> None:
        """Make the one case about something say what was found; open it if none stands.

        Two cases about one amount could be adjusted twice.
        """
        for _ in range(TELLS_MAX):
            chain = await self.chains.of(finding.case)
            found, last = chain.found(finding.case), chain.last
            if last is not None and last.status == "adjusting":
                tally.too_late += last.billed_usd_micros != found.billed_usd_micros
                return
            if last is not None and last.status == "open":
                await self._stop_model(finding, tally, correlation_id)
                if await self._learn(last, found, correlation_id):
                    return
                continue
            if chain.says_nothing_new(found):
                return
            # The model first, so that no case is without its freeze.
            await self._stop_model(finding, tally, correlation_id)
            if await self.store.open_case(found, _opened(found, correlation_id)):
                tally.opened[found.kind] += 1
                return
        raise Conflict("Others are deciding cases of this day; run it again.")

    async def _stop_model(self, finding: Finding, tally: _Tally, correlation_id: str) -> None:
        model = finding.quarantine
        if model is None or model not in MODELS or finding.reason is None:
            return
        target, reason = Target("model", model), finding.reason
        for tenant_id in self.terms.tenants:
            if await self.freezes.quarantine(tenant_id, target, reason, ACTOR, correlation_id):
                tally.stopped.add(model)

    async def _learn(self, last: Case, found: Case, correlation_id: str) -> bool:
        """Write down what the open case did not know, or close it; False if others changed it."""
        now = self.clock.now().isoformat()
        learned = last.learned(found)
        if found.matches:
            ruling = Ruling("matched", MATCHED, ACTOR, "system", now)
            learned = replace(learned.ruled("closed", ruling), revision=last.revision + 1)
        if learned == last:
            return True
        verb = "matched" if found.matches else "learned"
        event = _case_event(learned, f"case.{verb}.{learned.revision}", now, correlation_id)
        return await self.store.change_case(learned, event)

    async def _days_done(self) -> set[tuple[str, str]]:
        runs = await self.store.runs(organisation_cases(self.terms.tenant_id), RUNS_SHOWN_MAX)
        return {(run["provider"], run["day"]) for run in runs if run["actor"] == ACTOR}

    async def _keep(
        self, run: Mapping[str, Any], actor: str, role: str, correlation_id: str
    ) -> None:
        event = AuditEvent(
            action="reconciliation.completed",
            object_id=run["id"],
            actor=actor,
            actor_role=role,
            outcome="success",
            occurred_at=run["ran_at"],
            correlation_id=correlation_id,
            details={
                "provider": run["provider"],
                "day": run["day"],
                "resolved": run["resolved"],
                "cases": sum(run["opened"].values()),
                "quarantined": ",".join(run["quarantined"]) or None,
            },
        )
        await self.store.keep_run(organisation_cases(self.terms.tenant_id), dict(run), event)


def _opened(case: Case, correlation_id: str) -> AuditEvent:
    return _case_event(case, "case.opened", case.opened_at, correlation_id)


def _case_event(case: Case, action: str, now: str, correlation_id: str) -> AuditEvent:
    return AuditEvent(
        action=action,
        object_id=case.document_id,
        actor=ACTOR,
        actor_role="system",
        outcome="success",
        occurred_at=now,
        correlation_id=correlation_id,
        details={
            "kind": case.kind,
            "provider": case.provider,
            "model": case.model,
            "day": case.day,
            "billed_usd_micros": case.billed_usd_micros,
            "booked_usd_micros": case.booked_usd_micros,
        },
    )


def _from_export(unknown: AttemptReport, item: Item) -> AttemptReport:
    """The end of an attempt that only the provider's export knows of."""
    return AttemptReport(
        generation_id=unknown.generation_id,
        attempt=unknown.attempt,
        candidate=unknown.candidate,
        lines=unknown.lines,
        held_micros=unknown.held_micros,
        ending="ended",
        failure=Failure.TIMEOUT,
        reason=FOUND_IN_EXPORT,
        usd_micros=item.billed_usd_micros,
        request_id=item.request_id,
        job_id=item.job_id,
    )
