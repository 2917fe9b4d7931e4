"""Reconciliation: what providers bill, against what the ledger booked, a day at a time.

Every step is safe to repeat: unknown outcomes are settled through the one settlement path, cases
are created under ids that follow from what they are about, and a model is stopped before the case
that says so is opened. A run that dies leaves nothing that its repetition does not find.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from shared.domain.attempts import AttemptReport, Failure
from shared.domain.audit_events import AuditEvent
from shared.domain.cases import Case, organisation_cases, settlement_case_id
from shared.domain.freezes import Target, freeze_partition
from shared.domain.identity import CLAIM_BY_ROLE, Caller, Role
from shared.domain.ids import Partition
from shared.domain.models import MODELS
from shared.domain.reconciliation_cases import Finding, FindingTerms, findings
from shared.domain.reconciliation_views import (
    ReconciliationList,
    ReconciliationView,
    run_document,
)
from shared.domain.work import read_work_item
from shared.errors import EigError, FieldFault, Invalid, NotFound, PolicyDenied
from shared.ports import Clock, Directory, Records
from shared.ports.reconciliation import Reconciliations
from shared.services.attempts import Attempts
from shared.services.freezes import Freezes
from shared.services.reconciliation_gathering import GatheredDay, ReconciliationGathering
from shared.services.settlements import Settlements

ACTOR = "system:reconciliation"
DAY_AGE_MAX = timedelta(days=400)  # every period since is read for what corrected it
CATCH_UP_DAYS = 7  # days the timer looks back for what was missed
RUNS_SHOWN_MAX = 100
FOUND_IN_EXPORT = "found_in_usage_export"

logger = logging.getLogger("eig.reconciliation")


@dataclass(frozen=True)
class ReconciliationTerms:
    """Whose books these are, how much a model may drift, and how old a day must be."""

    tenant_id: str
    drift_bp_max: int
    lag_days: int


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

    def outbox_partitions(self) -> Sequence[Partition]:
        """Where the audit events of freezes, organisation-wide cases and runs wait to be copied."""
        tenant_id = self.terms.tenant_id
        return [freeze_partition(tenant_id), organisation_cases(tenant_id)]

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
        _require_admin(caller)
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
        _require_admin(caller)
        runs = await self.store.runs(organisation_cases(self.terms.tenant_id), RUNS_SHOWN_MAX)
        return ReconciliationList(items=tuple(ReconciliationView.of(run) for run in runs))

    async def run(
        self, provider: str, day: date, actor: str, role: str, correlation_id: str
    ) -> ReconciliationView:
        """Compare one provider's day; Conflict `export_not_ready` if there is no export of it."""
        gathered = await self.gathering.day(provider, day)
        resolved = await self._resolve_unknown(gathered)
        if resolved:
            gathered = await self.gathering.day(provider, day)
        comparison = gathered.compared()
        terms = FindingTerms(
            tenant_id=self.terms.tenant_id,
            departments=frozenset(await self.directory.departments()),
            drift_bp_max=self.terms.drift_bp_max,
            opened_at=self.clock.now().isoformat(),
        )
        opened: Counter[str] = Counter()
        stopped: set[str] = set()
        for finding in findings(comparison, gathered.books, terms):
            if await self._open(finding, correlation_id):
                opened[finding.case.kind] += 1
                stopped |= {finding.quarantine} & MODELS.keys() if finding.quarantine else set()
        run = run_document(
            comparison,
            partition=organisation_cases(self.terms.tenant_id),
            run_id=self.clock.new_id(),
            ran_at=self.clock.now().isoformat(),
            actor=actor,
            opened=opened,
            resolved=resolved,
            quarantined=sorted(stopped),
        )
        await self._keep(run, actor, role, correlation_id)
        return ReconciliationView.of(run)

    async def _resolve_unknown(self, gathered: GatheredDay) -> int:
        """Settle what the export knows of unknown outcomes; what it does not name stays held."""
        found = [item for item in gathered.compared().items if item.standing == "unknown"]
        resolved = 0
        for item in found:
            if item.generation_id is None:
                continue
            record = await self.records.generation(item.generation_id)
            if record is None or record["status"] != "indeterminate":
                continue
            work = read_work_item(record)
            # First the attempt's own traces, as the sweep does it: no call can follow this.
            report = await self.attempts.stop(work, "sweeper")
            if report.ending == "unknown":
                report = AttemptReport(
                    generation_id=item.generation_id,
                    attempt=report.attempt,
                    ending="ended",
                    failure=Failure.TIMEOUT,
                    reason=FOUND_IN_EXPORT,
                    usd_micros=item.billed_usd_micros,
                    request_id=item.request_id,
                    job_id=item.job_id,
                )
            await self.settlements.settle(work.operation_id, [report])
            resolved += 1
        return resolved

    async def _open(self, finding: Finding, correlation_id: str) -> bool:
        """Open a case once; a model is stopped first, so that no case is without its freeze."""
        case = finding.case
        if await self.store.case(case.partition, case.case_id) is not None:
            return False
        if case.generation_id is not None and await self._is_told(case, correlation_id):
            return False
        if finding.quarantine in MODELS and finding.reason:
            await self.freezes.quarantine(
                self.terms.tenant_id,
                Target("model", finding.quarantine or ""),
                finding.reason,
                ACTOR,
                correlation_id,
            )
        return await self.store.open_case(case, _opened(case, correlation_id))

    async def _is_told(self, case: Case, correlation_id: str) -> bool:
        """Whether the settlement opened a case that still stands: then it learns what was billed.

        Two cases about one amount could be adjusted twice.
        """
        settled = settlement_case_id(case.generation_id or "")
        standing = await self.store.case(case.partition, settled)
        if standing is None or standing.status == "closed":
            return False
        if standing.status == "open" and standing.billed_usd_micros != case.billed_usd_micros:
            learned = standing.learned(case.billed_usd_micros or 0, case.request_id, case.day or "")
            now = self.clock.now().isoformat()
            await self.store.change_case(learned, _learned(learned, now, correlation_id))
        return True

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


def _require_admin(caller: Caller) -> None:
    if caller.role < Role.ORG_ADMIN:
        raise PolicyDenied("Only an Org Admin reconciles.")


def _opened(case: Case, correlation_id: str) -> AuditEvent:
    return _case_event(case, "case.opened", case.opened_at, correlation_id)


def _learned(case: Case, now: str, correlation_id: str) -> AuditEvent:
    return _case_event(case, f"case.learned.{case.revision}", now, correlation_id)


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
