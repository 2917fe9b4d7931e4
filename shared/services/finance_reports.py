"""The finance report of one department and period, gathered from the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from shared.domain.anomalies import BY as ANOMALY_BY
from shared.domain.anomalies import WINDOW_DAYS, anomalies
from shared.domain.budgets import Budget
from shared.domain.cases import Case
from shared.domain.entries import Entry
from shared.domain.finance_page import finance_page
from shared.domain.finance_reports import BY, CASES_SHOWN_MAX, CaseLine, FinanceReport
from shared.domain.identity import Caller
from shared.domain.ids import Partition
from shared.domain.spend import SpendTable
from shared.errors import FieldFault, Invalid
from shared.ports import BudgetPolicies, Clock
from shared.ports.reconciliation import Reconciliations
from shared.ports.statements import Statements
from shared.services.reports import Reports, Span

BUDGETS_SHOWN_MAX = 50  # of a department's projects and people, those that spent the most


@dataclass(frozen=True)
class FinanceReports:
    """Makes the page that finance reads."""

    reports: Reports
    statements: Statements
    reconciliations: Reconciliations
    policies: BudgetPolicies
    clock: Clock

    async def page(self, caller: Caller, department_id: str | None, period: str | None) -> str:
        """The report as HTML (default: one's own department, the present period)."""
        department = await self.reports.managed(caller, department_id)
        history = await self.reports.history(department, period)
        calendar = history.calendar
        if not calendar.is_period(history.period) or calendar.start(history.period) > history.today:
            fault = FieldFault("/period", "name the first month of a period that has begun")
            raise Invalid("This department has no such period.", faults=[fault])
        start, end = calendar.start(history.period), calendar.end(history.period)
        partition = Partition(department, history.period)
        table, unusual, adjustments = await self._spend(department, start, end)
        statement = await self.statements.statement(partition)
        cases = await self.reconciliations.cases(partition, CASES_SHOWN_MAX)
        until = min(end, history.today + timedelta(days=1))
        report = FinanceReport(
            department_id=department,
            period=history.period,
            start=start,
            end=end,
            made_at=self.clock.now(),
            table=table,
            budgets=await self._budgets(partition),
            history_days=history.history_days,
            forecast=history.forecast,
            anomalies=anomalies(unusual, start, until),
            adjustments=adjustments,
            cases=[_case_line(case) for case in cases],
            closed_at=statement.closed_at if statement else None,
            statement_sha256=statement.lines_sha256 if statement else None,
        )
        return finance_page(report)

    async def _spend(
        self, department_id: str, start: date, end: date
    ) -> tuple[SpendTable, SpendTable, list[Entry]]:
        """This period by everything, the weeks before as well by day, and the adjustments."""
        table, unusual = SpendTable(BY), SpendTable(ANOMALY_BY)
        adjustments: list[Entry] = []
        first = start - timedelta(days=WINDOW_DAYS)
        for span in (Span(first, start), Span(start, end)):
            async for entry in self.reports.read(department_id, span):
                unusual.add(entry)
                if span.since < start:
                    continue
                table.add(entry)
                if entry.kind != "usage":
                    adjustments.append(entry)
        return table, unusual, sorted(adjustments, key=lambda each: each.booked_at, reverse=True)

    async def _budgets(self, partition: Partition) -> Sequence[Budget]:
        """The largest budgets that were opened in the period, the department's first."""
        budgets = await self.policies.largest(partition, BUDGETS_SHOWN_MAX)
        return sorted(
            budgets, key=lambda each: (each.scope.kind != "department", -each.committed_micros)
        )


def _case_line(case: Case) -> CaseLine:
    subject = case.generation_id or " ".join(filter(None, (case.provider, case.model, case.day)))
    decided = f", {case.ruling.decision}" if case.ruling else ""
    billed, booked = case.billed_usd_micros, case.booked_usd_micros
    return CaseLine(
        case_id=case.case_id,
        kind=case.kind,
        status=f"{case.status}{decided}",
        subject=subject,
        difference_usd_micros=None if billed is None or booked is None else billed - booked,
        opened_at=case.opened_at,
    )
